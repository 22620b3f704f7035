"""What Compel's syntax means for a text."""

import re

_COMPEL_WEIGHT = re.compile(
    r"(?<!\\)(?:\)|(?<=[^\s(,])\")(?:\d+(?:\.\d+)?|\++|-+)"
    r"|(?<=\w)(?:\+{2,}|-{2,}|[+-](?=$|[\s,.;)]))"
)
_COMPEL_CALL = re.compile(r"\)\s*\.(?:and|blend)\s*\(")
_WHOLE_CALL = re.compile(
    r'\((?P<prompts>\s*"(?:[^"\\]|\\.)*"(?:\s*,\s*"(?:[^"\\]|\\.)*")*\s*)\)'
    r"\s*\.(?P<call>and|blend)\s*\((?P<weights>[^()]*)\)"
)
_ZERO_WEIGHT = re.compile(r"\(((?:\\.|[^()\\])*)\)0(?:\.0*)?(?![\d.])")
_COMPEL_WITHOUT_EFFECT = re.compile(r"\.swap\s*\(|\bwithLora\s*\(")


def has_compel_weights(text: str) -> bool:
    """Whether the text uses ``word++`` or ``(words)1.3``."""
    return bool(_COMPEL_WEIGHT.search(text) or _COMPEL_CALL.search(text))


def has_compel_call(text: str) -> bool:
    """Whether the text ends its prompts with ``.and()`` or ``.blend()``."""
    return bool(_COMPEL_CALL.search(text))


def compel_words(text: str) -> str:
    """The words Compel hands to the encoder: weights, brackets and quotes are its syntax.

    Equal to ``text`` exactly where the text has no syntax. With ``.blend()`` and ``.and()``
    the encoder reads each prompt on its own, which one text cannot say.
    """
    return re.sub(r'\\([()"])', r"\1", _without_pairs(_without_weights(text)))


def _without_weights(text: str) -> str:
    return _COMPEL_WEIGHT.sub(
        lambda match: match.group()[0] if match.group()[0] in ')"' else "", text
    )


def loses_marks(text: str) -> bool:
    """Whether Compel takes a pair of brackets or quotes off that gives nothing a weight."""
    if _COMPEL_CALL.search(text):
        return False
    used = re.sub(_COMPEL_WEIGHT, lambda match: "\0" * len(match.group()), text)
    # A bracket whose partner carried a weight has none any more, and stays.
    return _without_pairs(used) != used


def as_compel_reads(text: str) -> str | None:
    """How Compel is told to read ``text`` as its characters; None where it cannot be.

    It knows an escape for brackets and quotes alone. A sign after a word is a weight, but for a
    blank between them, which CLIP's tokenizer does not see: it splits letters from signs anyway.
    """
    if re.search(r'\\[()"]', text):
        return None  # Compel takes the backslash off, however many there are
    escaped = re.sub(r'[()"]', r"\\\g<0>", text)
    spelled = re.sub(r"(?<=[^\W_])(?=(?:[+-][+-]|[+-](?=[\s,.=]|$)))", " ", escaped)
    weighted = re.search(r"(?<=[^\s+-])(?:[+-][+-]|[+-](?=[\s,.=]|$))", spelled)
    return None if weighted else spelled


def _without_pairs(text: str) -> str:
    """Matched brackets and quotes become blanks; one without its partner is a plain mark."""
    characters = list(text)
    brackets: list[int] = []
    quote: int | None = None
    for place in (match.start() for match in re.finditer(r'(?<!\\)[()"]', text)):
        opened: int | None = None
        if text[place] == "(":
            brackets.append(place)
        elif text[place] == ")":
            opened = brackets.pop() if brackets else None
        elif quote is None:
            quote = place
        else:
            opened, quote = quote, None
        if opened is not None:
            characters[opened] = characters[place] = " "
    return "".join(characters)


def dropped_by_call(text: str) -> str | None:
    """Why Compel would not read all of a text with ``.blend()`` or ``.and()``; None if it would.

    Compel stops reading at the end of the call, and wants a weight for each prompt.
    """
    if not _COMPEL_CALL.search(text):
        return None
    whole = _WHOLE_CALL.fullmatch(text.strip())
    if whole is None:
        return "reads nothing before the prompts in quotes and nothing after the call"
    prompts = len(re.findall(r'"(?:[^"\\]|\\.)*"', whole["prompts"]))
    weights = len([part for part in whole["weights"].split(",") if part.strip()])
    if weights != prompts and (weights or whole["call"] == "blend"):
        return f"wants {prompts} weights for {prompts} prompts, and gets {weights}"
    return None


def most_open_brackets(text: str) -> int:
    """How many brackets are open at once; one that is never closed stays open."""
    now = most = 0
    for match in re.finditer(r"\\.|[()]", text, re.DOTALL):
        if match.group() == "(":
            now += 1
            most = max(most, now)
        elif match.group() == ")":
            now = max(0, now - 1)
    return most


def has_compel_syntax(text: str) -> bool:
    """Whether Compel may read anything in the text as more than plain words."""
    return re.search(r'[()"+-]', text) is not None


def zero_weighted(text: str) -> tuple[str, ...]:
    """The words that Compel's weight 0 takes out: ``(words)0``."""
    return tuple(match.group(1) for match in _ZERO_WEIGHT.finditer(text))


def syntax_without_effect(text: str) -> tuple[str, ...]:
    """Compel's ``.swap()`` and ``withLora()``: parsed, and then meant for nobody."""
    return tuple(match.group() + ")" for match in _COMPEL_WITHOUT_EFFECT.finditer(text))
