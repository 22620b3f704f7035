"""The rules of the prompt and the negative prompt, and of the trigger words in them."""

import re
from collections import Counter
from collections.abc import Iterator

from studio.architecture import Mode
from studio.contract.prompt import ResolvedPrompt
from studio.contract.request import GenerationRequest
from studio.contract.violations import (
    BracketsTooDeep,
    CallNotWhole,
    ControlTokenInPrompt,
    LoraTagInPrompt,
    NegativePromptNotSupported,
    PromptEmpty,
    SyntaxWithoutEffect,
    TextTooLarge,
    TextUnparsable,
    TextUnreadable,
    TriggerDuplicated,
    TriggerForbidden,
    TriggerMissing,
    Violation,
)
from studio.presets import TriggerRule
from studio.presets.prompt_tags import prompt_tags
from studio.resolve.choices import SettingChoices
from studio.resolve.compel_parser import refusal
from studio.resolve.compel_syntax import (
    as_compel_reads,
    dropped_by_call,
    has_compel_call,
    has_compel_syntax,
    most_open_brackets,
    syntax_without_effect,
    zero_weighted,
)
from studio.resolve.compose import find_phrases
from studio.resolve.context import Draft
from studio.resolve.triggers import (
    base_prompt_triggers,
    chosen_triggers,
    wanted_negatives,
    wanted_triggers,
)

MAX_TEXT = 20_000
"""Characters of a prompt; a picture's record holds it several times."""

MAX_WEIGHTED_TEXT = 5_000
"""Characters of a text with brackets, quotes or weights: Compel's parser takes up to a second for
each thousand of them."""
MAX_OPEN_BRACKETS = 16
"""Open at once: with 24 Compel's parser meets Python's limit of recursion."""


def check_text(request: GenerationRequest) -> Iterator[Violation]:
    """Both texts can be written down and are no books; else nothing more is said of them."""
    for field, text in _sides(request):
        if len(text) > MAX_TEXT:
            yield TextTooLarge(field=field, length=len(text), limit=MAX_TEXT)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            yield TextUnreadable(field=field, place=error.start + 1)


def _sides(request: GenerationRequest) -> tuple[tuple[str, str], ...]:
    return (("prompt", request.prompt), ("negative_prompt", request.negative_prompt))


def check_words(request: GenerationRequest) -> Iterator[Violation]:
    """There is a prompt, and LoRAs are not written into it."""
    if not request.prompt.strip():
        yield PromptEmpty()
    for field, text in _sides(request):
        for tag in prompt_tags(text):
            yield LoraTagInPrompt(field=field, tag=tag.written)


