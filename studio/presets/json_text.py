"""JSON text → plain values, with the line of every field when somebody asks."""

import json
import re
from typing import NoReturn

from studio.presets.syntax import MAX_DEPTH, Located, Tree, UnreadableText, too_deep

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]|[^\s{}\[\],:"]+')


def read_json(text: str) -> Located:
    """``text`` as a value with lines; never raises, what is wrong is in ``faults``."""
    text = text.removeprefix("\ufeff")
    repeated: list[str] = []
    try:
        value = _parse(text, repeated)
        # Python's reader is fast but keeps no lines, so they are looked up when needed.
        faults = tuple(_walk(text).faults) if repeated else ()
    except UnreadableText as error:
        return error.located
    return Located(value, faults, lambda: _walk(text).lines)


def _parse(text: str, repeated: list[str]) -> object:
    def first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key, value in pairs:
            if key in mapping:
                repeated.append(key)
            else:
                mapping[key] = value
        return mapping

    try:
        value: object = json.loads(text, object_pairs_hook=first_wins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UnreadableText(
            error.lineno, f"This is not JSON: {error.msg}.", "Mend this line or the one above."
        ) from error
    except ValueError as error:
        raise UnreadableText(None, f"This is not JSON: {error}.", "Mend the file.") from error
    except RecursionError as error:
        raise too_deep(None) from error
    if _deeper(value, MAX_DEPTH):
        raise too_deep(None)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _deeper(value: object, limit: int) -> bool:
    """Whether containers nest more than ``limit`` deep."""
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list):
        parts = value
    else:
        return False
    return limit == 0 or any(_deeper(part, limit - 1) for part in parts)


def _walk(text: str) -> Tree:
    """Lines and repeated keys of ``text``, which is known to be JSON."""
    tree = Tree()
    line = 1
    for token in _TOKEN.findall(text):
        first = token[0]
        if first == "\n":
            line += 1
        elif first == "{":
            tree.open({}, line)
        elif first == "[":
            tree.open([], line)
        elif first in "}]":
            tree.close()
        elif first not in ",:":
            _take(token, line, tree)
    return tree


def _take(token: str, line: int, tree: Tree) -> None:
    if tree.wants_key:
        tree.key(json.loads(token), line)
    else:
        tree.put(None, line)
