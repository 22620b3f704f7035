"""What libraries say, fit for a record: no terminal colours, nothing of this machine's disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

Places = Mapping[Path, str]
"""Folder or file → the name that a record gives it."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_NAME = r"""[^\s/'"`,:;()<>\[\]]+"""
# Two levels at least, and not the path inside an address of the web.
_ABSOLUTE = re.compile(rf"(?<![\w./…-])(?:file://)?(?:/{_NAME})+/({_NAME})")


def plain(text: str, places: Places) -> str:
    """``text`` without escape sequences; known places by name, other paths by their end."""
    text = _ESCAPES.sub("", text)
    for place, name in _longest_first(places):
        text = re.sub(rf"{re.escape(place)}(?![\w-])", name.replace("\\", r"\\"), text)
    return _ABSOLUTE.sub(r"…/\1", text)


def _longest_first(places: Places) -> list[tuple[str, str]]:
    """Every spelling of every place, and of the folders above it, which become ``…``.

    Folders right under the root say nothing of anybody, and their names may be plain words.
    """
    names: dict[str, str] = {}
    for place, name in places.items():
        for spelling in (place.absolute(), place.resolve()):
            above = [folder for folder in spelling.parents if len(folder.parts) > 2]
            names.update((str(folder), "…") for folder in above if str(folder) not in names)
            names[str(spelling)] = name
    return sorted(names.items(), key=lambda item: -len(item[0]))
