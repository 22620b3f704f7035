"""What reading YAML and reading JSON have in common: values, their lines, their faults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from studio.presets.rules import clip

Path = tuple[str | int, ...]
"""Where a value stands: ``("loras", 3, "settings", "strength")``."""

MAX_DEPTH = 16
"""Deepest nesting that is read; presets need five."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something the syntax does not allow, or presets do not."""

    path: Path
    line: int | None
    message: str
    way_out: str


@dataclass(frozen=True)
class Located:
    """A value and where its parts stand.

    Attributes:
        value: dicts, lists, texts, numbers, true/false and None.
        faults: by path; a fault at ``()`` means that ``value`` is None.
        locate: finds the line, from 1, of every key and list item; asked once, if at all.
    """

    value: object
    faults: tuple[Fault, ...]
    locate: Callable[[], Mapping[Path, int]] = field(repr=False)

    @cached_property
    def lines(self) -> Mapping[Path, int]:
        return self.locate()

    def line(self, path: Path) -> int | None:
        """The line of ``path``, else of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


class UnreadableText(Exception):
    """The whole text cannot be read; stays inside the readers."""

    def __init__(self, line: int | None, message: str, way_out: str) -> None:
        super().__init__(message)
        self.fault = Fault((), line, message, way_out)

    @property
    def located(self) -> Located:
        return Located(None, (self.fault,), dict)


def too_deep(line: int | None) -> UnreadableText:
    return UnreadableText(
        line, f"Nested more than {MAX_DEPTH} deep.", "Presets are flat: simplify."
    )


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read.

    Attributes:
        key: waits for its value.
        again: the line of ``key`` if it stood before; its value is not kept.
    """

    value: dict[str, object] | list[object]
    path: Path
    key: str | None = None
    again: int | None = None


@dataclass(slots=True)
class Tree:
    """What YAML events or JSON tokens build, with one stack and no recursion."""

    root: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)

    @property
    def wants_key(self) -> bool:
        top = self.stack[-1] if self.stack else None
        return top is not None and top.key is None and isinstance(top.value, dict)

    @property
    def here(self) -> Path:
        """The path of the value that comes next."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        path = (*top.path, top.key or "")
        return path if top.again is None else (*path, "again", top.again)

    def key(self, key: str, line: int) -> None:
        """The first of two equal keys is kept; the second is a fault."""
        top = self.stack[-1]
        top.key = key
        path = (*top.path, key)
        top.again = line if key in top.value else None
        if top.again is None:
            self.lines[path] = line
        else:
            message = f"{clip(key)} stands twice, first in line {self.lines[path]}."
            self.fault(path, line, message, "Keep one of them; the first is read.")

    def fault(self, path: Path, line: int, message: str, way_out: str) -> None:
        self.faults.append(Fault(path, line, message, way_out))

    def put(self, value: object, line: int) -> Path:
        """Place a finished or just opened value, and say where that is."""
        path = self.here
        if not self.stack:
            self.root = value
            return path
        top = self.stack[-1]
        if isinstance(top.value, list):
            self.lines[path] = line
            top.value.append(value)
        else:
            if top.again is None:
                top.value[top.key or ""] = value
            top.key = None
        return path

    def open(self, value: dict[str, object] | list[object], line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise too_deep(line)
        self.stack.append(_Frame(value, self.put(value, line)))

    def close(self) -> None:
        self.stack.pop()
