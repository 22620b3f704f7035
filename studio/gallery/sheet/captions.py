"""What is written on a comparison's contact sheet.

Characters that the sheet's font lacks are never drawn as boxes: what has such characters is
said in other words, and stands whole in the record that the sheet carries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.comparison.axes import Axis, AxisName, Role
from studio.comparison.record import KIND_LABELS, CellRecord, ComparisonRecord
from studio.comparison.validity import Verdict, reason_texts, seal_words
from studio.gallery.sheet.lettering import can_write

LEGEND = "Below each picture: mode and seed, and what differs from the first of its seed."

_REASONS = 4
"""Reasons that are written out; the record has them all."""


@dataclass(frozen=True, slots=True)
class SheetWords:
    """The texts around the pictures.

    Attributes:
        quote: the prompt that every cell has, in quotes; empty where prompts are an axis.
        lines: what differs, what differs unasked, and why a comparison is not valid.
        legend: how the texts below the pictures are read.
        rows, columns: the grid's labels, one empty label where there is no such axis.
    """

    title: str
    seal: str
    verdict: Verdict
    quote: str
    lines: Sequence[str]
    legend: str
    rows: Sequence[str]
    columns: Sequence[str]


def sheet_words(record: ComparisonRecord) -> SheetWords:
    """The words of ``record``'s sheet, in characters that its font has."""
    wanted, validity = record.wanted, record.validity
    columns, rows = _labels(wanted.columns, record.columns), _labels(wanted.rows, record.rows)
    renamed = dict(zip((*record.columns, *record.rows), (*columns, *rows), strict=True))
    return SheetWords(
        title=_title(record),
        seal=seal_words(validity.verdict, record.uninvited),
        verdict=validity.verdict,
        quote=_quote(record),
        lines=[record.summary, *_unasked(record), *_reasons(record, renamed)],
        legend=LEGEND,
        rows=rows,
        columns=columns,
    )


def caption(cell: CellRecord) -> tuple[str, str]:
    """Two texts for below an arm: its mode and seed; what differs."""
    return f"{cell.mode.label} · seed {cell.seed}", cell.differs


def control_caption(cell: CellRecord, cells: Sequence[CellRecord]) -> tuple[str, str, bool]:
    """Two texts for below a control, what it is and what it shows, and whether that is good."""
    again = cell.place.role is Role.BASE_AGAIN
    name = "Base again, at the end" if again else "LoRA at strength 0"
    if sum(each.place == cell.place for each in cells) > 1:
        name = _in_words(cell.label, name)  # it names the worker
    named = f"{name} · seed {cell.seed}"
    at = cell.place.model_copy(update={"role": Role.ARM})
    base = next(each for each in cells if each.place == at)
    if None in (cell.pixels_sha256, base.pixels_sha256):
        return named, "To equal the base, bit for bit.", True
    if cell.pixels_sha256 == base.pixels_sha256:
        return named, "Equals the base, bit for bit.", True
    return named, "Does not equal the base, bit for bit.", False


def missing(cell: CellRecord) -> str:
    """What stands where a picture would."""
    if cell.error is None:
        return "Not made"
    return f"Failed. {_in_words(cell.error.message, 'What went wrong is in the record.')}"


def _in_words(text: str, instead: str) -> str:
    return text if can_write(text) else instead


def _title(record: ComparisonRecord) -> str:
    kind = KIND_LABELS[record.wanted.kind]
    shown = record.title.replace(kind, kind.replace("×", "by"), 1)
    return _in_words(shown, f"{kind.replace('×', 'by')}, the names in the record")


def _quote(record: ComparisonRecord) -> str:
    prompt = record.wanted.request.prompt
    axes = {axis.name for axis in record.wanted.axes}
    if AxisName.PROMPT in axes or not prompt.strip():
        return ""
    return _in_words(
        f"“{prompt}”", "The prompt is in the record; the font of this sheet lacks its letters."
    )


def _labels(axis: Axis | None, labels: Sequence[str]) -> tuple[str, ...]:
    if axis is None:
        return tuple(labels)
    name = axis.name.label
    return tuple(
        _in_words(label, f"{name} {number}, in the record")
        for number, label in enumerate(labels, start=1)
    )


def _unasked(record: ComparisonRecord) -> Iterator[str]:
    for item in record.uninvited:
        yield _in_words(
            item.not_asked_for, f"Not asked for: {item.name} differs too, as the record says."
        )


def _reasons(record: ComparisonRecord, renamed: Mapping[str, str]) -> Iterator[str]:
    """The first reasons, each once, with the grid's labels as they are written on the sheet."""
    reasons = list(dict.fromkeys(reason_texts(record.validity)))
    for text in reasons[:_REASONS]:
        for label, written in renamed.items():
            text = text.replace(label, written) if label != written else text
        yield _in_words(text, "A reason with other letters is in the record.")
    if len(reasons) > _REASONS:
        yield f"{len(reasons) - _REASONS} more in the record."
