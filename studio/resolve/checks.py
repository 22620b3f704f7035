"""The rules a request must keep; each check yields every violation it finds."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator

from studio.architecture import TRAITS, Mode
from studio.plan import FloatSetting, IntSetting, TextSetting
from studio.presets import MAX_CLIP_SKIP, MAX_STRENGTH, Catalog, TriggerRule
from studio.prompt import (
    dropped_by_call,
    find_phrases,
    has_compel_call,
    lora_tags,
    syntax_without_effect,
    zero_weighted,
)
from studio.request import SEED_LIMIT, GenerationRequest, PromptEncoder
from studio.resolve.draft import Draft, SettingChoices, mode_names
from studio.resolve.triggers import base_prompt_triggers
from studio.schedulers import SCHEDULER_NAMES, STEP_LIMITS
from studio.violations import (
    ArchitectureMismatch,
    ArchitectureNotRunnable,
    CallNotWhole,
    ClipSkipNotSupported,
    DuplicateLora,
    EncoderNotSupported,
    LoraForbidden,
    LoraRequired,
    LoraTagInPrompt,
    ModeNotSupported,
    NegativePromptNotSupported,
    NotAMultiple,
    NoTriggerWords,
    OutOfRange,
    PromptEmpty,
    SyntaxWithoutEffect,
    TextTooLarge,
    TextUnreadable,
    TooManyLoras,
    TooManyPixels,
    TriggerDuplicated,
    TriggerForbidden,
    TriggerMissing,
    UnknownLora,
    UnknownScheduler,
    Violation,
)

MAX_LORAS = 4
MAX_COUNT = 16
MAX_TEXT = 20_000
"""Characters of a prompt; a picture's record holds it several times."""
MAX_STEPS = 200
MAX_GUIDANCE = 50.0
SIZE_RANGE = (32, 8192)

Check = Callable[[Draft, SettingChoices], Iterator[Violation]]


def check_text(request: GenerationRequest) -> Iterator[Violation]:
    """Both texts can be written down and are no books; else nothing more is said of them."""
    for field, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        if len(text) > MAX_TEXT:
            yield TextTooLarge(field=field, length=len(text), limit=MAX_TEXT)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            yield TextUnreadable(field=field, place=error.start + 1)


def check_request(request: GenerationRequest, catalog: Catalog) -> Iterator[Violation]:
    """What can be said without knowing the base."""
    if not request.prompt.strip():
        yield PromptEmpty()
    for side, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        for tag in lora_tags(text):
            yield LoraTagInPrompt(field=side, tag=tag)
        if request.prompt_encoder is PromptEncoder.COMPEL:
            for syntax in syntax_without_effect(text):
                yield SyntaxWithoutEffect(field=side, found_syntax=syntax)
            if reason := dropped_by_call(text):
                remedy = "Put all words into the quotes, and give each prompt its weight."
                yield CallNotWhole(field=side, reason=reason, remedy=remedy)
    yield from _check_lora_list(request, catalog)
    yield from _range("count", "count", request.count, 1, MAX_COUNT)
    clamped_count = min(max(request.count, 1), MAX_COUNT)
    yield from _range("seed", "seed", request.seed, 0, SEED_LIMIT - clamped_count)


def _check_lora_list(request: GenerationRequest, catalog: Catalog) -> Iterator[Violation]:
    for slug, times in Counter(choice.slug for choice in request.loras).items():
        if times > 1:
            yield DuplicateLora(field=f"loras.{slug}", slug=slug, times=times)
        if slug not in catalog.loras:
            near = difflib.get_close_matches(slug, catalog.loras, n=3)
            meant = f"Did you mean {' or '.join(near)}?" if near else "Add a preset for it."
            yield UnknownLora(field=f"loras.{slug}", slug=slug, hint=meant)
    count = len(request.loras)
    if count > MAX_LORAS:
        yield TooManyLoras(count=count, limit=MAX_LORAS, surplus=count - MAX_LORAS)


def _range(field: str, name: str, value: float, low: float, high: float) -> Iterator[OutOfRange]:
    if not low <= value <= high:
        yield OutOfRange(field=field, name=name, value=value, low=low, high=high)


