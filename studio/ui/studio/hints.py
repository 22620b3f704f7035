"""The small line beside each field: what is wrong there, else what holds and who said it."""

from collections.abc import Sequence
from typing import Any

from studio.architecture import Mode, clip_skip_in_words
from studio.contract.plan import Precision, RunPlan
from studio.contract.violations import Violation
from studio.presets import Catalog, TriggerRule
from studio.ui.html import format
from studio.ui.html.plan import Setting, pipeline_guidance
from studio.ui.html.tags import EMPTY, Html, esc, join, span, tag
from studio.ui.studio.form import Values

FIELDS = (
    "base",
    "loras",
    "mode",
    "references",
    "prompt",
    "negative_prompt",
    "settings.steps",
    "settings.guidance_scale",
    "settings.true_cfg_scale",
    "settings.width",
    "settings.height",
    "settings.clip_skip",
    "settings.scheduler",
    "settings.precision",
    "settings.max_sequence_length",
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
    settings = plan.settings
    clip_skip = settings.clip_skip
    texts: dict[str, Html] = dict.fromkeys(FIELDS, EMPTY)
    texts |= {
        "mode": esc(format.MODE_HELP[plan.mode]),
        "settings.steps": _said(settings.steps),
        "settings.guidance_scale": _guidance(plan),
        "settings.true_cfg_scale": _maybe(settings.true_cfg_scale),
        "settings.max_sequence_length": _maybe(settings.max_sequence_length),
        "settings.width": _said(settings.width),
        "settings.height": _said(settings.height),
        "settings.scheduler": _said(settings.scheduler),
        "settings.precision": _precision(settings.precision),
        "settings.clip_skip": (
            EMPTY
            if clip_skip is None
            else join((_said(clip_skip), " · ", clip_skip_in_words(clip_skip.value)))
        ),
        "seed": _seed(plan.seed, drawn=values["seed"] is None),
    }
    return texts


def _said(setting: Setting) -> Html:
    value = setting.value
    shown = format.number(value) if isinstance(value, float) else str(value)
    return join(
        (span("ls-figure", shown.removesuffix("Scheduler")), " · ", format.origin(setting.origin))
    )


def _precision(chosen: Precision | None) -> Html:
    return EMPTY if chosen is None else join((_said(chosen), ": ", chosen.reason))


def _maybe(setting: Setting | None) -> Html:
    return EMPTY if setting is None else _said(setting)


def _guidance(plan: RunPlan) -> Html:
    return join((_said(plan.settings.guidance_scale), pipeline_guidance(plan)))


def _seed(seed: int, drawn: bool) -> Html:
    return join((span("ls-figure", seed), " · ", "drawn" if drawn else "you"))


def slot_caption(
    slug: str, strength: float, mode: Mode, catalog: Catalog, found: Sequence[Violation]
) -> Html:
    """Beneath a chosen LoRA: its band and trigger words, or what is wrong with it."""
    wrong = join(
        (problems_at(f"loras.{slug}", found), problems_at(f"loras.{slug}.strength", found))
    )
    if not mode.takes_loras:
        return span("ls-aside", f"Set aside: {mode.label} uses no LoRA.")
    parts: list[Any] = []
    if mode.applies_loras:
        parts.append(span("ls-band", format.band(strength)))
    else:
        parts.append("weights off")
    preset = catalog.loras.get(slug)
    if preset is not None:
        parts.append(_trigger(preset.prompt, preset.trigger))
    return join((join(parts, " · "), wrong))


def _trigger(prompt: str, rule: TriggerRule) -> Html:
    if rule is TriggerRule.NONE:
        return esc("no trigger words")
    name = "trigger" if rule is TriggerRule.REQUIRED else "optional trigger"
    return join((f"{name} ", tag("q", prompt)))
