"""The small line beside each field: what is wrong there, else what holds and who said it."""

import re
from collections.abc import Sequence
from typing import Any

from studio.architecture import Mode
from studio.contract.origin import Precision
from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.contract.settings import SETTINGS, Setting, Value
from studio.contract.violations import Violation
from studio.presets import Catalog, ModelPreset, TriggerRule
from studio.resolve.foreign import convert
from studio.ui.html import format
from studio.ui.html.plan import note, shown
from studio.ui.html.tags import EMPTY, Html, esc, join, span, tag
from studio.ui.studio.form import Values, is_drawn

ON = "on "
"""What a chip for a background begins with, in its text and in its key."""

FIELDS = (
    "base",
    "loras",
    "mode",
    "references",
    "prompt",
    "negative_prompt",
    *(setting.field for setting in SETTINGS),
    "seed",
    "count",
    "prompt_encoder",
    "allow_cut",
)


def problems_at(field: str, found: Sequence[Violation]) -> Html:
    return join(
        span("ls-problem", violation.describe(), role="alert")
        for violation in found
        if violation.field == field
    )


def of_violations(found: Sequence[Violation], mode: Mode) -> dict[str, Html]:
    """Every field's hint while the request breaks rules."""
    texts = {field: problems_at(field, found) for field in FIELDS}
    return {**texts, "mode": texts["mode"] or esc(format.MODE_HELP[mode])}


def of_plan(plan: RunPlan, values: Values) -> dict[str, Html]:
    """Every field's hint while the request holds: effective values with their origin."""
    texts: dict[str, Html] = dict.fromkeys(FIELDS, EMPTY)
    texts |= {setting.field: _said(plan, setting) for setting in SETTINGS}
    return texts | {
        "mode": esc(format.MODE_HELP[plan.mode]),
        "seed": _seed(plan.seed, drawn=is_drawn(values["seed"])),
        **{field: _conversion(plan, values[field]) for field in ("prompt", "negative_prompt")},
    }


def _conversion(plan: RunPlan, typed: str) -> Html:
    """Another tool's grammar, which the notices tell of, can be put into Compel's form."""
    if plan.prompt_encoder is not PromptEncoder.COMPEL or convert(typed).text == typed:
        return EMPTY
    said = "Put other tools' grammar into Compel's form"
    return tag("button", said, type="button", class_="ls-link", data_pick="convert")


def _said(plan: RunPlan, setting: Setting) -> Html:
    """The effective value, who said it, and what it means or why."""
    value: Value | None = getattr(plan.settings, setting.name)
    if value is None:
        return EMPTY
    why = value.reason if isinstance(value, Precision) else note(plan, setting)
    parts = [span("ls-figure", shown(value)), " · ", format.origin(value.origin)]
    return join([*parts, ": ", why] if why else parts)


def _seed(seed: int, drawn: bool) -> Html:
    return join((span("ls-figure", seed), " · ", "drawn" if drawn else "you"))


def slot_caption(
    slug: str,
    strength: float,
    mode: Mode,
    catalog: Catalog,
    found: Sequence[Violation],
    phrases: Sequence[str] | None = None,
) -> Html:
    """Beneath a chosen LoRA: its band and trigger words, or what is wrong with it.

    Args:
        phrases: of its trigger phrases those that were chosen; None is what the preset says.
    """
    wrong = join(
        (problems_at(f"loras.{slug}", found), problems_at(f"loras.{slug}.strength", found))
    )
    if not mode.takes_loras:
        return span("ls-aside", f"Not used: {mode.label} mode takes no LoRA.")
    parts: list[Any] = []
    if mode.applies_loras:
        parts.append(span("ls-band", format.band(strength)))
    else:
        parts.append("weights off")
    preset = catalog.loras.get(slug)
    if preset is not None:
        words = preset.prompt if phrases is None else ", ".join(phrases)
        parts.append(_trigger(words, preset.trigger))
    return join((join(parts, " · "), wrong))


def _trigger(prompt: str, rule: TriggerRule) -> Html:
    if rule is TriggerRule.NONE:
        return esc("no trigger words")
    name = "trigger" if rule is TriggerRule.REQUIRED else "optional trigger"
    return join((f"{name} ", tag("q", prompt)))


def things(model: ModelPreset | None) -> Html:
    """Beneath the prompt: what a base that knows few things can draw, each to be clicked."""
    if model is None or not model.knows:
        return EMPTY
    known = f"{model.label} draws {format.plural(len(model.knows), 'thing')}"
    if model.backgrounds:
        known += f" on {format.plural(len(model.backgrounds), 'background')}"
    chips = (_chip(name, name) for name in model.knows)
    colours = (_chip(ON + name, ON + name) for name in model.backgrounds)
    rows = (tag("div", *row) for row in (chips, colours))
    return tag("details", tag("summary", known), *rows, class_="ls-things")


def _chip(text: str, key: str) -> Html:
    return tag("button", text, type="button", class_="ls-thing", data_pick=key)


def with_picked(prompt: str, key: str, model: ModelPreset) -> str:
    """The prompt after a click on what the base knows; any other key leaves it as it is."""
    if key in model.knows:
        return with_thing(prompt, key, model)
    colour = key.removeprefix(ON)
    known = key.startswith(ON) and colour in model.backgrounds
    return with_background(prompt, colour, model) if known else prompt


def with_thing(prompt: str, thing: str, model: ModelPreset) -> str:
    """The prompt with ``thing`` in the place of the first that the base knows, else after it."""
    plural = thing.endswith("s") and not thing.endswith(("ss", "us"))
    article = "" if plural else "an " if thing[0] in "aeiou" else "a "
    longest_first = sorted(model.knows, key=len, reverse=True)
    names = "|".join(re.escape(name) for name in longest_first)
    ground = _background(prompt, model)
    for found in re.finditer(rf"\b(?:an? )?(?:{names})\b", prompt, re.IGNORECASE):
        if ground is None or found.end() <= ground.start() or ground.end() <= found.start():
            return prompt[: found.start()] + article + thing + prompt[found.end() :]
    return f"{prompt.rstrip(' ,')}, {article}{thing}" if prompt.strip() else article + thing


def with_background(prompt: str, colour: str, model: ModelPreset) -> str:
    """The prompt with ``colour`` behind the thing: where a background stood, else after its first
    phrase."""
    article = "an" if colour[0] in "aeiou" else "a"
    said = f"on {article} {colour} background"
    found = _background(prompt, model)
    if found:
        alone = not found.group().lower().startswith("on ")
        instead = f"{colour} background" if alone else said
        return prompt[: found.start()] + instead + prompt[found.end() :]
    first, comma, rest = prompt.partition(",")
    return f"{first.rstrip()} {said}".strip() + comma + rest


def _background(prompt: str, model: ModelPreset) -> re.Match[str] | None:
    """Where the prompt says what is behind the thing."""
    if not model.backgrounds:
        return None
    names = "|".join(map(re.escape, model.backgrounds))
    ground = rf"\bon (?:an? )?(?:{names})\b(?: background\b)?|\b(?:{names}) background\b"
    return re.search(ground, prompt, re.IGNORECASE)
