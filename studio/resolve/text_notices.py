"""What becomes of the words: weights that are none, words that are cut, names that do nothing."""

import re
from collections.abc import Iterator, Sequence

from studio.contract.plan import Notice
from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt, Side, TokenLedger
from studio.resolve.compel_syntax import has_compel_weights, loses_marks
from studio.resolve.context import Draft
from studio.resolve.foreign import a1111_weights, foreign

EMBEDDING_NAMES = (
    "EasyNegative",
    "badhandv4",
    "bad-hands-5",
    "negative_hand",
    "verybadimagenegative",
)
"""Textual inversions that published presets name in negative prompts (fact, not a rule)."""

UNKNOWN_NAMED = 5
"""How many words that a base does not know are named in one sentence."""

_ARTICLES = {"a", "an", "the", "some", "this", "that", "its"}
_BETWEEN = {
    "and",
    "or",
    "of",
    "in",
    "on",
    "at",
    "by",
    "to",
    "from",
    "with",
    "for",
    "as",
    "is",
    "it",
}
GRAMMAR = frozenset(_ARTICLES | _BETWEEN)
"""Words that name nothing, so that no picture lacks them."""

_FIELDS = {Side.PROMPT: "prompt", Side.NEGATIVE: "negative_prompt"}


def text_notices(draft: Draft, prompt: ResolvedPrompt) -> Iterator[Notice]:
    describe = _compel_sentences if draft.compel else _native_sentences
    for side, parts in ((Side.PROMPT, prompt.parts), (Side.NEGATIVE, prompt.negative_parts)):
        typed, own = _typed(parts)
        for sentence in describe(typed):
            text = sentence.translate(own)
            yield Notice(code="weight_as_text", field=_FIELDS[side], text=text)
        for each, where in foreign(typed):
            ours = f" Here it is written {each.ours}." if each.ours else ""
            text = f"{where.translate(own)} is plain words to the encoder; {each.means}.{ours}"
            yield Notice(code=f"foreign_{each.kind}", field=_FIELDS[side], text=text)
    summaries = {each.component for each in draft.traits.text_encoders if each.summary}
    for entry in prompt.ledger:
        if entry.cut:
            yield _summed_up(entry) if entry.encoder in summaries else _cut(entry)
    for side, text in ((Side.PROMPT, prompt.text), (Side.NEGATIVE, prompt.negative_text)):
        yield from _embedding_notices(side, text)
    yield from _negative_left_out(draft)
    yield from _unknown_words(draft)


_STANDS_IN = 0xA500
"""The first of many letters that hardly anybody writes."""


def _typed(parts: Sequence[PromptPart]) -> tuple[str, dict[int, str]]:
    """What is kept, with a letter for each of the LoRAs' own words, whose marks are no syntax; and
    the words that the letters stand for."""
    own: dict[int, str] = {}
    text = ""
    for part in parts:
        if not part.cut and part.kind in (PartKind.TRIGGER, PartKind.NEGATIVE):
            own[_STANDS_IN + len(own)] = part.text
            text += chr(_STANDS_IN + len(own) - 1)
        elif not part.cut:
            text += part.text
    return text, own


def _cut(entry: TokenLedger) -> Notice:
    text = f"{entry.cut} tokens of the {_words(entry)} are cut off, with your consent."
    return Notice(code="words_cut", field=_FIELDS[entry.side], text=text)


def _summed_up(entry: TokenLedger) -> Notice:
    text = (
        f"The CLIP encoder sums up the first {entry.used} tokens of the {_words(entry)}; the "
        f"other {entry.cut} reach the picture through the encoder beside it alone."
    )
    return Notice(code="beyond_summary", field=_FIELDS[entry.side], text=text)


def _words(entry: TokenLedger) -> str:
    return "prompt" if entry.side is Side.PROMPT else "negative prompt"


def _compel_sentences(text: str) -> Iterator[str]:
    weights = a1111_weights(text)
    for found, wanted in weights:
        yield (
            f"{found} sets no weight: Compel takes the brackets off and encodes the number as "
            f"plain words. Compel writes it {wanted}."
        )
    if not weights and loses_marks(text):
        yield (
            "Compel takes brackets and quotes for its own and leaves them out; "
            "a backslash before one keeps it."
        )


def _native_sentences(text: str) -> Iterator[str]:
    for found, _ in a1111_weights(text):
        yield f"{found} sets no weight: the native encoder reads it as plain words."
    if has_compel_weights(text):
        yield "Weighting marks are plain words to the native encoder; Compel reads them."


def _embedding_notices(side: Side, text: str) -> Iterator[Notice]:
    for name in EMBEDDING_NAMES:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
            sentence = f"{name} is an embedding; as plain words it does nothing of the kind."
            yield Notice(code="embedding_as_text", field=_FIELDS[side], text=sentence)


def _negative_left_out(draft: Draft) -> Iterator[Notice]:
    if draft.takes_negative:
        return
    why = f"{draft.model.label} takes none"
    if draft.may_take_negative:
        why = "true CFG is off"
    for _, preset in draft.applied:
        if preset.negative_prompt:
            text = f"{preset.label} brings a negative prompt; {why}, so it is left out."
            yield Notice(code="negative_left_out", field="negative_prompt", text=text)


def _unknown_words(draft: Draft) -> Iterator[Notice]:
    """What a base that knows few things will not draw."""
    model = draft.model
    if not model.knows:
        return
    triggers = (phrase for _, preset in draft.chosen for phrase in preset.trigger_phrases)
    texts = (*model.knows, *model.backgrounds, *model.reads, *triggers)
    known = GRAMMAR.union(*map(_words_of, texts))
    unknown = [f"“{word}”" for word in _words_of(draft.request.prompt) if word not in known]
    if not unknown:
        return
    more = len(unknown) - UNKNOWN_NAMED
    named = unknown[:UNKNOWN_NAMED] + ([f"{more} more"] if more > 0 else [])
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    are = "is" if len(unknown) == 1 else "are"
    text = f"{model.label} draws {len(model.knows)} things; {listed} {are} not among them."
    yield Notice(code="words_unknown", field="prompt", text=text)


def _words_of(text: str) -> tuple[str, ...]:
    """The words, lower case, each once."""
    return tuple(dict.fromkeys(re.findall(r"[^\W\d_]+", text.lower())))
