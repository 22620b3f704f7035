"""Facts that change nothing, said before the run."""

from collections.abc import Iterator

from studio.architecture import LABELS, TEXT_ENCODERS, Mode
from studio.contract.origin import Origin
from studio.contract.placement import Dtype
from studio.contract.plan import Notice
from studio.contract.prompt import ResolvedPrompt
from studio.contract.settings import SETTINGS
from studio.presets import LoraPreset, ModelPreset, TriggerRule
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft, in_words
from studio.resolve.guidance_notices import guidance_notices
from studio.resolve.identities import modules_in
from studio.resolve.memory import MemoryRules, needless, tiles
from studio.resolve.reading_notices import reading_notices
from studio.resolve.text_notices import text_notices
from studio.resolve.triggers import base_prompt_triggers, chosen_triggers

STRONG = 1.2


def notices(
    draft: Draft,
    choices: SettingChoices,
    prompt: ResolvedPrompt,
    memory: MemoryRules | None = None,
) -> tuple[Notice, ...]:
    """Everything worth knowing, in the order of the form."""
    return (
        *_base_notices(draft),
        *_lora_notices(draft, choices),
        *_waiver_notices(draft),
        *_pin_notices(draft),
        *_conflict_notices(draft),
        *_said_notices(draft, choices),
        *_trigger_notices(draft),
        *text_notices(draft, prompt),
        *reading_notices(draft, prompt),
        *guidance_notices(draft, choices, prompt),
        *_wish_notices(draft, choices),
        *_scheduler_notices(draft, choices),
        *_precision_notices(draft, memory),
        *_memory_notices(choices, memory),
    )


def mark_notices(mark: bool) -> Iterator[Notice]:
    """What the settings leave out of the file itself."""
    if not mark:
        text = (
            "The pictures will carry no mark that says a model made them (MARK is 0). Whether "
            "that is allowed where you publish them is for you to know."
        )
        yield Notice(code="unmarked", field="settings", text=text)


def _base_notices(draft: Draft) -> Iterator[Notice]:
    base = draft.inventory.bases[draft.model.slug]
    for component, variants in base.unused.items():
        others = " and ".join(variant or "plain" for variant in variants)
        text = (
            f"{component} of {draft.model.label} also has {others} weights; those of its preset's "
            f"variant ({draft.model.variant or 'plain'}) are loaded."
        )
        yield Notice(code="variant_left_out", field="base", text=text)
    if base.layout is not None:
        whose = "the preset's config" if draft.model.config else "the studio's own"
        text = (
            f"{draft.model.label} is one file; its configurations and tokenizers are {whose}, "
            f"for {draft.traits.label}."
        )
        yield Notice(code="single_file", field="base", text=text)


def _lora_notices(draft: Draft, choices: SettingChoices) -> Iterator[Notice]:
    for _, preset in draft.applied:
        yield from _strength_notices(draft, choices, preset)
        weights = draft.inventory.loras[preset.slug]
        for text in weights.unread:
            said = f"{preset.label}: {text}"
            yield Notice(code="sidecar_unread", field=f"loras.{preset.slug}", text=said)
        modules = weights.inspection.modules
        silent = sum(not m.alpha_in_file and m.rank is not None for m in modules)
        if silent:
            layers = "1 layer" if silent == 1 else f"{silent} layers"
            text = (
                f"The file of {preset.label} says no alpha for {layers}; the scale is taken as 1."
            )
            yield Notice(code="alpha_unsaid", field=f"loras.{preset.slug}", text=text)
        if draft.fits[preset.slug].repeated:
            text = (
                f"The file of {preset.label} has layers twice, under two namings and with equal "
                "weights; they are used once."
            )
            yield Notice(code="layers_repeated", field=f"loras.{preset.slug}", text=text)


