"""Compel's own parser, in linear time and without torch.

Its grammar tries the inside of a bracket again for each operator that may follow the bracket, so
that every open one takes four to five times longer; remembering what was tried (packrat) makes
that linear. Importing this module turns that on for every pyparsing grammar of the process, and
so for the parser inside Compel too.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pyparsing import ParseBaseException, ParserElement

from studio.resolve.compel_syntax import has_compel_syntax

_REMEMBERED = 2000
"""Attempts that are remembered: far more than lie between a bracket's two, and a few MB."""

ParserElement.enable_packrat(_REMEMBERED)


_OPERATOR = re.compile(r"\.\s*(?:and|add|blend|swap|attend)|(?:use|with)Lora")
_WORD = r'[^\s()"+\-\\=]+(?:-[^\s()"+\-\\=.,]+)*'
_WORDS = re.compile(rf"(?<![^\s(]){_WORD}(?:\s+{_WORD})*(?![^\s)])")
_SIGNED = re.compile(rf"(?<![^\s(]){_WORD}(?:\+{{1,9}}|-{{1,9}})(?![^\s)])")
_QUOTED = re.compile(
    rf'(?<![^\s(])"\s*{_WORD}(?:\s+{_WORD})*\s*"(?:\+{{1,9}}|-{{1,9}})?(?![^\s)])'
)
_PROMPT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MARK = re.compile(r'[()"+\-=\\]')
_MOST_MARKS = 1500
_MOST_LEFT = 120
"""Brackets, quotes and signs of a text, and those that are left of it for the parser, which takes
some milliseconds for each."""
_HEAVIEST = 1000
"""Of words: embeddings of some dozens times more have no float16."""
_GROUP = re.compile(r"(?<![^\s(])\(\s*x\s*\)(?:\+{1,9}|-{1,9}|\d{1,2}(?:\.\d{1,4})?)?(?![^\s),])")


def refusal(text: str) -> str | None:
    """Why Compel cannot read ``text``, as the end of a sentence; None where it can."""
    if not has_compel_syntax(text):
        return None
    skeleton = _skeleton(text)
    if max(_marks(text) / _MOST_MARKS, _marks(skeleton) / _MOST_LEFT) > 1:
        return f"it has {_marks(text)} brackets, quotes and signs, more than are read in time"
    return _refusal(skeleton)


def _marks(text: str) -> int:
    return len(_MARK.findall(text))


def _skeleton(text: str) -> str:
    """``text`` with its plain words and the brackets and quotes around nothing else left out: what
    Compel refuses is refused without them too, and its parser takes a millisecond for each
    character.
    """
    if _OPERATOR.search(text):  # their prompts and options are counted
        return _PROMPT.sub(lambda match: f'"{_shortened(match[1])}"', text)
    return _shortened(text)


def _shortened(text: str) -> str:
    while True:
        shorter = text
        for pattern in (_WORDS, _SIGNED, _QUOTED, _GROUP):
            shorter = pattern.sub("x", shorter)
        if shorter == text:
            return text
        text = shorter


@lru_cache(maxsize=256)
def _refusal(text: str) -> str | None:
    if not has_compel_syntax(text):
        return None
    module = _parser_module()
    try:
        parsed = module.PromptParser().parse_conjunction(text)
    except RecursionError:
        return "its brackets and quotes are nested too deeply"
    except ParseBaseException as error:
        return error.msg  # without the place, which is one in the skeleton
    except (
        module.PromptParser.ParsingException,
        ValueError,
        ArithmeticError,
    ) as error:
        return str(error)[:300] or type(error).__name__
    finally:
        ParserElement.reset_cache()
    read = parsed.prompts
    if not read:
        return "it finds no text to encode"
    if any(not abs(weight) <= _HEAVIEST for weight in _weights(parsed)):
        return f"a weight is above {_HEAVIEST:,}, with which nothing can be computed"
    normalized = [each for each in read if getattr(each, "normalize_weights", False)]
    if any(sum(each.weights) == 0 for each in normalized):
        return "the weights of a blend add up to 0, by which they would be divided"
    return None


def _weights(node: Any) -> Iterator[float]:
    """Every weight in what was parsed: of prompts, of a blend's parts and of words."""
    yield from getattr(node, "weights", ())
    if hasattr(node, "weight"):
        yield node.weight
    for child in (*getattr(node, "prompts", ()), *getattr(node, "children", ())):
        yield from _weights(child)


@cache
def _parser_module() -> Any:
    """``compel.prompt_parser`` by itself: the package around it imports torch.

    Raises:
        ModuleNotFoundError: Compel is not installed.
    """
    package = importlib.util.find_spec("compel")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("compel is not installed", name="compel")
    place = Path(package.origin).with_name("prompt_parser.py")
    spec = importlib.util.spec_from_file_location("studio_compel_prompt_parser", place)
    assert spec is not None  # it is a Python source file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
