"""All cells of a comparison on one sheet, labelled, with the verdict at its head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from studio.comparison.record import CellRecord, CellState
from studio.comparison.validity import Verdict
from studio.grid import Role

EDGE = 320
"""Pixels of a cell's longer side at most; smaller pictures are not enlarged."""
_MARGIN, _GAP, _LINE, _SIDE = 24, 12, 20, 130
_PAPER, _INK, _MUTED, _RED, _SUNK = "#f3f2ee", "#1a1c1f", "#5b6065", "#b3261e", "#eae8e2"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is written on a sheet: title, verdict in words, lines below, the grid's labels."""

    title: str
    seal: str
    verdict: Verdict
    lines: Sequence[str]
    rows: Sequence[str]
    columns: Sequence[str]


def draw(
    sheet: Sheet, cells: Sequence[CellRecord], images: Mapping[int, Image.Image]
) -> Image.Image:
    """An RGB image; a block of the grid for each seed, and the controls below."""
    width, height = _cell_size(images)
    blocks = 1 + max((cell.place.repeat for cell in cells), default=0)
    controls = [i for i, cell in enumerate(cells) if cell.place.role is not Role.ARM]
    across = max(len(sheet.columns), min(len(controls), 4))
    side = _SIDE if len(sheet.rows) > 1 else 0
    step_x, step_y = width + _GAP, height + _LINE + _GAP
    head = _MARGIN + (2 + len(sheet.lines)) * _LINE + _GAP
    block = _LINE + len(sheet.rows) * step_y
    below = (_LINE + -(-len(controls) // across) * step_y) if controls else 0
    size = (
        max(2 * _MARGIN + side + across * step_x, 640),
        head + blocks * block + below + _MARGIN,
    )
    page = Image.new("RGB", size, _PAPER)
    pen = _Pen(page)
    pen.head(sheet, size[0] - 2 * _MARGIN)
    for repeat in range(blocks):
        top = head + repeat * block
        for column, label in enumerate(sheet.columns):
            pen.write((_MARGIN + side + column * step_x, top), label, width, bold=True)
        for row, label in enumerate(sheet.rows):
            pen.write((_MARGIN, top + _LINE + row * step_y + height // 2), label, side - _GAP)
    for index, cell in enumerate(cells):
        place = cell.place
        if place.role is Role.ARM:
            x = _MARGIN + side + place.column * step_x
            y = head + place.repeat * block + _LINE + place.row * step_y
        else:
            number = controls.index(index)
            x = _MARGIN + side + number % across * step_x
            y = head + blocks * block + _LINE + number // across * step_y
        pen.cell((x, y), (width, height), cell, images.get(index))
    return page


def _cell_size(images: Mapping[int, Image.Image]) -> tuple[int, int]:
    largest = max((image.size for image in images.values()), default=(EDGE, EDGE))
    factor = min(1.0, EDGE / max(largest))
    return max(1, round(largest[0] * factor)), max(1, round(largest[1] * factor))


class _Pen:
    """Writes and pastes on one page."""

    def __init__(self, page: Image.Image) -> None:
        self._page = page
        self._draw = ImageDraw.Draw(page)
        self._font = ImageFont.load_default(13)
        self._large = ImageFont.load_default(18)

    def head(self, sheet: Sheet, room: int) -> None:
        self._draw.text((_MARGIN, _MARGIN - 4), sheet.title, fill=_INK, font=self._large)
        colour = _RED if sheet.verdict is Verdict.INVALID else _INK
        self.write((_MARGIN, _MARGIN + _LINE + 2), sheet.seal, room, colour)
        for number, line in enumerate(sheet.lines):
            self.write((_MARGIN, _MARGIN + (2 + number) * _LINE), line, room, _MUTED)

    def write(
        self, at: tuple[int, int], text: str, room: int, colour: str = _INK, bold: bool = False
    ) -> None:
        """One line, cut with an ellipsis where there is no room."""
        shown = " ".join(text.split())
        while shown and self._draw.textlength(shown, font=self._font) > room:
            shown = shown[:-2].rstrip() + "…" if len(shown) > 2 else ""
        stroke = 0.3 if bold else 0
        self._draw.text(
            at, shown, fill=colour, font=self._font, stroke_width=stroke, stroke_fill=colour
        )

    def cell(
        self,
        at: tuple[int, int],
        size: tuple[int, int],
        cell: CellRecord,
        image: Image.Image | None,
    ) -> None:
        x, y = at
        width, height = size
        if image is None:
            self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_SUNK)
            said = "failed" if cell.state is CellState.FAILED else "not made"
            self.write((x + 8, y + 8), said, width - 16, _RED)
        else:
            small = image.copy()
            small.thumbnail(size, Image.Resampling.LANCZOS)
            self._page.paste(small, at)
        self.write((x, y + height + 3), f"{cell.mode.label} · seed {cell.seed}", width, _MUTED)
