"""What diffusers and transformers say while they work, as plain words that are fit for a record.

They report most problems as a warning and go on; here a warning is part of the evidence.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PlaceNames = Mapping[Path, str]
"""Folder or file → the name that a record gives it."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_NAME = r"""[^\s/'"`,:;()<>\[\]]+"""
# Two levels at least, and not the path inside an address of the web.
_ABSOLUTE = re.compile(rf"(?<![\w./…-])(?:file://)?(?:/{_NAME})+/({_NAME})")

LIBRARIES = ("diffusers", "transformers")
_OURS = frozenset({*LIBRARIES, "accelerate", "compel", "torch", "safetensors", "engine"})


class _Listener(logging.Handler):
    def __init__(self, heard: list[str], places: PlaceNames) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard
        self._places = places

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(plain(record.getMessage(), self._places))


@contextmanager
def listen(places: PlaceNames, python_warnings: bool = True) -> Iterator[list[str]]:
    """Collect log records and warnings of the libraries, in order, without printing them.

    Args:
        places: what the libraries may name by its path, and its name in what is heard.
        python_warnings: also ``warnings.warn``. Its filter belongs to the whole process, so
            this is for short stages only; other code's warnings are passed on at the end.
    """
    heard: list[str] = []
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    kept = [(logger, logger.handlers, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers = [_Listener(heard, places)]
        logger.setLevel(logging.WARNING)
    try:
        if python_warnings:
            with _catch_warnings(heard, places):
                yield heard
        else:
            yield heard
    finally:
        for logger, handlers, level in kept:
            logger.handlers = handlers
            logger.setLevel(level)


@contextmanager
def _catch_warnings(heard: list[str], places: PlaceNames) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for item in caught:
        if _is_library(item):
            heard.append(plain(str(item.message), places))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def _is_library(item: warnings.WarningMessage) -> bool:
    return not _OURS.isdisjoint(Path(item.filename).parts)


def quiet_progress_bars() -> None:
    """The studio shows progress itself."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def plain(text: str, places: PlaceNames) -> str:
    """``text`` without terminal colours; known places by name, other paths by their end."""
    text = _ESCAPES.sub("", text)
    for place, name in _longest_first(places):
        text = re.sub(rf"{re.escape(place)}(?![\w-])", name.replace("\\", r"\\"), text)
    return _ABSOLUTE.sub(r"…/\1", text)


def _longest_first(places: PlaceNames) -> list[tuple[str, str]]:
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
