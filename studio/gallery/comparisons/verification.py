"""Whether a stored comparison is still what it was: record, sheet, every cell, the verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.comparison.axes import CellPlan, ComparisonPlan
from studio.comparison.record import CellRecord, ComparisonRecord
from studio.comparison.validity import Validity, Verdict, judge
from studio.contract.base import SCHEMA, canonical_json
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError, NewerRecord
from studio.gallery import record_png
from studio.gallery.comparisons import files
from studio.gallery.findings import Finding, broken
from studio.gallery.gallery import Gallery
from studio.gallery.reference_store import KeptReferences
from studio.gallery.signatures import problems, signature_of
from studio.gallery.verification import verify
from studio.imaging import png
from studio.imaging.references import FOLDER
from studio.signing.manifest import SHEET_LABEL, of_sheet
from studio.signing.reading import Signature
from studio.storage import atomic


@dataclass(frozen=True, slots=True)
class ComparisonVerification:
    """The answer; ``record`` is None where none could be read."""

    findings: tuple[Finding, ...]
    record: ComparisonRecord | None
    signature: Signature | None = None

    @property
    def ok(self) -> bool:
        return not self.findings


def is_comparison(path: Path) -> bool:
    """Whether ``path`` is named like a comparison's record or contact sheet."""
    return path.name.endswith((files.JSON_SUFFIX, files.SHEET_SUFFIX))


def verify_comparison(path: Path, trust: str = "") -> ComparisonVerification:
    """Check the comparison whose record or sheet is at ``path``; nothing is raised.

    Beside those of its cells' pictures, the findings have the codes ``comparison``,
    ``newer_record`` (a later release wrote it, and only its SHA-256 was checked), ``sheet``,
    ``cell``, ``signature`` (the sheet's) and ``verdict``.
    Its cells' pictures, and the reference images they were made from, are looked for under the
    folder that holds the day folders.
    """
    place = path.with_name(files.stem_of(path) + files.JSON_SUFFIX)
    try:
        record = files.read(place)
    except NewerRecord as error:
        known = f"schema version {SCHEMA} or lower"
        found = broken(error.code, known, error)
        return ComparisonVerification((found,), None)
    except GalleryError as error:
        found = broken("comparison", "the comparison as written", error)
        return ComparisonVerification((found,), None)
    outputs = place.resolve().parent.parent
    findings, signature = _sheet(files.sheet_of(place), record, trust)
    whole: dict[int, RunRecord] = {}
    for index, cell in enumerate(record.cells):
        if cell.picture is not None:
            findings += _cell(outputs, index, cell, whole)
    findings += _verdict(record, whole)
    return ComparisonVerification(tuple(findings), record, signature)


def _sheet(
    path: Path, record: ComparisonRecord, trust: str
) -> tuple[list[Finding], Signature | None]:
    try:
        data = atomic.read_file(path, png.MAX_FILE + 1)
        signature = signature_of(data, png.chunks(data), trust)
    except (OSError, GalleryError):
        signature = None
    said = of_sheet(record, "").assertions[SHEET_LABEL]
    broken_seals = (
        Finding("signature", f"The contact sheet: {text}", f"signed by {record.signer}", text)
        for text in problems(record.signer, signature, SHEET_LABEL, said)
    )
    return [*_drawn(path, record), *broken_seals], signature


def _drawn(path: Path, record: ComparisonRecord) -> Iterator[Finding]:
    try:
        data = atomic.read_file(path, png.MAX_FILE + 1)
        texts = png.texts(png.chunks(data))
        image = record_png.decode(data)
    except OSError as error:
        text = f"The contact sheet {path.name} cannot be read: {error.strerror or error}."
        yield Finding("sheet", text, "a PNG file", text)
        return
    except GalleryError as error:
        yield broken("sheet", "the contact sheet as written", error)
        return
    wanted = canonical_json(record.model_dump(mode="json"))
    if texts.get(files.RECORD_KEY) != wanted:
        text = "The contact sheet carries another record than the one beside it."
        yield Finding("sheet", text, record.fingerprint, "another record")
    found = png.pixels_sha256(image)
    if found != record.sheet_pixels_sha256:
        text = "The contact sheet's pixels are not the ones that were drawn."
        yield Finding("sheet", text, record.sheet_pixels_sha256, found)


def _cell(
    outputs: Path, index: int, cell: CellRecord, whole: dict[int, RunRecord]
) -> Iterator[Finding]:
    path = outputs / str(cell.picture)
    if not path.is_file():
        text = f"The picture of “{cell.label}” is not there any more: {cell.picture}."
        yield Finding("cell", text, str(cell.picture), "none")
        return
    answer = verify(path, KeptReferences(outputs / FOLDER).path)
    for finding in answer.findings:
        text = f"“{cell.label}”: {finding.text}"
        yield Finding(finding.code, text, finding.expected, finding.found)
    if answer.record is None:
        return
    whole[index] = answer.record
    for what, said, found in (
        ("record", cell.record_fingerprint, answer.record.fingerprint),
        ("plan", cell.plan_fingerprint, answer.record.plan.fingerprint),
        ("pixels", cell.pixels_sha256, answer.record.receipt.image.pixels_sha256),
    ):
        if said != found:
            text = f"“{cell.label}” has another {what} than the comparison was made of."
            yield Finding("cell", text, str(said), found)


def _verdict(record: ComparisonRecord, whole: Mapping[int, RunRecord]) -> Iterator[Finding]:
    """The verdict, judged anew from the pictures' own records."""
    if len(whole) < len(record.pictured):
        return  # already found; a verdict over the rest would be another question
    verdict = _judged(record, whole).verdict
    if verdict is not record.validity.verdict:
        text = (
            f"The comparison says that it is {record.validity.verdict.value}; judged by its "
            f"pictures it is {verdict.value}."
        )
        yield Finding("verdict", text, verdict.value, record.validity.verdict.value)


def judged_anew(gallery: Gallery, record: ComparisonRecord) -> Validity | None:
    """The verdict by the rules of today, from the cells' records alone: no pixel is read.

    None where a cell's picture is not there with the record that was compared; a verdict over
    the rest would be another question, and ``verify_comparison`` says what is lost.
    """
    whole: dict[int, RunRecord] = {}
    for index, cell in enumerate(record.cells):
        if cell.picture is None:
            continue
        try:
            found = gallery.read(cell.picture)
        except GalleryError:
            return None
        if found.fingerprint != cell.record_fingerprint:
            return None
        whole[index] = found
    return _judged(record, whole)


def _judged(record: ComparisonRecord, whole: Mapping[int, RunRecord]) -> Validity:
    """The verdict over ``whole``, the records of all cells that have a picture, by index."""
    indexes = sorted(whole)
    plan = ComparisonPlan(
        wanted=record.wanted,
        rows=record.rows,
        columns=record.columns,
        cells=tuple(
            CellPlan(place=record.cells[index].place, plan=whole[index].plan) for index in indexes
        ),
    )
    found = judge(plan, {number: whole[index].receipt for number, index in enumerate(indexes)})
    if found.verdict is Verdict.VALID and len(indexes) < len(record.cells):
        return Validity(verdict=Verdict.INCOMPLETE)
    return found
