"""All cells of a comparison on one sheet, labelled, with the verdict at its head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from studio.comparison.axes import Role
from studio.comparison.record import CellRecord, ComparisonRecord
from studio.comparison.validity import Verdict
from studio.gallery.sheet.canvas import ACCENT, INK, MUTED, RED, Paper
from studio.gallery.sheet.captions import (
    SheetWords,
    caption,
    control_caption,
    missing,
    sheet_words,
)

EDGE = 320
"""Pixels of a cell's longer side at most; smaller pictures are not enlarged."""

COLUMN = 240
"""Pixels of a column at least: what is written below a picture needs them."""

_NARROWEST = 640
_MARGIN, _GAP, _SIDE = 40, 24, 140
_TITLE, _HEADING, _BODY, _SMALL = 24, 16, 14, 13
_LABEL_LINES, _QUOTE_LINES, _LINES = 8, 3, 8


def draw(record: ComparisonRecord, images: Mapping[int, Image.Image]) -> Image.Image:
    """An RGB image: a block of the grid for each seed, and the controls below.

    ``images`` are the cells' pictures by index.
    """
    return lay_out(record, images).image()


def lay_out(record: ComparisonRecord, images: Mapping[int, Image.Image]) -> Paper:
    """Everything of the sheet in its place, not drawn yet."""
    words, cells = sheet_words(record), record.cells
    controls = [i for i, cell in enumerate(cells) if cell.place.role is not Role.ARM]
    form = _Form.of(words, images, len(controls))
    paper = Paper(form.width)
    y = _head(paper, words, form)
    for repeat in range(1 + max((cell.place.repeat for cell in cells), default=0)):
        arms = {
            (cell.place.row, cell.place.column): index
            for index, cell in enumerate(cells)
            if cell.place.role is Role.ARM and cell.place.repeat == repeat
        }
        y = _block(_Cells(paper, form, cells, images), words, arms, y)
    if controls:
        y = _controls(_Cells(paper, form, cells, images), controls, y)
    paper.end(y + _MARGIN - _GAP)
    return paper


@dataclass(frozen=True, slots=True)
class _Form:
    """Measures of a sheet, pixels: a picture's box, a column, and what is left of the columns."""

    box: tuple[int, int]
    column: int
    side: int
    width: int

    @classmethod
    def of(cls, words: SheetWords, images: Mapping[int, Image.Image], controls: int) -> "_Form":
        box = _box(images)
        column = max(box[0], COLUMN)
        side = _SIDE + _GAP if len(words.rows) > 1 else 0
        across = max(len(words.columns), controls)
        width = 2 * _MARGIN + side + across * (column + _GAP) - _GAP
        return cls(box, column, side, max(width, _NARROWEST))

    @property
    def room(self) -> int:
        return self.width - 2 * _MARGIN

    def left(self, column: int) -> int:
        return _MARGIN + self.side + column * (self.column + _GAP)


def _box(images: Mapping[int, Image.Image]) -> tuple[int, int]:
    """What every picture fits into; the pictures of one comparison may differ in size."""
    wide = max((image.width for image in images.values()), default=EDGE)
    high = max((image.height for image in images.values()), default=EDGE)
    factor = min(1.0, EDGE / max(wide, high))
    return max(1, round(wide * factor)), max(1, round(high * factor))


def _head(paper: Paper, words: SheetWords, form: _Form) -> int:
    colour = {Verdict.VALID: ACCENT, Verdict.INVALID: RED}.get(words.verdict, INK)
    y = paper.write((_MARGIN, _MARGIN - 6), words.title, form.room, _TITLE, INK, 2)
    y = paper.write((_MARGIN, y + 4), words.seal, form.room, _BODY, colour, 2)
    y = paper.write((_MARGIN, y + 12), words.quote, form.room, _BODY, INK, _QUOTE_LINES)
    for line in words.lines:
        y = paper.write((_MARGIN, y), line, form.room, _BODY, MUTED, _LINES)
    return paper.write((_MARGIN, y), words.legend, form.room, _BODY, MUTED, 2) + _GAP


def _heading(paper: Paper, form: _Form, text: str, y: int) -> int:
    paper.rule((_MARGIN, y), form.room)
    return paper.write((_MARGIN, y + 14), text, form.room, _HEADING, INK, 1) + 12


@dataclass(frozen=True, slots=True)
class _Cells:
    """Puts cells on paper."""

    paper: Paper
    form: _Form
    cells: Sequence[CellRecord]
    images: Mapping[int, Image.Image]

    def picture(self, index: int, at: tuple[int, int]) -> None:
        image, box = self.images.get(index), self.form.box
        if image is not None:
            small = image.copy()
            small.thumbnail(box, Image.Resampling.LANCZOS)
            self.paper.paste(at, small)
            return
        self.paper.sink(at, box)
        inside = (at[0] + 10, at[1] + 8)
        lines = max(1, (box[1] - 16) // 20)
        self.paper.write(inside, missing(self.cells[index]), box[0] - 20, _SMALL, RED, lines)

    def below(self, column: int, y: int, name: str, says: str, colour: str = MUTED) -> int:
        """Two texts below a picture; returns where they end."""
        at, room = self.form.left(column), self.form.column
        y = self.paper.write((at, y + self.form.box[1] + 8), name, room, _SMALL, INK, 2)
        return self.paper.write((at, y), says, room, _SMALL, colour, _LINES)


def _block(on: _Cells, words: SheetWords, arms: Mapping[tuple[int, int], int], y: int) -> int:
    """The grid on one seed; where seeds are an axis, the labels say them and no heading does."""
    paper, form = on.paper, on.form
    seeds = {on.cells[index].seed for index in arms.values()}
    heading = f"Seed {seeds.pop()}" if len(seeds) == 1 else "Seeds"
    y = below = _heading(paper, form, heading, y)
    for column, label in enumerate(words.columns):
        at = (form.left(column), y)
        below = max(below, paper.write(at, label, form.column, _BODY, INK, _LABEL_LINES))
    y = below + 8 if any(words.columns) else y
    for row, label in enumerate(words.rows):
        ends = [paper.write((_MARGIN, y), label, _SIDE, _BODY, INK, _LABEL_LINES)]
        for column in range(len(words.columns)):
            index = arms[row, column]
            on.picture(index, (form.left(column), y))
            ends.append(on.below(column, y, *caption(on.cells[index])))
        y = max(ends) + _GAP
    return y


def _controls(on: _Cells, controls: Sequence[int], y: int) -> int:
    y = _heading(on.paper, on.form, "Controls", y)
    ends = []
    for column, index in enumerate(controls):
        name, says, good = control_caption(on.cells[index], on.cells)
        on.picture(index, (on.form.left(column), y))
        ends.append(on.below(column, y, name, says, MUTED if good else RED))
    return max(ends) + _GAP
