"""A draft → its resolved prompt with the token ledger, and what does not fit the window."""

from collections.abc import Callable

from studio.contract.prompt import (
    PartKind,
    PromptPart,
    ResolvedPrompt,
    Side,
    TokenLedger,
    kept_text,
)
from studio.contract.violations import PromptTooLong, TriggerMissing, Violation
from studio.resolve.compel_syntax import compel_words
from studio.resolve.compose import Wanted, compose, fit_to_window
from studio.resolve.context import Draft
from studio.resolve.triggers import marked_triggers, wanted_negatives, wanted_triggers

Parts = tuple[PromptPart, ...]


def resolve_prompt(draft: Draft) -> tuple[ResolvedPrompt, tuple[Violation, ...]]:
    """Both sides composed, cut to the native window where consented, and counted.

    Where the base is not on disk there is nobody to count tokens; the missing base is a
    violation of its own, so no plan comes of it.
    """
    request = draft.request
    negative = request.negative_prompt if draft.takes_negative else ""
    wanted = wanted_triggers(draft)
    marked, compel = marked_triggers(draft), draft.compel
    parts = compose(request.prompt, wanted, PartKind.TRIGGER, marked, compel)
    negatives = wanted_negatives(draft)
    negative_parts = compose(negative, negatives, PartKind.NEGATIVE, compel=compel)
    found: tuple[Violation, ...] = ()
    full = {Side.PROMPT: kept_text(parts), Side.NEGATIVE: kept_text(negative_parts)}
    if not draft.compel:
        parts, too_long = _fit_side(draft, parts, Side.PROMPT, wanted)
        negative_parts, too_long_negative = _fit_side(draft, negative_parts, Side.NEGATIVE, ())
        found = (*too_long, *too_long_negative)
    kept = {Side.PROMPT: kept_text(parts), Side.NEGATIVE: kept_text(negative_parts)}
    prompt = ResolvedPrompt(
        typed=request.prompt,
        negative_typed=request.negative_prompt,
        parts=parts,
        negative_parts=negative_parts,
        ledger=_ledger(draft, kept, full),
    )
    return prompt, found


def _ledger(draft: Draft, kept: dict[Side, str], full: dict[Side, str]) -> tuple[TokenLedger, ...]:
    return tuple(
        _entry(draft, encoder, side, kept[side], full[side])
        for encoder in draft.counters
        for side in Side
    )


def _entry(draft: Draft, encoder: str, side: Side, kept: str, full: str) -> TokenLedger:
    count = draft.counters[encoder]
    if draft.compel:
        used = len(count(compel_words(kept)))
        return TokenLedger(encoder=encoder, side=side, used=used, limit=None, cut=0)
    limit, used = draft.window(encoder), len(count(kept))
    if encoder in _summaries(draft):
        used = min(used, limit)
    cut = len(count(full)) - used
    return TokenLedger(encoder=encoder, side=side, used=used, limit=limit, cut=cut)


def _summaries(draft: Draft) -> set[str]:
    """The encoders beside which another one reads everything."""
    return {each.component for each in draft.traits.text_encoders if each.summary}


def _readers(draft: Draft) -> list[str]:
    """The encoders whose windows the words must fit."""
    summaries = _summaries(draft)
    return [encoder for encoder in draft.counters if encoder not in summaries]


def _fit_side(
    draft: Draft, parts: Parts, side: Side, triggers: tuple[Wanted, ...]
) -> tuple[Parts, tuple[Violation, ...]]:
    def fits(text: str) -> bool:
        return all(
            len(draft.counters[name](text)) <= draft.window(name) for name in _readers(draft)
        )

    if fits(kept_text(parts)):
        return parts, ()
    fitted = fit_to_window(parts, fits)
    if fitted is None and triggers:
        return parts, tuple(_no_room(draft, item) for item in triggers)
    if fitted is not None and draft.request.allow_cut:
        return fitted, ()
    return parts, (_too_long(draft, parts, fitted, side),)


def _no_room(draft: Draft, item: Wanted) -> TriggerMissing:
    return TriggerMissing(
        slug=item.slugs[0],
        label=draft.label_of(item.slugs[0]),
        phrase=item.phrase,
        reason="the chosen LoRAs' trigger words alone are longer than the encoder's window",
        remedy=_remedy(draft, cuttable=False),
    )


def _alternative(draft: Draft) -> str:
    if draft.traits.compel:
        return "choose the prompt encoder Compel, which has no limit"
    return "choose a base with a longer window"


def _too_long(draft: Draft, parts: Parts, fitted: Parts | None, side: Side) -> PromptTooLong:
    text = kept_text(parts)
    count: Callable[[str], int] = lambda name: len(draft.counters[name](text))  # noqa: E731
    encoder = max(_readers(draft), key=lambda name: count(name) - draft.window(name))
    cut = "".join(part.text for part in fitted if part.cut) if fitted else text
    return PromptTooLong(
        field="prompt" if side is Side.PROMPT else "negative_prompt",
        encoder=encoder,
        side="prompt" if side is Side.PROMPT else "negative prompt",
        limit=draft.window(encoder),
        tokens=count(encoder),
        words=cut.strip(),
        remedy=_remedy(draft, fitted is not None),
    )


def _remedy(draft: Draft, cuttable: bool) -> str:
    choose = _alternative(draft)
    if cuttable:
        return f"Shorten it, allow the cut, or {choose}."
    return f"The LoRAs' own words alone are too long: {choose}, or remove a LoRA."
