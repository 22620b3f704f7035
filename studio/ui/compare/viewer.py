"""Two cells of a stored comparison, looked at closely."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import gradio as gr

from studio.comparison.axes import Role
from studio.comparison.effects import paired_effects
from studio.comparison.record import CellState, ComparisonRecord
from studio.errors import StudioError
from studio.gallery.comparisons.cell_picture import cell_picture
from studio.gallery.comparisons.files import sheet_of
from studio.gallery.comparisons.verification import judged_anew, verify_comparison
from studio.imaging import difference as measuring
from studio.ui.compare.layout import CompareStage
from studio.ui.gallery.review import ReviewEvents
from studio.ui.html import comparison as compare_html
from studio.ui.html import contract as sheet
from studio.ui.html import format, gallery, icons
from studio.ui.html import numbers as compare_numbers
from studio.ui.html.picture import file_url
from studio.ui.html.tags import EMPTY, Html, address, div, join, span, tag
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.workspace import Workspace

_FEW = 3
"""Cells of base against LoRA on one seed, the control counted."""


class CompareLook:
    """Shows a stored comparison and pairs of its cells."""

    def __init__(self, workspace: Workspace, parts: CompareStage) -> None:
        self._workspace = workspace
        self._parts = parts
        self.review = ReviewEvents(workspace, parts.review)

    def open(self, name: str) -> Updates:
        """A whole comparison, as it was stored: verdict, cells, the first and last arm."""
        parts = self._parts
        try:
            record = self._workspace.gallery.comparisons.read(name)
        except StudioError as error:
            return self.closed() | {parts.seal: compare_html.trouble(str(error))}
        outputs = self._workspace.gallery.outputs
        place = sheet_of(outputs / name)
        shown = compare_html.Grid(record.rows, record.columns, record.cells, outputs)
        updates: Updates = {
            parts.notice: EMPTY,
            parts.seal: tag(
                "div", self._seal(record, name), data_address=address(comparison=name)
            ),
            parts.progress: EMPTY,
            parts.grid: compare_html.grid(shown),
            parts.kept: gr.Column(visible=True),
            parts.sheet: _sheet_link(place),
            parts.confirm: gr.Row(visible=False),
            parts.said: EMPTY,
            parts.stored: name,
        }
        made = [i for i, cell in enumerate(record.cells) if cell.state is CellState.DONE]
        if len(made) < 2:
            return updates | {parts.look: gr.Column(visible=False)}
        left, right = first_pair(record, made)
        choices = [(_choice(record, index), index) for index in made]
        updates |= {
            parts.look: gr.Column(visible=True, elem_classes=_look_classes(made)),
            parts.left: gr.Dropdown(choices=choices, value=left),
            parts.right: gr.Dropdown(choices=choices, value=right),
        }
        return updates | self._looked_at(record, left, right)

    def _seal(self, record: ComparisonRecord, name: str) -> Html:
        """As it was stored, and beside it what its cells would be judged today; the pages of its
        series first."""
        gallery = self._workspace.gallery
        pages = compare_html.pages(gallery.comparisons.pages(record), name)
        beside = compare_html.overtaken(record.validity, judged_anew(gallery, record))
        return join((pages, compare_html.seal_of(record), beside))

    def pair(self, name: str, left: int | None, right: int | None) -> Updates:
        """Two cells that were chosen."""
        if left is None or right is None or not name:
            return unchanged()
        try:
            record = self._workspace.gallery.comparisons.read(name)
            return self._looked_at(record, int(left), int(right))
        except (StudioError, IndexError, ValueError) as error:
            return self._unseen(compare_html.trouble(str(error)))

    def pick(self, name: str, key: str, left: int | None) -> Updates:
        """A cell was clicked: it comes to the right, against what is on the left."""
        if not key.isdecimal() or not name:
            return unchanged()
        if left is None:
            return {self._parts.right: int(key)}
        return {self._parts.right: int(key)} | self.pair(name, left, int(key))

    def verify(self, name: str) -> Updates:
        """Read record, sheet and every cell again, and judge anew."""
        try:
            path = self._workspace.gallery.comparisons.inside(name)
        except StudioError as error:
            return {self._parts.said: compare_html.trouble(str(error))}
        answer = verify_comparison(path)
        if answer.ok and answer.record is not None:
            cells = format.plural(len(answer.record.pictured), "cell")
            line = f"Verified: the record, the contact sheet, {cells} and the verdict."
            return {self._parts.said: gallery.said(line)}
        found = " ".join(finding.text for finding in answer.findings[:3])
        return {self._parts.said: gallery.said(f"Not verified. {found}", bad=True)}

    def delete(self, name: str) -> Updates:
        """Forget a comparison; its pictures stay."""
        parts = self._parts
        try:
            self._workspace.gallery.comparisons.delete(name)
        except StudioError as error:
            return {parts.said: gallery.said(str(error), bad=True)}
        return self.closed()

    def closed(self) -> Updates:
        """No comparison is shown."""
        parts = self._parts
        return {
            parts.notice: EMPTY,
            parts.seal: EMPTY,
            parts.progress: EMPTY,
            parts.grid: compare_html.empty(),
            parts.kept: gr.Column(visible=False),
            parts.look: gr.Column(visible=False),
            parts.stored: "",
            **self.review.show(""),
        }

    def view(self, chosen: str) -> Updates:
        parts = self._parts
        return {
            parts.slider: gr.ImageSlider(visible=chosen == "slider"),
            parts.sides: gr.HTML(visible=chosen == "sides"),
            parts.difference: gr.HTML(visible=chosen == "difference"),
        }

    def _looked_at(self, record: ComparisonRecord, left: int, right: int) -> Updates:
        """Two cells or, where one of them is not what was compared, nothing but why."""
        try:
            return self._pair(record, left, right)
        except StudioError as error:
            return self._unseen(
                join(
                    (
                        compare_html.trouble(str(error)),
                        compare_numbers.effects(paired_effects(record)),
                    )
                )
            )

    def _unseen(self, numbers: Html) -> Updates:
        """No pair is shown, and none is decided on."""
        parts = self._parts
        return {
            parts.slider: None,
            parts.sides: EMPTY,
            parts.difference: EMPTY,
            parts.numbers: numbers,
            parts.contract: EMPTY,
            **self.review.show(""),
        }

    def _pair(self, record: ComparisonRecord, left: int, right: int) -> Updates:
        parts = self._parts
        cells = [record.cells[left], record.cells[right]]
        pictures = [cell_picture(self._workspace.gallery, cell) for cell in cells]
        paths = [each.path for each in pictures]
        images = [each.image for each in pictures]
        measures = measuring.measure(images[0], images[1])
        labels = [cell.label for cell in cells]
        if measures is None:
            difference: Html = tag("p", "The two pictures differ in size.", class_="ls-origin")
        else:
            difference = _difference(*measuring.difference_png(images[0], images[1]))
        clip = compare_numbers.clip_of(record, left, right)
        numbers = compare_numbers.pair(labels[0], labels[1], measures, left == right, clip)
        return {
            parts.slider: (str(paths[0]), str(paths[1])),
            parts.sides: sides(paths, labels),
            parts.difference: difference,
            parts.numbers: join((numbers, compare_numbers.effects(paired_effects(record)))),
            parts.contract: _contract(labels[1], sheet.of_record(pictures[1].record)),
            **self.review.show(str(cells[1].picture)),
        }


def _look_classes(made: list[int]) -> list[str]:
    """Two arms are looked at before all else; a grid is read as a whole first."""
    return ["ls-look", "ls-first"] if len(made) <= _FEW else ["ls-look"]


def first_pair(record: ComparisonRecord, made: list[int]) -> tuple[int, int]:
    """The arms that stand furthest apart: the first, and the last of the same seed."""
    repeat = record.cells[made[0]].place.repeat
    same = [
        index
        for index in made
        if record.cells[index].place.repeat == repeat
        and record.cells[index].place.role is Role.ARM
    ]
    return made[0], same[-1] if len(same) > 1 else made[-1]


def _choice(record: ComparisonRecord, index: int) -> str:
    cell = record.cells[index]
    return f"{cell.label} ({cell.mode.label})" if cell.mode.label not in cell.label else cell.label


def sides(paths: list[Path], labels: list[str]) -> Html:
    """Two pictures that zoom as one."""
    lenses = [
        tag(
            "figure",
            div(
                "ls-lens",
                tag("img", src=file_url(path), alt=label, draggable="false"),
                tabindex=0,
                aria_label=f"{label}; plus and minus zoom, arrows move",
                role="group",
            ),
            tag("figcaption", label, class_="ls-origin"),
        )
        for path, label in zip(paths, labels, strict=True)
    ]
    buttons = [
        tag("button", said, type="button", class_="ls-button", data_zoom=how, aria_label=name)
        for how, said, name in (
            ("out", "−", "Zoom out"),
            ("in", "+", "Zoom in"),
            ("reset", "Fit", "Fit"),
        )
    ]
    bar = div("ls-zoom-bar", *buttons, span("ls-zoomed ls-figure ls-origin", "100 %"))
    return join((div("ls-sides", *lenses), bar))


def _difference(png: bytes, gain: float) -> Html:
    source = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
    image = tag("img", src=source, alt="Where the two pictures differ")
    line = "Black means no difference, white the largest."
    if gain != 1.0:
        times = format.number(round(gain, 1))
        line = f"White is the largest difference there is here; brightened {times} times."
    return tag(
        "figure", image, tag("figcaption", line, class_="ls-origin"), class_="ls-difference"
    )


def _contract(label: str, contract: Html) -> Html:
    return tag(
        "details",
        tag("summary", f"Contract and receipt of “{label}”"),
        contract,
        class_="ls-json",
        data_keep="cell",
    )


def _sheet_link(place: Path) -> Html:
    link: dict[str, Any] = {"href": file_url(place), "download": place.name}
    return div("ls-under", tag("a", icons.DOWNLOAD, "Contact sheet", class_="ls-button", **link))
