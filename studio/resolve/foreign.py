"""What other tools write into prompts: named where it is found, and put into our form.

Compel reads ``(words)1.3``, ``(words)++`` and ``("a", "b").and()``; the meaning of the others is
as their own documentation has it: A1111's attention and prompt editing, NovelAI's braces,
wildcards of the Dynamic Prompts extension, ComfyUI's ``embedding:``, pivotal tuning's tokens.
"""

import re
from collections import Counter
from dataclasses import dataclass

from studio.presets.prompt_tags import PromptTag, prompt_tags
from studio.resolve.compel_syntax import has_compel_call

_WEIGHT = re.compile(r"\\.|\(([^()]+):\s*(\d+(?:\.\d+)?)\)", re.DOTALL)
_NUMBER = r"\d+(?:\.\d+)?"
UP, DOWN, BRACE = 1.1, 0.909, 1.05
"""A1111's brackets multiply attention by 1.1, its square ones divide by it; NovelAI's braces."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """One kind of another tool's grammar.

    Attributes:
        means: what it does there, after "; ".
        ours: what is written for it here, as the end of a sentence; empty where there is nothing.
    """

    kind: str
    pattern: re.Pattern[str]
    means: str
    ours: str = ""


TABLE = (
    Foreign(
        "prompt_editing",
        re.compile(rf"\[[^\[\]|]*:\s*{_NUMBER}\s*\]"),
        "A1111 changes from one text to the other in mid-run",
    ),
    Foreign("alternation", re.compile(r"\[[^\[\]]*\|[^\[\]]*\]"), "A1111 takes them in turns"),
    Foreign(
        "less_attention",
        re.compile(rf"(?<!\\)\[(?![^\[\]]*(?:\||:\s*{_NUMBER}\s*\]))[^\[\]]+\]"),
        "A1111 pays less attention to it",
        f"(words){DOWN} with Compel",
    ),
    Foreign("choice", re.compile(r"\{[^{}]*\|[^{}]*\}"), "other tools choose one by chance"),
    Foreign(
        "more_attention",
        re.compile(r"(?<!\\)\{[^{}|]+\}"),
        "NovelAI pays more attention to it",
        f"(words){BRACE} with Compel",
    ),
    Foreign(
        "break",
        re.compile(r"(?<!\w)BREAK(?!\w)"),
        "A1111 begins a new window of tokens there",
        '("before", "after").and() with Compel',
    ),
    Foreign("and", re.compile(r"(?<!\w)AND(?!\w)"), "A1111 adds up what the texts around it do"),
    Foreign("wildcard", re.compile(r"__\w[\w/.-]*?__"), "other tools put a line of a file there"),
    Foreign(
        "embedding",
        re.compile(r"(?<!\w)embedding:[\w./-]+", re.IGNORECASE),
        "ComfyUI puts a textual inversion there, which are not used here",
    ),
    Foreign(
        "pivotal_tokens",
        re.compile(r"(?:<s\d+>)+"),
        "they are tokens that came with one LoRA's own embeddings, which are not used here",
    ),
    Foreign("wide_comma", re.compile("[，、]"), "it parts no words", "a plain comma"),
    Foreign("wide_bracket", re.compile("[（）：]"), "it sets no weight", "with the plain marks"),
    Foreign(
        "regions",
        re.compile(
            r"(?<!\w)(?:ADD(?:COL|ROW|BASE|COMM)(?!\w)"
            r"|(?:COUPLE|MASK|IMASK|AREA|FILL)\([\d., ]*\))"
        ),
        "other tools part the picture into regions by it",
    ),
    Foreign(
        "tag",
        re.compile(
            r"<(?!(?:lora|lyco|hypernet):)!?[a-z]\w*(?:\[[^\[\]<>]*\])?[:!][^<>]*>", re.IGNORECASE
        ),
        "SwarmUI and others put something else there",
    ),
    Foreign(
        "numeric_weight",
        re.compile(rf"(?<![\w.:])-?{_NUMBER}::(?=\S)"),
        "NovelAI and Midjourney weight what follows",
        "(words)1.2 with Compel",
    ),
    Foreign(
        "parameter",
        re.compile(r"(?<=\s)--(?:ar|no|v|niji|seed|stylize|s|chaos|iw|q|style|cref|sref)\s+\S+"),
        "Midjourney reads a setting there, which are chosen beside the prompt here",
    ),
    Foreign(
        "comment",
        re.compile(r"^[ \t]*#[^\n]*", re.MULTILINE),
        "A1111 leaves such a line out",
    ),
)
"""Weights and ``<lora:…>`` are told of by themselves: the one has a word of Compel's, the other
stops the plan."""


def foreign(text: str) -> tuple[tuple[Foreign, str], ...]:
    """Every kind that stands in ``text``, with where it stands first."""
    found = ((each, each.pattern.search(text)) for each in TABLE)
    return tuple((each, match.group()[:60]) for each, match in found if match is not None)


def a1111_weights(text: str) -> tuple[tuple[str, str], ...]:
    """``(word:1.3)`` as A1111 writes it → (as found, as Compel writes it)."""
    return tuple(
        (match.group(), f"({match[1]}){match[2]}")
        for match in _WEIGHT.finditer(text)
        if match[1] is not None
    )


@dataclass(frozen=True, slots=True)
class Converted:
    """A text of another tool in Compel's form.

    Attributes:
        loras: its ``<lora:…>``, which are taken out.
        left: what has no form here and stands as it was.
    """

    text: str
    loras: tuple[PromptTag, ...]
    left: tuple[tuple[Foreign, str], ...]


def convert(text: str) -> Converted:
    """A1111's text as Compel reads it. What is in Compel's form already stays, so that a second
    time changes nothing."""
    tags = [tag for tag in prompt_tags(text) if tag.kind != "hypernet"]
    for tag in tags:
        text = text.replace(tag.written, "")
    text = _tidy(re.sub("[，、]\\s*", ", ", text), had_tags=bool(tags))
    if not has_compel_call(text):
        parts = [_attention(part.strip(" ,\n")) for part in re.split(r"(?<!\w)BREAK(?!\w)", text)]
        parts = [part for part in parts if part] if len(parts) > 1 else [_attention(text)]
        text = parts[0] if parts else ""
        if len(parts) > 1:
            text = "(" + ", ".join(f'"{part}"' for part in parts) + ").and()"
    left = tuple((each, where) for each, where in foreign(text) if not each.ours)
    return Converted(text, tuple(tags), left)


def _tidy(text: str, had_tags: bool) -> str:
    return re.sub(r"\s*,(?:\s*,)+", ",", text).strip(" ,\n") if had_tags else text


_CLOSING = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(r"\\.|[()\[\]{}\"\\]|[^\\()\[\]{}\"]+", re.DOTALL)
_OURS = re.compile(rf"\++|-+|{_NUMBER}")


def _attention(text: str) -> str:
    """Brackets as weights, by one walk with a stack of what is open."""
    open_: list[tuple[str, list[str]]] = [("", [])]
    closing: Counter[str] = Counter()
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        assert match is not None  # any character begins one
        token, place = match.group(), match.end()
        if token in _CLOSING:
            open_.append((token, []))
            closing[_CLOSING[token]] += 1
        elif closing[token] > 0:
            while _CLOSING[open_[-1][0]] != token:
                closing[_CLOSING[open_[-1][0]]] -= 1
                _give_up(open_)
            bracket, parts = open_.pop()
            closing[token] -= 1
            own = _OURS.match(text, place) if bracket == "(" else None
            place = own.end() if own else place
            open_[-1][1].append(_weighted(bracket, "".join(parts), own.group() if own else ""))
        else:
            open_[-1][1].append(_character(token))
    while len(open_) > 1:
        _give_up(open_)
    return "".join(open_[0][1])


def _give_up(open_: list[tuple[str, list[str]]]) -> None:
    """The innermost bracket is never closed: it is a character."""
    bracket, parts = open_.pop()
    open_[-1][1].append(("\\(" if bracket == "(" else bracket) + "".join(parts))


def _character(token: str) -> str:
    if token in ('"', ")"):
        return "\\" + token
    # Compel has an escape for round brackets and quotes alone.
    return token[1:] if token[0] == "\\" and token[1:] in tuple("[]{}") else token


def _weighted(bracket: str, words: str, own: str) -> str:
    """A closed bracket in Compel's form; an empty one is nothing.

    Args:
        own: the weight in Compel's form that follows it.
    """
    if not words.strip():
        return ""
    said = re.fullmatch(rf"(.+?):\s*({_NUMBER})\s*", words, re.DOTALL)
    if bracket == "(":
        if own or said is None:
            return f"({words}){own or UP}"
        return f"({said[1]}){said[2]}"
    if "|" in words or (bracket == "[" and said is not None):
        return bracket + words + _CLOSING[bracket]
    return f"({words}){DOWN if bracket == '[' else BRACE}"
