"""What differs between two plans: every fact of a plan by name, compared one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.architecture import pipeline_traits
from studio.contract import Contract, canonical_json
from studio.grid import AxisName, CellPlan, ComparisonPlan, Role
from studio.plan import LoraUse, RunPlan

LORA, STRENGTH, TRIGGER, SEED = "LoRA", "strength", "trigger words", "seed"
PROMPT, NEGATIVE, BASE, GUIDANCE = "prompt", "negative prompt", "base", "guidance"
_SETTING_NAMES = {"guidance_scale": GUIDANCE, "clip_skip": "clip skip"}
_NOT_FACTS = frozenset(
    {"schema_version", "base", "mode", "loras", "triggers", "prompt", "settings", "notices"}
)
"""Fields of a plan that are told apart below, that follow from others, or change nothing."""

_MEANT: dict[AxisName, frozenset[str]] = {
    AxisName.STRENGTH: frozenset({STRENGTH}),
    AxisName.SEED: frozenset({SEED}),
    AxisName.LORA: frozenset({LORA, STRENGTH, TRIGGER}),
    AxisName.GUIDANCE: frozenset({GUIDANCE}),
    AxisName.STEPS: frozenset({"steps"}),
    AxisName.PROMPT: frozenset({PROMPT}),
    AxisName.CLIP_SKIP: frozenset({"clip skip"}),
    AxisName.BASE: frozenset({BASE}),
    AxisName.MODE: frozenset({LORA, TRIGGER}),
    AxisName.WEIGHTS: frozenset({LORA}),
    AxisName.TRIGGER: frozenset({TRIGGER}),
}


class Difference(Contract):
    """One fact in which two plans differ, with both sides in words."""

    name: str
    left: str
    right: str

    @property
    def not_asked_for(self) -> str:
        """For a difference that no axis asked for."""
        return f"Not asked for: {self.name} differs too ({self.left} against {self.right})."


def facts(plan: RunPlan) -> dict[str, str]:
    """Everything of a plan that can change a picture, by name, in words.

    A field that a later plan adds is a fact under its own name, so that none goes unseen.
    """
    known = {
        BASE: f"{plan.base.label} {plan.base.sha256[:12]}",
        LORA: ", ".join(_lora(use) for use in plan.loras) or "none",
        STRENGTH: ", ".join(f"{use.strength.value:g}" for use in plan.loras) or "none",
        TRIGGER: ", ".join(word for use in plan.triggers if use.present for word in use.words)
        or "none",
        PROMPT: plan.prompt.typed,
        NEGATIVE: plan.prompt.negative_text,
    }
    settings = {
        _SETTING_NAMES.get(name, name.replace("_", " ")): _value(getattr(plan.settings, name))
        for name in type(plan.settings).model_fields
    }
    others = {
        name.replace("_", " "): value if isinstance(value, str) else canonical_json(value)
        for name, value in plan.model_dump(mode="json", exclude=set(_NOT_FACTS)).items()
    }
    return {**known, **settings, **others}


def _lora(use: LoraUse) -> str:
    without = f" without {', '.join(use.waived)}" if use.waived else ""
    return f"{use.label} {use.sha256[:12]}{without}"


def _value(setting: object) -> str:
    value = getattr(setting, "value", setting)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def differences(left: RunPlan, right: RunPlan) -> tuple[Difference, ...]:
    """Where the plans differ, in the order of the form; a LoRA that comes or goes brings its
    strength with it, which is then not told apart."""
    one, other = facts(left), facts(right)
    found = [
        Difference(name=name, left=one.get(name, "none"), right=other.get(name, "none"))
        for name in dict.fromkeys((*one, *other))
        if one.get(name, "none") != other.get(name, "none")
    ]
    if not left.loras or not right.loras:
        found = [item for item in found if item.name != STRENGTH]
    return tuple(found)


def in_one_line(found: Sequence[Difference]) -> str:
    """``Only the LoRA differs.`` and its kin."""
    names = [item.name for item in found]
    if not names:
        return "Nothing differs: both cells are the same plan."
    if len(names) == 1:
        verb = "differ" if names[0] == TRIGGER else "differs"
        return f"Only the {names[0]} {verb}."
    return f"The {', '.join(names[:-1])} and the {names[-1]} differ."


@dataclass(frozen=True, slots=True)
class Side:
    """A difference that no axis asked for, and the cell it was first seen in."""

    difference: Difference
    cell: int


def uninvited(plan: ComparisonPlan) -> tuple[Side, ...]:
    """What differs although no axis asked for it, against the first cell; each name once."""
    meant = {SEED} if plan.wanted.request.count > 1 else set[str]()
    for axis in plan.wanted.axes:
        meant |= _MEANT[axis.name]
    seen: dict[str, Side] = {}
    for index, cell in enumerate(plan.cells):
        if cell.place.role is Role.SCALE_ZERO:
            continue  # it differs from the base on purpose, in a LoRA that does nothing
        for item in differences(plan.cells[0].plan, cell.plan):
            if item.name not in meant:
                seen.setdefault(item.name, Side(item, index))
    return tuple(seen.values())


def summary(plan: ComparisonPlan) -> str:
    """What differs across the whole comparison, in one line."""
    names: dict[str, None] = {}
    for cell in arms(plan):
        for item in differences(plan.cells[0].plan, cell.plan):
            names[item.name] = None
    shown = [name for name in names if name != SEED or len(names) == 1]
    return in_one_line([Difference(name=name, left="", right="") for name in shown])


def arms(plan: ComparisonPlan) -> Iterator[CellPlan]:
    return (cell for cell in plan.cells if cell.place.role is Role.ARM)


def effective(plan: RunPlan) -> Mapping[str, str]:
    """The facts that reach the pixels: plans equal in these must give equal pictures, and
    plans that differ in one of them different ones.

    A LoRA at strength 0 is none; a negative prompt counts only where guidance reads it.
    """
    found = facts(plan)
    active = [
        [use.sha256, use.strength.value, use.waived] for use in plan.loras if use.strength.value
    ]
    found[LORA] = canonical_json(active)
    found[PROMPT] = plan.prompt.text
    for name in (STRENGTH, TRIGGER, "libraries", "count"):
        found.pop(name, None)
    _settle_guidance(plan, found)
    return found


def _settle_guidance(plan: RunPlan, found: dict[str, str]) -> None:
    """At 1 and below classifier-free guidance is off, whatever the number, and then nothing
    reads the negative prompt."""
    takes, settings = pipeline_traits(plan.base.pipeline), plan.settings
    true_cfg = settings.true_cfg_scale.value if settings.true_cfg_scale else 1.0
    guided = takes.guidance.is_cfg and settings.guidance_scale.value > 1
    if takes.guidance.is_cfg and not guided:
        found[GUIDANCE] = "off"
    if takes.true_cfg and true_cfg <= 1:
        found.pop("true cfg scale", None)
    if not guided and true_cfg <= 1:
        found.pop(NEGATIVE)
