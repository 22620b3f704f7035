"""YAML text → plain values, with the line of every field; and back.

YAML is read from libyaml's events and not through a loader: that is several times faster, keeps
the lines, and nothing nests, expands or constructs beyond what a preset needs. Plain scalars
follow YAML 1.2, so ``no`` is a word and not false. Tags, aliases and merge keys are refused:
what stands in an entry is all there is to it.
"""

import json
import re
from typing import Any, NoReturn

import yaml

from studio.presets.rules import clip
from studio.presets.syntax import MAX_DEPTH, Located, Tree, UnreadableText, too_deep

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def read_yaml(text: str) -> Located:
    """``text`` as a value with lines; never raises, what is wrong is in ``faults``."""
    tree = Tree()
    try:
        _read(text, tree)
    except UnreadableText as error:
        return error.located
    return Located(tree.root, tuple(tree.faults), lambda: tree.lines)


def _read(text: str, tree: Tree) -> None:
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            if documents > 1:
                raise UnreadableText(
                    _line(event), "A second document starts here.", "Use a file for each."
                )
            _take(event, tree)
    except yaml.YAMLError as error:
        raise _fault(error, text) from error
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise UnreadableText(
            line, "A character is not Unicode.", "Save the file as UTF-8."
        ) from error


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _take(event: Any, tree: Tree) -> None:
    if isinstance(event, yaml.ScalarEvent):
        _take_scalar(event, tree)
    elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        tree.close()
    elif isinstance(event, yaml.NodeEvent):
        if tree.wants_key:
            raise UnreadableText(_line(event), "A key is not a plain word.", "Write a plain word.")
        if isinstance(event, yaml.AliasEvent):
            _refuse(event, tree, f"{clip(str(event.anchor))} is an alias.")
            tree.put(None, _line(event))
        else:
            _check_tag(event, tree)
            tree.open({} if isinstance(event, yaml.MappingStartEvent) else [], _line(event))


def _take_scalar(event: Any, tree: Tree) -> None:
    if tree.wants_key:
        tree.key(event.value, _line(event))
        return
    _check_tag(event, tree)
    plain = not event.style and event.implicit[0]
    tree.put(_plain(event.value) if plain else event.value, _line(event))


def _check_tag(event: Any, tree: Tree) -> None:
    if event.tag is not None:
        _refuse(event, tree, f"{clip(event.tag)} is a tag.")


def _refuse(event: Any, tree: Tree, message: str) -> None:
    tree.fault(tree.here, _line(event), message, "Write the plain value.")


def _plain(text: str) -> object:
    """A plain scalar by the core rules of YAML 1.2."""
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _fault(error: yaml.YAMLError, text: str) -> UnreadableText:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        line = mark.line + 1
        problem = str(getattr(error, "problem", None) or "it cannot be read")
    else:
        # A character that YAML forbids; the position counts bytes.
        position = getattr(error, "position", 0)
        line = text.encode("utf-8", "replace").count(b"\n", 0, position) + 1
        problem = str(getattr(error, "reason", "it cannot be read"))
    return UnreadableText(
        line, f"This is not YAML: {problem}.", "Mend this line or the one above."
    )


class _Dumper(yaml.SafeDumper):
    """Writes what ``read_yaml`` reads: no aliases, and quotes where it would see no text."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's name
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Left to itself, PyYAML writes YAML 1.1's texts and folds Unicode's line breaks.
    bare = text.isprintable() and _plain(text) is text
    style = None if bare else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def write_yaml(value: object) -> str:
    """YAML text that ``read_yaml`` reads back as ``value`` (dicts, lists and plain values)."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)


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
            _take_token(token, line, tree)
    return tree


def _take_token(token: str, line: int, tree: Tree) -> None:
    if tree.wants_key:
        tree.key(json.loads(token), line)
    else:
        tree.put(None, line)
