"""Reads A1111-style ``parameters`` text, from any tool, and never raises.

The grammar: the last line holds at least three ``Key: value`` pairs, else there is no such
line; the lines before are the prompt and, from the first one that starts with "Negative
prompt:", the negative prompt. Lines are trimmed, as A1111 does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from studio.presets.prompt_tags import PromptTag, prompt_tags

EXACT_PROMPT = "Prompt JSON"
EXACT_NEGATIVE = "Negative JSON"
"""Parameters that hold a prompt exactly, where the plain text cannot."""

NEGATIVE = "Negative prompt:"
_FEWEST_PARAMETERS = 3
_MOST_PARAMETERS = 256
"""Pairs that are read; a cap, because failing at a JSON value costs time linear in the text."""

_MAX_DIGITS = 18

_KEY = re.compile(r"\s*([A-Za-z][\w /-]{0,63}):\s*")
_NEXT = re.compile(r"\s*(?:,|\Z)")
_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_TAG = re.compile(rf"<lora:([A-Za-z0-9_.-]+):({_NUMBER})(?::{_NUMBER})?>")
_INTEGER = re.compile(r"-?[0-9]+")
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class InfoText:
    """What a text says; what it does not say, or says unreadably, is None.

    Attributes:
        prompt: without the ``<lora:…>`` tags at its end.
        written: the prompt as it stands in the text.
        parameters: key → value in the order of the text, quotes taken off.
        loras: every tag of the prompt, wherever it stands.
        hashes: name → hash of the LoRAs, as listed beside the prompt.
        size: (width, height), pixels.
    """

    prompt: str
    written: str
    negative_prompt: str
    parameters: Mapping[str, str]
    loras: tuple[PromptTag, ...]
    hashes: Mapping[str, str]

    @property
    def steps(self) -> int | None:
        return integer(self.parameters.get("Steps"))

    @property
    def seed(self) -> int | None:
        return integer(self.parameters.get("Seed"))

    @property
    def size(self) -> tuple[int, int] | None:
        match = _SIZE.fullmatch(self.parameters.get("Size", ""))
        return None if match is None else (int(match[1]), int(match[2]))


def read(text: str) -> InfoText:
    """What ``text`` says; text that is no infotext at all is one long prompt."""
    lines = text.strip().split("\n")
    parameters = dict(_pairs(lines[-1]))
    if len(parameters) < _FEWEST_PARAMETERS:
        parameters = {}
    else:
        lines.pop()
    prompt, negative = _prompts(lines)
    hashes = dict(_name_and_hash(parameters.get("Lora hashes", "")))
    loras = tuple(tag for tag in prompt_tags(prompt) if _TAG.fullmatch(tag.written))
    return InfoText(
        prompt=parameters.get(EXACT_PROMPT, _without_last_tags(prompt)),
        written=prompt,
        negative_prompt=parameters.get(EXACT_NEGATIVE, negative),
        parameters=parameters,
        loras=loras,
        hashes=hashes,
    )


def _without_last_tags(prompt: str) -> str:
    """``prompt`` without the tags at its end and the one blank before each."""
    end = len(prompt)
    for tag in reversed(list(_TAG.finditer(prompt))):
        if tag.end() != end:
            break
        end = tag.start()
        end -= prompt[end - 1 : end] == " "
    return prompt[:end]


def _prompts(lines: list[str]) -> tuple[str, str]:
    trimmed = [line.strip() for line in lines]
    starts = [index for index, line in enumerate(trimmed) if line.startswith(NEGATIVE)]
    first = starts[0] if starts else len(trimmed)
    negative = [line.removeprefix(NEGATIVE).strip() for line in trimmed[first:]]
    return "\n".join(trimmed[:first]), "\n".join(negative)


def _name_and_hash(listed: str) -> Iterator[tuple[str, str]]:
    for entry in listed.split(","):
        name, colon, value = entry.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """``Key: value`` pairs; a value is a JSON string, object or list, or ends at a comma."""
    at = count = 0
    while at < len(line) and count < _MOST_PARAMETERS:
        key = _KEY.match(line, at)
        if key is None:
            at = _comma(line, at) + 1
            continue
        value, at = _value(line, key.end())
        count += 1
        yield key[1].strip(), value


def _value(line: str, start: int) -> tuple[str, int]:
    """The value at ``start``, and where the next pair begins."""
    if line[start : start + 1] in ('"', "{", "["):
        decoded = _json(line, start)
        if decoded is not None:
            return decoded
    end = _comma(line, start)
    return line[start:end].strip(), end + 1


def _comma(line: str, start: int) -> int:
    """Where the next comma stands, or the line's length."""
    at = line.find(",", start)
    return len(line) if at < 0 else at


def _json(line: str, start: int) -> tuple[str, int] | None:
    """A JSON value that a comma or the end follows; a string without its quotes."""
    try:
        value, end = json.JSONDecoder().raw_decode(line, start)
    except (ValueError, RecursionError):  # not JSON, or nested to exhaust the stack
        return None
    after = _NEXT.match(line, end)
    if after is None:
        return None
    return value if isinstance(value, str) else line[start:end], after.end()


def integer(text: str | None) -> int | None:
    if text is None or len(text) > _MAX_DIGITS or not _INTEGER.fullmatch(text):
        return None
    return int(text)
