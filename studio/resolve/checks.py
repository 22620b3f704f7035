"""The rules a request must keep: its list of LoRAs, its base, mode and reference images.

Each check yields every violation it finds.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator

from studio.architecture import PIPELINES, TRAITS, Mode
from studio.contract.request import SEED_LIMIT, GenerationRequest
from studio.contract.settings import MAX_COUNT, MAX_LORAS
from studio.contract.violations import (
    ArchitectureMismatch,
    ArchitectureNotRunnable,
    DuplicateLora,
    EncoderNotSupported,
    LoraForbidden,
    LoraRequired,
    ModeNotSupported,
    NoTriggerWords,
    OutOfRange,
    PhrasesRefused,
    ReferenceForbidden,
    ReferenceMissing,
    ReferenceRequired,
    ReferenceUnsuitable,
    TooManyLoras,
    TooManyReferences,
    UnknownLora,
    Violation,
)
from studio.presets import Catalog
from studio.resolve.choices import SettingChoices
from studio.resolve.context import Draft
from studio.resolve.triggers import chosen_triggers

REFERENCE_SIDE = 64
"""Pixels: FLUX.2 refuses a smaller side, and the other editors see nothing in one."""
REFERENCE_RATIO = 8
"""FLUX.2 refuses a longer picture."""
NEAR = 3
"""How many slugs are offered for a wrong one."""

Check = Callable[[Draft, SettingChoices], Iterator[Violation]]


def check_request(request: GenerationRequest, catalog: Catalog) -> Iterator[Violation]:
    """What can be said without knowing the base."""
    yield from _check_lora_list(request, catalog)
    yield from in_range("count", "Pictures", request.count, 1, MAX_COUNT)
    clamped_count = min(max(request.count, 1), MAX_COUNT)
    yield from in_range("seed", "seed", request.seed, 0, SEED_LIMIT - clamped_count)


def _check_lora_list(request: GenerationRequest, catalog: Catalog) -> Iterator[Violation]:
    for slug, times in Counter(choice.slug for choice in request.loras).items():
        preset = catalog.loras.get(slug)
        if times > 1:
            label = slug if preset is None else preset.label
            yield DuplicateLora(field=f"loras.{slug}", slug=slug, label=label, times=times)
        if preset is None:
            near = _near(slug, catalog)
            meant = f"Did you mean {' or '.join(near)}?" if near else "Add a preset for it."
            yield UnknownLora(field=f"loras.{slug}", slug=slug, hint=meant)
    count = len(request.loras)
    if count > MAX_LORAS:
        yield TooManyLoras(count=count, limit=MAX_LORAS, surplus=count - MAX_LORAS)


def _near(slug: str, catalog: Catalog) -> list[str]:
    """Slugs that somebody who wrote ``slug`` may have meant; of thousands, those that begin
    like it, because a full comparison would take longer than anybody waits."""
    alike = [known for known in catalog.loras if known[:2] == slug[:2]]
    return difflib.get_close_matches(slug, alike[:500], n=NEAR)


def in_range(field: str, name: str, value: float, low: float, high: float) -> Iterator[OutOfRange]:
    if not low <= value <= high:
        yield OutOfRange(field=field, name=name, value=value, low=low, high=high)


def check_base(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The engine can run the architecture, and it has the mode and the encoder."""
    traits, mode = draft.traits, draft.request.mode
    if not traits.runnable:
        runnable = ", ".join(each.label for each in TRAITS.values() if each.runnable)
        yield ArchitectureNotRunnable(
            label=draft.model.label, architecture=traits.label, runnable=runnable
        )
    modes = draft.pipeline.modes
    if mode not in modes:
        yield ModeNotSupported(
            label=draft.model.label, mode=mode, modes=_in_words(modes), remedy=_remedy(draft)
        )
    if draft.compel and not traits.compel:
        yield EncoderNotSupported(architecture=traits.label)


def _remedy(draft: Draft) -> str:
    """The way out of a mode that the base has not."""
    mode = draft.request.mode
    bases = [
        model.label
        for model in draft.catalog.models.values()
        if mode in PIPELINES[model.pipeline].modes and TRAITS[model.base_architecture].runnable
    ]
    others = f", or the base {' or '.join(bases[:NEAR])}" if bases else ""
    return f"Choose {_in_words(draft.pipeline.modes)}{others}."


def _in_words(modes: frozenset[Mode]) -> str:
    """The modes in the order they are declared."""
    return ", ".join(mode.label for mode in Mode if mode in modes)


def check_mode(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The mode and the chosen LoRAs agree."""
    mode, chosen = draft.request.mode, draft.request.loras
    if mode is Mode.BASE and chosen:
        slugs = sorted(choice.slug for choice in chosen)
        labels = ", ".join(draft.label_of(slug) for slug in slugs)
        yield LoraForbidden(count=len(chosen), slugs=", ".join(slugs), labels=labels)
    if mode.needs_loras and not chosen:
        yield LoraRequired(mode=mode)
    needs_words = mode.needs_loras and mode.takes_trigger_words
    if needs_words and draft.chosen and not chosen_triggers(draft):
        for _choice, preset in draft.chosen:
            yield NoTriggerWords(field="mode", slug=preset.slug, label=preset.label, mode=mode)
    yield from _check_phrases(draft)


def _check_phrases(draft: Draft) -> Iterator[PhrasesRefused]:
    """Chosen trigger phrases are the preset's own, and some."""
    for choice, preset in draft.chosen:
        known, chosen = preset.trigger_phrases, choice.phrases
        if chosen is None:
            continue
        strange = [phrase for phrase in chosen if phrase not in known]
        if strange:
            reason = f"{preset.label} has no trigger words {strange[0]!r}."
        elif not chosen:
            reason = f"None of the trigger words of {preset.label} is chosen."
        else:
            continue
        field = f"loras.{preset.slug}"
        listed = ", ".join(map(repr, known)) or "none"
        yield PhrasesRefused(field=field, slug=preset.slug, reason=reason, known=listed)


def check_references(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """An edit has its reference images, and nothing else has any."""
    mode, given = draft.request.mode, draft.request.references
    if mode is not Mode.REFERENCE_EDIT:
        if given:
            yield ReferenceForbidden(mode=mode)
        return
    limit = draft.pipeline.max_references
    if not limit:
        return  # the base has not this mode, which is said beside the mode
    if not given:
        yield ReferenceRequired(mode=mode)
    if len(given) > limit:
        yield TooManyReferences(
            label=draft.model.label, count=len(given), limit=limit, surplus=len(given) - limit
        )
    for each in given:
        if each.sha256 not in draft.inventory.references:
            yield ReferenceMissing(sha256=each.sha256)
        reason = _unsuitable(each.width, each.height)
        if reason:
            yield ReferenceUnsuitable(
                sha256=each.sha256,
                width=each.width,
                height=each.height,
                reason=reason,
                low=REFERENCE_SIDE,
                ratio=REFERENCE_RATIO,
            )


def _unsuitable(width: int, height: int) -> str | None:
    short, long = sorted((width, height))
    if short < REFERENCE_SIDE:
        return f"a side of less than {REFERENCE_SIDE} pixels shows too little"
    if long > REFERENCE_RATIO * short:
        return f"one side is more than {REFERENCE_RATIO} times the other"
    return None


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