def check_base(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The engine can run the architecture, and it has the mode and the encoder."""
    traits, request = draft.traits, draft.request
    if not traits.runnable:
        runnable = ", ".join(key.value for key, value in TRAITS.items() if value.runnable)
        yield ArchitectureNotRunnable(
            label=draft.model.label, architecture=traits.label, runnable=runnable
        )
    modes = draft.pipeline.modes
    if request.mode not in modes:
        yield ModeNotSupported(
            label=draft.model.label, mode=request.mode.value, modes=mode_names(modes)
        )
    if request.prompt_encoder is PromptEncoder.COMPEL and not traits.compel:
        yield EncoderNotSupported(architecture=traits.label)


def check_mode(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The mode and the chosen LoRAs agree."""
    mode, chosen = draft.request.mode, draft.request.loras
    if mode is Mode.BASE and chosen:
        slugs = ", ".join(sorted(choice.slug for choice in chosen))
        yield LoraForbidden(count=len(chosen), slugs=slugs)
    if mode.needs_loras and not chosen:
        yield LoraRequired(mode=mode.value)
    needs_words = mode.needs_loras and mode.takes_trigger_words
    if needs_words and draft.chosen and not draft.chosen_triggers():
        for _choice, preset in draft.chosen:
            yield NoTriggerWords(
                field="mode", slug=preset.slug, label=preset.label, mode=mode.value
            )


def check_architectures(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """Every chosen LoRA's preset names the base's architecture."""
    for _choice, preset in draft.chosen:
        if preset.base_architecture is not draft.model.base_architecture:
            yield ArchitectureMismatch(
                field=f"loras.{preset.slug}",
                slug=preset.slug,
                label=preset.label,
                lora_architecture=TRAITS[preset.base_architecture].label,
                base=draft.model.label,
                base_architecture=draft.traits.label,
            )


def check_triggers(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """Trigger words stand in the prompt exactly where the mode wants them."""
    mode, prompt = draft.request.mode, draft.request.prompt
    if mode is Mode.BASE:
        for phrase, slug in base_prompt_triggers(prompt, draft.catalog, draft.traits.architecture):
            yield TriggerForbidden(phrase=phrase, slug=slug, mode=mode.value)
        return
    counts = Counter(found.phrase for found in find_phrases(prompt, draft.chosen_triggers()))
    required = {item.phrase for item in draft.chosen_triggers(TriggerRule.REQUIRED)}
    for wanted in draft.chosen_triggers():
        times, slug = counts[wanted.phrase], wanted.slugs[0]
        if mode is Mode.LORA and times and wanted.phrase in required:
            yield TriggerForbidden(phrase=wanted.phrase, slug=slug, mode=mode.value)
        if mode.takes_trigger_words and times > 1 and wanted.phrase in required:
            yield TriggerDuplicated(phrase=wanted.phrase, slug=slug, times=times)
    if mode.takes_trigger_words:
        yield from _check_reach(draft)


def _check_reach(draft: Draft) -> Iterator[TriggerMissing]:
    """With Compel, the words are not weighted away, and can be appended where they are absent."""
    if draft.request.prompt_encoder is not PromptEncoder.COMPEL:
        return
    prompt, triggers = draft.request.prompt, draft.chosen_triggers()
    present = {found.phrase for found in find_phrases(prompt, triggers)}
    silenced = " | ".join(zero_weighted(prompt))
    gone = {found.phrase for found in find_phrases(silenced, triggers)}
    for wanted in triggers:
        if wanted.phrase in gone:
            reason = "its weight is 0"
            remedy = "Give it a weight above 0, or choose mode 'lora'."
        elif wanted.phrase not in present and has_compel_call(prompt):
            reason = "the prompt uses .and() or .blend(), where words cannot be appended"
            remedy = f"Write {wanted.phrase!r} into one of the prompts in quotes."
        else:
            continue
        yield TriggerMissing(
            slug=wanted.slugs[0], phrase=wanted.phrase, reason=reason, remedy=remedy
        )


def check_prompts(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The base takes a negative prompt if there is one."""
    if draft.request.negative_prompt.strip() and not draft.takes_negative:
        yield NegativePromptNotSupported(label=draft.model.label)
    negative = draft.request.negative_prompt
    compel = draft.request.prompt_encoder is PromptEncoder.COMPEL
    if compel and has_compel_call(negative) and draft.wanted_negatives():
        words = ", ".join(item.phrase for item in draft.wanted_negatives())
        yield CallNotWhole(
            field="negative_prompt",
            reason=f"has no place for the LoRA's own words ({words})",
            remedy="Write the negative prompt without .blend() and .and().",
        )


def check_settings(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Every setting has one value, within its range."""
    yield from choices.problems()
    if draft.request.settings.clip_skip is not None and not draft.traits.clip_skip:
        yield ClipSkipNotSupported(architecture=draft.traits.label)
    if isinstance(choices.steps, IntSetting):
        named = choices.scheduler.value if isinstance(choices.scheduler, TextSetting) else ""
        high = STEP_LIMITS.get(named, MAX_STEPS)
        yield from _range("settings.steps", "steps", choices.steps.value, 1, high)
    if isinstance(choices.guidance_scale, FloatSetting):
        value = choices.guidance_scale.value
        yield from _range("settings.guidance_scale", "guidance scale", value, 0, MAX_GUIDANCE)
    if isinstance(choices.clip_skip, IntSetting):
        layers = min(encoder.layers or 1 for encoder in draft.traits.text_encoders)
        high = min(MAX_CLIP_SKIP, layers)
        yield from _range("settings.clip_skip", "clip skip", choices.clip_skip.value, 1, high)
    for slug, strength in choices.strengths.items():
        field = f"loras.{slug}.strength"
        yield from _range(field, f"strength of {slug}", strength.value, 0, MAX_STRENGTH)
    yield from _check_scheduler(choices)


def _check_scheduler(choices: SettingChoices) -> Iterator[Violation]:
    chosen = choices.scheduler
    if isinstance(chosen, TextSetting) and chosen.value not in SCHEDULER_NAMES:
        yield UnknownScheduler(scheduler=chosen.value, known=", ".join(SCHEDULER_NAMES))


def check_size(draft: Draft, choices: SettingChoices) -> Iterator[Violation]:
    """Width and height are in range, multiples of what the base needs, and not too many."""
    multiple, sides = draft.traits.size_multiple, []
    for name, side in (("width", choices.width), ("height", choices.height)):
        if not isinstance(side, IntSetting):
            continue
        sides.append(side.value)
        yield from _range(f"settings.{name}", name, side.value, *SIZE_RANGE)
        below = side.value // multiple * multiple
        if SIZE_RANGE[0] <= side.value <= SIZE_RANGE[1] and side.value != below:
            yield NotAMultiple(
                field=f"settings.{name}",
                name=name,
                value=side.value,
                multiple=multiple,
                below=below,
                above=below + multiple,
            )
    limit = draft.model.settings.max_pixels
    if len(sides) == 2 and limit is not None and sides[0] * sides[1] > limit:
        width, height = sides
        yield TooManyPixels(width=width, height=height, pixels=width * height, limit=limit)


CHECKS: tuple[Check, ...] = (
    check_base,
    check_mode,
    check_architectures,
    check_triggers,
    check_prompts,
    check_settings,
    check_size,
)
