"""Compel's own parser, in linear time and without torch.

Its grammar tries the inside of a bracket again for each operator that may follow the bracket, so
that every open one takes four to five times longer; remembering what was tried (packrat) makes
that linear. Importing this module turns that on for every pyparsing grammar of the process, and
so for the parser inside Compel too.
"""

from __future__ import annotations

import importlib.util
import math
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
_GROUP = re.compile(r"(?<![^\s(])\(\s*x\s*\)(?:\+{1,9}|-{1,9}|\d{1,2}(?:\.\d{1,4})?)?(?![^\s),])")


def refusal(text: str) -> str | None:
    """Why Compel cannot read ``text``, as the end of a sentence; None where it can."""
    if not has_compel_syntax(text):
        return None
    return _refusal(_skeleton(text))


def _skeleton(text: str) -> str:
    """``text`` with its plain words and the brackets around nothing else left out: what Compel
    refuses is refused without them too, and its parser takes a millisecond for each character.
    """
    if _OPERATOR.search(text):
        return text  # their prompts and options are counted
    shorter = _WORDS.sub("x", text)
    while shorter != text:
        text, shorter = shorter, _WORDS.sub("x", _GROUP.sub("x", shorter))
    return text


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
    if not all(map(math.isfinite, _weights(parsed))):
        return "a weight is too large to compute with"
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
