"""What the guidance scale really does on this base, said before the run.

Where a diffusers pipeline would only warn, or count otherwise, the plan says it.
"""

from collections.abc import Iterator

from studio.architecture import GuidanceKind, guides
from studio.contract.origin import FloatSetting, Origin
from studio.contract.plan import Notice
from studio.contract.prompt import ResolvedPrompt
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft

_FIELD = "settings.guidance_scale"


def guidance_notices(
    draft: Draft, choices: SettingChoices, prompt: ResolvedPrompt
) -> Iterator[Notice]:
    guidance = choices.values.get("guidance_scale")
    if not isinstance(guidance, FloatSetting):
        return
    yield from _scale_notices(draft, guidance)
    yield from _side_notices(draft, _cfg_scale(draft, guidance), prompt)


def _cfg_scale(draft: Draft, guidance: FloatSetting) -> float | None:
    """The scale of the second pass against the negative side; None where there is none."""
    if draft.true_cfg_scale is not None:
        return draft.true_cfg_scale
    if draft.pipeline.guidance.is_cfg and not draft.ignores_guidance:
        return guidance.value
    return None


def _scale_notices(draft: Draft, guidance: FloatSetting) -> Iterator[Notice]:
    label, kind = draft.model.label, draft.pipeline.guidance
    if draft.ignores_guidance:
        if guides(guidance.value) or guidance.origin is not Origin.MODEL:
            text = (
                f"{label} was distilled to need no guidance: {guidance.value:g} changes nothing."
            )
            yield Notice(code="guidance_ignored", field=_FIELD, text=text)
    elif kind is GuidanceKind.CFG_FROM_ZERO:
        theirs = kind.in_pipeline(guidance.value)
        off = "off" if theirs == 0 else "on"
        text = (
            f"Guidance {guidance.value:g} is {theirs:g} as diffusers counts it for "
            f"{draft.traits.label}, from 0: guidance is {off}."
        )
        yield Notice(code="guidance_converted", field=_FIELD, text=text)


def _side_notices(draft: Draft, scale: float | None, prompt: ResolvedPrompt) -> Iterator[Notice]:
    negative = prompt.negative_text
    if negative and not guides(scale):
        reason = "Guidance of 1 or less switches guidance off"
        if draft.ignores_guidance:
            reason = f"{draft.model.label} runs without guidance"
        text = f"{reason}, so the negative prompt has no effect."
        yield Notice(code="negative_without_effect", field="negative_prompt", text=text)
    asks = draft.pipeline.true_cfg or draft.pipeline.guidance is GuidanceKind.TRUE_CFG
    if asks and not negative and guides(scale):
        text = (
            f"{draft.traits.label} guides against a negative prompt, and none is given: an "
            "empty one takes its place."
        )
        yield Notice(code="negative_empty", field="negative_prompt", text=text)
