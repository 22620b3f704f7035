"""A draft → its resolved prompt with the token ledger, and what does not fit the window."""

from collections.abc import Callable

from studio.prompt import (
    PartKind,
    PromptPart,
    ResolvedPrompt,
    Side,
    TokenLedger,
    Wanted,
    compel_words,
    compose,
    fit_to_window,
    kept_text,
)
from studio.request import PromptEncoder
from studio.resolve.draft import Draft
from studio.violations import PromptTooLong, TriggerMissing, Violation

Parts = tuple[PromptPart, ...]


def resolve_prompt(draft: Draft) -> tuple[ResolvedPrompt, tuple[Violation, ...]]:
    """Both sides composed, cut to the native window where consented, and counted.

    Where the base is not on disk there is nobody to count tokens; the missing base is a
    violation of its own, so no plan comes of it.
    """
    request = draft.request
    negative = request.negative_prompt if draft.takes_negative else ""
    wanted = draft.wanted_triggers()
    parts = compose(request.prompt, wanted, PartKind.TRIGGER)
    negative_parts = compose(negative, draft.wanted_negatives(), PartKind.NEGATIVE)
    found: tuple[Violation, ...] = ()
    full = {Side.PROMPT: kept_text(parts), Side.NEGATIVE: kept_text(negative_parts)}
    if request.prompt_encoder is PromptEncoder.NATIVE:
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
    entries = []
    for encoder, count in draft.counters.items():
        for side in Side:
            if draft.request.prompt_encoder is PromptEncoder.COMPEL:
                used, limit, wanted = len(count(compel_words(kept[side]))), None, None
            else:
                used, limit = len(count(kept[side])), draft.window(encoder)
                wanted = len(count(full[side]))
            cut = 0 if wanted is None else wanted - used
            entries.append(
                TokenLedger(encoder=encoder, side=side, used=used, limit=limit, cut=cut)
            )
    return tuple(entries)


def _fit_side(
    draft: Draft, parts: Parts, side: Side, triggers: tuple[Wanted, ...]
) -> tuple[Parts, tuple[Violation, ...]]:
    def fits(text: str) -> bool:
        return all(
            len(count(text)) <= draft.window(name) for name, count in draft.counters.items()
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
        phrase=item.phrase,
        reason="the chosen LoRAs' trigger words alone are longer than the encoder's window",
        remedy=_remedy(draft, cuttable=False),
    )


def _alternative(draft: Draft) -> str:
    if draft.traits.compel:
        return "choose the prompt encoder 'compel', which has no limit"
    return "choose a base with a longer window"


def _too_long(draft: Draft, parts: Parts, fitted: Parts | None, side: Side) -> PromptTooLong:
    text = kept_text(parts)
    count: Callable[[str], int] = lambda name: len(draft.counters[name](text))  # noqa: E731
    encoder = max(draft.counters, key=lambda name: count(name) - draft.window(name))
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
