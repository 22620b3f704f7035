"""A plan's facts by name: all of them, and those that reach the pixels."""

import re
import unicodedata
from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase

from studio.architecture import pipeline_traits, traits_of
from studio.contract.base import canonical_json
from studio.contract.plan import LoraUse, RunPlan
from studio.contract.settings import BY_NAME, SETTINGS
from studio.resolve.compel_syntax import compel_words

LORA, STRENGTH, TRIGGER, SEED = "LoRA", "strength", "trigger words", "seed"
FINER = "finer strength"
PROMPT, NEGATIVE, BASE = "prompt", "negative prompt", "base"
PLACEMENT = "placement"
GUIDANCE, TRUE_CFG = (BY_NAME[name].compared_as for name in ("guidance_scale", "true_cfg_scale"))
_NOT_FACTS = frozenset(
    {"schema_version", "base", "mode", "loras", "triggers", "prompt", "settings", "notices"}
)
"""Fields of a plan that are told apart below, that follow from others, or change nothing."""
_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)


def facts(plan: RunPlan) -> dict[str, str]:
    """Everything of a plan that can change a picture, by name, in words.

    A field that a later plan adds is a fact under its own name, so that none goes unseen.
    """
    known = {
        BASE: f"{plan.base.label} {plan.base.sha256[:12]}",
        LORA: ", ".join(_lora(use) for use in plan.loras) or "none",
        STRENGTH: ", ".join(_number(use.strength.value) for use in plan.loras) or "none",
        TRIGGER: ", ".join(word for use in plan.triggers if use.present for word in use.words)
        or "none",
        PROMPT: plan.prompt.typed,
        NEGATIVE: plan.prompt.negative_text,
    }
    settings = {
        BY_NAME[name].compared_as if name in BY_NAME else name.replace("_", " "): _value(
            getattr(plan.settings, name)
        )
        for name in type(plan.settings).model_fields
        if name != "precision"  # who chose the dtype, which is a fact itself
    }
    finer = {FINER: ", ".join(use.finer or "none" for use in plan.loras)}
    others = {
        name.replace("_", " "): value if isinstance(value, str) else canonical_json(value)
        for name, value in plan.model_dump(mode="json", exclude=set(_NOT_FACTS)).items()
    }
    return known | (finer if any(use.finer for use in plan.loras) else {}) | settings | others


def _lora(use: LoraUse) -> str:
    without = f" without {', '.join(use.waived)}" if use.waived else ""
    return f"{use.label} {use.sha256[:12]}{without}"


def _value(setting: object) -> str:
    value = getattr(setting, "value", setting)
    return "none" if value is None else _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """As short as can be, and never two numbers alike."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def effective(plan: RunPlan) -> Mapping[str, str]:
    """The facts that reach the pixels: plans equal in these must give equal pictures, and
    plans that differ in one of them different ones.

    A LoRA at strength 0 is none, a base is its weights whatever it is called, a negative prompt
    counts only where guidance reads it, and of both prompts what the text encoders tell apart.
    """
    found = facts(plan)
    found[BASE] = f"{plan.base.pipeline} {plan.base.sha256}"
    steps = plan.settings.steps.value
    active = [[use.sha256, use.waived, *_at_work(use, steps)] for use in plan.loras if use.acts]
    found[LORA] = canonical_json(active)
    found[PROMPT] = reading(plan, plan.prompt.text)
    found[NEGATIVE] = reading(plan, plan.prompt.negative_text)
    for setting in SETTINGS:
        if setting.unsaid is not None and getattr(plan.settings, setting.name) is None:
            found[setting.compared_as] = _number(setting.unsaid)
    for name in (STRENGTH, FINER, TRIGGER, PLACEMENT, "libraries", "count"):
        found.pop(name, None)
    _settle_guidance(plan, found)
    return found


def _at_work(use: LoraUse, steps: int) -> list[object]:
    """Its strength, the parts in which it is another one and there are modules for it, and the
    steps."""
    whole = use.strength.value
    parts = [(each.part, each.strength.value) for each in use.parts if each.modules]
    return [whole, [said for said in parts if said[1] != whole], use.span(steps)]


def _settle_guidance(plan: RunPlan, found: dict[str, str]) -> None:
    """At 1 and below classifier-free guidance is off, whatever the number, and then nothing
    reads the negative prompt."""
    takes = pipeline_traits(plan.base.pipeline)
    if takes.guidance.is_cfg and not plan.has_cfg:
        found[GUIDANCE] = "off"
    if takes.true_cfg and not plan.has_true_cfg:
        found.pop(TRUE_CFG, None)
    if not plan.is_guided:
        found.pop(NEGATIVE)


def reading(plan: RunPlan, text: str) -> str:
    """``text`` without what the plan's text encoders surely do not tell apart.

    CLIP's tokenizer takes every letter as a small one and several blanks as one. Only ASCII is
    changed here, where that is certain; a text with Compel's syntax stands as it is.
    """
    encoders = traits_of(plan.base.architecture).text_encoders
    only_clip = all(encoder.layers is not None for encoder in encoders)
    if not only_clip or compel_words(text) != text:
        return text
    return re.sub(" {2,}", " ", text).translate(_SMALL)


def differ_in_spelling(left: RunPlan, right: RunPlan) -> bool:
    """Whether nothing that reaches the pixels differs but how the prompts' words are written:
    capitals, blanks, forms of a letter. Whether that is read depends on the encoder."""
    one, other = dict(effective(left)), dict(effective(right))
    texts = [(found.pop(PROMPT), found.pop(NEGATIVE, "")) for found in (one, other)]
    return one == other and _words(texts[0]) == _words(texts[1])


def _words(texts: tuple[str, ...]) -> list[list[str]]:
    plain = (unicodedata.normalize("NFKC", text).casefold() for text in texts)
    return [re.findall(r"\w+|[^\w\s]", text) for text in plain]