def _strength_notices(
    draft: Draft, choices: SettingChoices, preset: LoraPreset
) -> Iterator[Notice]:
    field = f"loras.{preset.slug}.strength"
    parts = choices.parts[preset.slug]
    strengths = [choices.strengths[preset.slug].value, *(said.value for said in parts.values())]
    labels = {each.name: each.label for each in draft.traits.parts}
    for part in parts:
        if not modules_in(draft, preset, part):
            text = f"{preset.label} changes nothing in the {labels[part]}, whatever its strength."
            yield Notice(code="part_without_effect", field=field, text=text)
    if any(choices.spans[preset.slug]) and _reads_with(draft, choices, preset):
        text = (
            f"The text encoders read the prompt with {preset.label} before the first step, "
            "whatever its steps; te=0 keeps it out of them."
        )
        yield Notice(code="steps_of_denoiser", field=field, text=text)
    if not any(strengths):
        text = f"{preset.label} has strength 0 and changes nothing."
        yield Notice(code="strength_zero", field=field, text=text)
    lowest, highest = min(strengths), max(strengths)
    if lowest < 0:
        text = f"{preset.label} at {lowest:.2f} is turned around."
        yield Notice(code="strength_negative", field=field, text=text)
    if highest > STRONG:
        text = f"{preset.label} at {highest:.2f} is very strong and may show artefacts."
        yield Notice(code="strength_high", field=field, text=text)


def _reads_with(draft: Draft, choices: SettingChoices, preset: LoraPreset) -> bool:
    """Whether the text encoders have the LoRA at another strength than 0."""
    whole = choices.strengths[preset.slug]
    said = choices.parts[preset.slug].get(TEXT_ENCODERS.name, whole)
    return bool(said.value and modules_in(draft, preset, TEXT_ENCODERS.name))


def _waiver_notices(draft: Draft) -> Iterator[Notice]:
    for choice, preset in draft.applied:
        if choice.allow_partial and draft.fits[preset.slug].fits:
            text = f"{preset.label} fits wholly; there is nothing to leave out."
            yield Notice(code="waiver_not_needed", field=f"loras.{preset.slug}", text=text)


def _pin_notices(draft: Draft) -> Iterator[Notice]:
    named: list[tuple[str, ModelPreset | LoraPreset]] = [("base", draft.model)]
    named += [(f"loras.{preset.slug}", preset) for _, preset in draft.applied]
    for field, preset in named:
        if preset.sha256 is None and preset.slug not in draft.inventory.pins:
            text = (
                f"The preset of {preset.label} has no SHA-256: that of its weights is pinned on "
                "this first use and checked from then on."
            )
            yield Notice(code="pin_on_first_use", field=field, text=text)


def _conflict_notices(draft: Draft) -> Iterator[Notice]:
    for _, preset in draft.applied:
        inspection, field = draft.inventory.loras[preset.slug].inspection, f"loras.{preset.slug}"
        if len(inspection.candidates) > 1:
            choices = ", ".join(LABELS[name] for name in inspection.candidates)
            text = (
                f"The layers of {preset.label} are those of several families ({choices}), and do "
                f"not tell which it was made for. It is used as one for {draft.traits.label}."
            )
            yield Notice(code="family_undecided", field=field, text=text)
        for sentence in inspection.conflicts:
            yield Notice(code="claim_conflict", field=field, text=f"{preset.label}: {sentence}")


def _said_notices(draft: Draft, choices: SettingChoices) -> Iterator[Notice]:
    """What no preset says of a LoRA, but its file or what lies beside it."""
    mode = draft.request.mode
    for _, preset in draft.chosen:
        said = draft.catalog.derived.get(preset.slug, {})
        strength = choices.strengths[preset.slug]
        of_file = strength.origin is Origin.LORA and mode.applies_loras
        terms = preset.negative_prompt if draft.takes_negative and mode.applies_loras else ""
        for field, code, what in (
            ("prompt", "trigger", f"trigger words ({preset.prompt})"),
            ("settings", "strength", f"strength ({strength.value:g})" if of_file else ""),
            ("negative_prompt", "negative", f"negative terms ({terms})" if terms else ""),
        ):
            if field in said and what and (code != "trigger" or mode.takes_trigger_words):
                text = f"{preset.label}'s {what}: said by {said[field]}, and by no preset."
                yield Notice(code=f"{code}_by_file", field=f"loras.{preset.slug}", text=text)


