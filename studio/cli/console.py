"""What a command says: data and results on standard output, all else on standard error."""

import json
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TextIO

from studio.contract.violations import Violation
from studio.errors import StudioError


class ExitCode(IntEnum):
    DONE = 0
    FAILURE = 1
    VIOLATIONS = 2
    USAGE = 64
    CANCELLED = 130


class Ended(Exception):
    """Ends a command early, with everything already said."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code.name)
        self.code = code


STYLES = {"strong": "1", "faint": "2", "bad": "31", "good": "32", "mark": "36"}

# Presets, prompts and file names may hold characters that drive a terminal, turn its text
# around or cannot be written at all; of those, only our own styles and line breaks pass.
_OURS_OR_UNSAFE = re.compile(
    rf"(\x1b\[(?:0|{'|'.join(STYLES.values())})m|\n)"
    r"|[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """``text`` with whatever a terminal would obey made visible as ``�``."""
    return _OURS_OR_UNSAFE.sub(lambda match: match[1] or "�", text)


def paints(stream: TextIO) -> bool:
    """Whether ``stream`` shows colours: a terminal, and nobody said NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True)
class Console:
    """One command's voice.

    ``out`` is the real standard output, kept from the start: while a command runs,
    ``sys.stdout`` is standard error, so that nothing a library prints can mix with data.
    """

    as_json: bool
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    def data(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line, in ASCII: no encoding can break it."""
        print(json.dumps(value, allow_nan=False), file=self.out, flush=True)

    def say(self, text: str = "") -> None:
        """A line of the result, for people; silent where JSON is asked for."""
        if not self.as_json:
            print(visible(text), file=self.out, flush=True)

    def note(self, text: str) -> None:
        """A line beside the result."""
        print(visible(text), file=self.err, flush=True)

    def paint(self, text: str, style: str) -> str:
        return _painted(text, style, self.out)

    def fields(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and values in two columns; long values wrap within theirs."""
        width = max(len(name) for name, _ in rows) + 2
        for name, value in rows:
            self.say(self.paint(f"{name:<{width}}", "faint") + _wrapped(value, width))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Left-aligned columns, the last one as long as it is."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
            self.say("  ".join(cells).rstrip())

    def fail(self, error: StudioError) -> None:
        """What broke, as the command's whole result."""
        if self.as_json:
            self.data({"error": as_data(error)})
        self.complain(error.message, error.way_out)

    def complain(self, message: str, way_out: str) -> None:
        self.note(_painted("Failed: ", "bad", self.err) + message)
        self.note(way_out)

    def refuse(self, violations: Sequence[Violation]) -> None:
        """Every violation, each with what was found and the way out."""
        if self.as_json:
            self.data({"violations": [item.model_dump(mode="json") for item in violations]})
        count = len(violations)
        self.note(
            _painted("1 violation." if count == 1 else f"{count} violations.", "bad", self.err)
        )
        for item in violations:
            self.note(f"\n  {_painted(item.field, 'strong', self.err)}  ({item.code})")
            for sentence in (item.found, item.way_out):
                self.note("  " + _wrapped(sentence, 2))


def as_data(error: StudioError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "way_out": error.way_out}


def _painted(text: str, style: str, stream: TextIO) -> str:
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if paints(stream) else text


def _wrapped(text: str, indent: int) -> str:
    room = max(shutil.get_terminal_size((100, 24)).columns - indent, 40)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


@contextmanager
def command(as_json: bool) -> Iterator[Console]:
    """Run a command's body: what it raises becomes words and an exit code."""
    console = Console(as_json)
    try:
        with redirect_stdout(console.err), _logging_to(console.err):
            yield console
    except StudioError as error:
        console.fail(error)
        raise Ended(ExitCode.FAILURE) from error


@contextmanager
def _logging_to(stream: TextIO) -> Iterator[None]:
    """The studio's own log, at the level of its logger; warnings where none is set."""
    logger = logging.getLogger("studio")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