def check_syntax(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The encoder reads all of the texts, and reads them as words."""
    for field, text in _sides(draft.request):
        if draft.compel:
            for syntax in syntax_without_effect(text):
                yield SyntaxWithoutEffect(field=field, found_syntax=syntax)
            if reason := dropped_by_call(text):
                remedy = "Put all words into the quotes, and give each prompt its weight."
                yield CallNotWhole(field=field, reason=reason, remedy=remedy)
        controls = {token for counter in draft.counters.values() for token in counter.controls}
        lowered = text.lower()
        for token in sorted(token for token in controls if token.lower() in lowered):
            yield ControlTokenInPrompt(field=field, token=token)


def check_compel(draft: Draft, prompt: ResolvedPrompt) -> Iterator[Violation]:
    """Compel reads the resolved texts, LoRAs' own words among them, in bounded time."""
    if not draft.compel:
        return
    yield from _unspeakable(draft)
    for field, text in (("prompt", prompt.text), ("negative_prompt", prompt.negative_text)):
        depth = most_open_brackets(text)
        if depth > MAX_OPEN_BRACKETS:
            yield BracketsTooDeep(field=field, depth=depth, limit=MAX_OPEN_BRACKETS)
        elif has_compel_syntax(text) and len(text) > MAX_WEIGHTED_TEXT:
            yield TextTooLarge(field=field, length=len(text), limit=MAX_WEIGHTED_TEXT)
        elif dropped_by_call(text) is None and (reason := refusal(text)):
            yield TextUnparsable(field=field, reason=reason)


def _unspeakable(draft: Draft) -> Iterator[TriggerMissing]:
    """Words of LoRAs that Compel cannot be told to read as their characters."""
    sides = zip(
        _sides(draft.request), (wanted_triggers(draft), wanted_negatives(draft)), strict=True
    )
    for (field, typed), wanted in sides:
        open_quote = len(re.findall(r'(?<!\\)"', typed)) % 2
        for item in wanted:
            reason = "Compel reads signs in it as its own, and has no way to write them"
            remedy = "Choose the native prompt encoder."
            if '"' in item.phrase and open_quote:
                reason, remedy = "a quote is open before it", "Close the quote."
            elif as_compel_reads(item.phrase) is not None:
                continue
            slug = item.slugs[0]
            yield TriggerMissing(
                field=field,
                slug=slug,
                label=draft.label_of(slug),
                phrase=item.phrase,
                reason=reason,
                remedy=remedy,
            )


def check_triggers(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """Trigger words stand in the prompt exactly where the mode wants them."""
    mode, prompt = draft.request.mode, draft.request.prompt
    if mode is Mode.BASE or (mode is Mode.REFERENCE_EDIT and not draft.chosen):
        for phrase, slug in base_prompt_triggers(prompt, draft.catalog, draft.traits.architecture):
            yield _forbidden(draft, phrase, slug)
        return
    counts = Counter(found.phrase for found in find_phrases(prompt, chosen_triggers(draft)))
    # Merged without regard to case: the spelling may be that of a LoRA which does not require it.
    required = {
        item.phrase.lower(): item.slugs[0] for item in chosen_triggers(draft, TriggerRule.REQUIRED)
    }
    for wanted in chosen_triggers(draft):
        times, whose = counts[wanted.phrase], required.get(wanted.phrase.lower())
        if whose is None:
            continue
        if mode is Mode.LORA and times:
            yield _forbidden(draft, wanted.phrase, whose)
        if mode.takes_trigger_words and times > 1:
            yield TriggerDuplicated(
                phrase=wanted.phrase, slug=whose, label=draft.label_of(whose), times=times
            )
    if mode.takes_trigger_words:
        yield from _check_reach(draft)


def _forbidden(draft: Draft, phrase: str, slug: str) -> TriggerForbidden:
    mode = draft.request.mode
    remedy = f"with the mode “{Mode.LORA_WITH_TRIGGER.label}”"
    if mode is Mode.REFERENCE_EDIT:
        remedy = "too"
    elif mode is Mode.BASE:
        remedy += f", or “{Mode.TRIGGER_ONLY.label}” to test the words without the LoRA"
    return TriggerForbidden(
        phrase=phrase, slug=slug, label=draft.label_of(slug), mode=mode, remedy=remedy
    )


def _check_reach(draft: Draft) -> Iterator[TriggerMissing]:
    """With Compel, the words are not weighted away, and can be appended where they are absent."""
    if not draft.compel:
        return
    prompt, triggers = draft.request.prompt, wanted_triggers(draft)
    present = {found.phrase for found in find_phrases(prompt, triggers)}
    silenced = " | ".join(zero_weighted(prompt))
    gone = {found.phrase for found in find_phrases(silenced, triggers)}
    for wanted in triggers:
        if wanted.phrase in gone:
            reason = "its weight is 0"
            remedy = f"Give it a weight above 0, or choose the mode “{Mode.LORA.label}”."
        elif wanted.phrase not in present and has_compel_call(prompt):
            reason = "the prompt uses .and() or .blend(), where words cannot be appended"
            remedy = f"Write {wanted.phrase!r} into one of the prompts in quotes."
        else:
            continue
        slug = wanted.slugs[0]
        yield TriggerMissing(
            slug=slug,
            label=draft.label_of(slug),
            phrase=wanted.phrase,
            reason=reason,
            remedy=remedy,
        )


def check_negative(draft: Draft, _: SettingChoices) -> Iterator[Violation]:
    """The base takes a negative prompt if there is one."""
    negative = draft.request.negative_prompt
    if negative.strip() and not draft.takes_negative:
        remedy = "Remove the negative prompt, or choose a base that takes one."
        if draft.may_take_negative:
            remedy = "Set the true CFG scale above 1, or remove the negative prompt."
        yield NegativePromptNotSupported(label=draft.model.label, remedy=remedy)
    if draft.compel and has_compel_call(negative) and wanted_negatives(draft):
        words = ", ".join(item.phrase for item in wanted_negatives(draft))
        yield CallNotWhole(
            field="negative_prompt",
            reason=f"has no place for the LoRA's own words ({words})",
            remedy="Write the negative prompt without .blend() and .and().",
        )