def _trigger_notices(draft: Draft) -> Iterator[Notice]:
    mode = draft.request.mode
    if mode is Mode.LORA:
        for _, preset in draft.applied:
            if preset.trigger is TriggerRule.REQUIRED:
                text = (
                    f"{preset.label} needs its trigger words ({preset.prompt}); this mode "
                    "leaves them out on purpose."
                )
                yield Notice(code="trigger_left_out", field="mode", text=text)
    if draft.applied:
        own = {item.phrase.lower() for item in chosen_triggers(draft)}
        prompt, architecture = draft.request.prompt, draft.traits.architecture
        for phrase, slug in base_prompt_triggers(prompt, draft.catalog, architecture):
            if phrase not in own:
                whose = draft.label_of(slug)
                text = f"The prompt holds {phrase!r}, a trigger of {whose}, which is not chosen."
                yield Notice(code="foreign_trigger", field="prompt", text=text)


def _wish_notices(draft: Draft, choices: SettingChoices) -> Iterator[Notice]:
    """What LoRAs ask for, and the run does not have."""
    basis = draft.basis(choices.scheduler)
    for setting in SETTINGS:
        for slug, wish in draft.wishes(setting).items():
            asked = f"{draft.label_of(slug)} asks for {setting.words} {in_words(wish)}"
            chosen = choices.values.get(setting.name)
            value = None if chosen is None else chosen.value
            if not setting.is_taken(basis):
                text = f"{asked}; {draft.model.label} has none, so it is left out."
                yield Notice(code="wish_left_out", field=setting.field, text=text)
            elif value is not None and value != wish:
                text = f"{asked}; you set {in_words(value)}."
                yield Notice(code="wish_overridden", field=setting.field, text=text)


def _scheduler_notices(draft: Draft, choices: SettingChoices) -> Iterator[Notice]:
    asked = draft.request.settings.scheduler
    if asked not in (None, choices.scheduler):
        text = f"“{asked}” is diffusers' {choices.scheduler}."
        yield Notice(code="scheduler_named", field="settings.scheduler", text=text)


def _precision_notices(draft: Draft, memory: MemoryRules | None) -> Iterator[Notice]:
    """A CPU that would compute float32, if there were memory for it; a GPU that computes
    bfloat16 slowly."""
    chosen = draft.precision
    spares = chosen.origin is Origin.AUTOMATIC and draft.dtype is not Dtype.FLOAT32
    if spares and draft.device == "cpu":
        text = f"{draft.model.label} runs in {draft.dtype}, to save memory. {chosen.reason}"
        yield Notice(code="dtype_by_memory", field="settings.precision", text=text)
    if memory is not None and memory.slow_bfloat16 and draft.dtype is Dtype.BFLOAT16:
        text = (
            "This GPU has no hardware for bfloat16 and computes it slowly. Another precision is "
            "quicker, and makes another picture."
        )
        yield Notice(code="bfloat16_slow", field="settings.precision", text=text)


def _memory_notices(choices: SettingChoices, memory: MemoryRules | None) -> Iterator[Notice]:
    if memory is None:
        return
    if needless(memory):
        text = (
            f"OFFLOAD is {memory.offload}, but the device computes in main memory: there is "
            "nowhere to offload to, and the weights stay where they are."
        )
        yield Notice(code="offload_without_effect", field="base", text=text)
    width, height = choices.number("width"), choices.number("height")
    if not isinstance(width, int) or not isinstance(height, int):
        return
    if tiles(memory, width, height):
        said = "VAE_TILING says so" if memory.vae_tiling else "memory may be short for it whole"
        text = f"A picture of this size is decoded in tiles, because {said}: edges are blended."
        yield Notice(code="vae_tiling", field="settings.width", text=text)
