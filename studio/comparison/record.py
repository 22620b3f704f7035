"""What is kept of a comparison: request, cells by fingerprint, verdict and numbers."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from studio.architecture import Mode
from studio.comparison.axes import MAX_CELLS, ComparisonPlan, ComparisonRequest, Place, Question
from studio.comparison.differences import Difference, differences, in_one_line
from studio.comparison.facts import effective
from studio.comparison.numbers import ClipIdentity, PairNumbers
from studio.comparison.validity import Validity, name_of
from studio.contract.base import (
    Contract,
    Count,
    Relative,
    Sha256,
    Versioned,
    added,
    fingerprint,
    says_nothing,
)
from studio.contract.marks import SourceType
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord

MAX_RECORDED = 4 * MAX_CELLS
_NAMED = 2
"""LoRAs that a title names."""
"""Cells of a record: those of the grid, and its controls."""

UNDRAWN = "0" * 64
"""In place of the contact sheet's hash, while the record is being drawn on it."""

KIND_LABELS = {
    Question.BASE_AGAINST_LORA: "Base against LoRA",
    Question.FOUR_ARMS: "Four arms",
    Question.STRENGTHS: "Strengths",
    Question.SEEDS_STRENGTHS: "Seeds × strengths",
    Question.LORA_AGAINST_LORA: "LoRA against LoRA",
    Question.GRID: "Grid",
}


class CellState(StrEnum):
    DONE = "done"
    FAILED = "failed"
    NOT_MADE = "not_made"


class CellError(Contract):
    """Why a cell has no picture: a stable code, what happened and the way out."""

    code: str
    message: str
    way_out: str


class CellRecord(Contract):
    """One cell as it came out.

    Attributes:
        label: the cell in words.
        differs: what differs from the first cell of its seed, in one line; empty for that one.
        record_fingerprint: of the picture's whole record; None without a picture.
        picture: its file, relative to the outputs.
        reused: the picture was in the gallery already, under the same plan, and had been made
            for something else; what an unfinished run of this comparison made is its own.
        together: cells that were denoised in one call with this one, itself counted; above 1
            in records of earlier releases only.
        clip: cosine of the picture's vector and that of its prompt as typed; None without a CLIP
            model, and where the prompt is longer than the model reads.
    """

    place: Place
    label: str
    differs: str
    mode: Mode
    seed: int
    plan_fingerprint: Sha256
    state: CellState
    record_fingerprint: Sha256 | None = None
    pixels_sha256: Sha256 | None = None
    noise_sha256: Sha256 | None = None
    picture: Relative | None = None
    reused: bool = False
    together: Count = 1
    clip: float | None = Field(default=None, exclude_if=says_nothing)
    error: CellError | None = None


def blank_cells(plan: ComparisonPlan) -> tuple[CellRecord, ...]:
    """Every cell of a plan before any of them is made."""
    firsts = {cell.place.repeat: cell.plan for cell in reversed(plan.cells)}
    return tuple(
        CellRecord(
            place=cell.place,
            label=name_of(plan, index),
            differs=_differs(firsts[cell.place.repeat], cell.plan),
            mode=cell.plan.mode,
            seed=cell.plan.seed,
            plan_fingerprint=cell.plan.fingerprint,
            state=CellState.NOT_MADE,
        )
        for index, cell in enumerate(plan.cells)
    )


def _differs(first: RunPlan, plan: RunPlan) -> str:
    if plan == first:
        return ""
    said = in_one_line(differences(first, plan))
    if effective(plan) == effective(first):
        return f"{said.removesuffix('.')}, which changes no pixel."
    return said


def done(cell: CellRecord, record: RunRecord, picture: str, reused: bool) -> CellRecord:
    """``cell`` with its picture; ``picture`` is its file, relative to the outputs."""
    image = record.receipt.image
    return cell.model_copy(
        update={
            "state": CellState.DONE,
            "record_fingerprint": record.fingerprint,
            "pixels_sha256": image.pixels_sha256,
            "noise_sha256": image.noise_sha256,
            "together": record.receipt.together,
            "picture": picture,
            "reused": reused,
        }
    )


def failed(cell: CellRecord, error: CellError) -> CellRecord:
    return cell.model_copy(update={"state": CellState.FAILED, "error": error})


class ComparisonRecord(Versioned):
    """A comparison that was run, wholly or in part.

    Attributes:
        plan_fingerprint: the comparison plan's.
        summary: what differs, in one line.
        uninvited: what differs although no axis asked for it.
        sheet_pixels_sha256: of the contact sheet that lies beside this record.
        clip: the model that the cells' and pairs' CLIP scores were made with, if there are any.
        source_type: what the contact sheet's XMP says made it; None in a file without it.
        producer: who its AIGC label names as its producer; None in a file without one.
        signer: number of the certificate that it is signed with; None where it is not.
    """

    finished_at: str
    device: str
    base_label: str
    lora_labels: tuple[str, ...]
    plan_fingerprint: Sha256
    wanted: ComparisonRequest
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    summary: str
    uninvited: tuple[Difference, ...]
    cells: tuple[CellRecord, ...] = Field(max_length=MAX_RECORDED)
    validity: Validity
    numbers: tuple[PairNumbers, ...]
    sheet_pixels_sha256: Sha256
    clip: ClipIdentity | None = Field(default=None, exclude_if=says_nothing)
    source_type: SourceType | None = added(since=2)
    producer: str | None = added(since=2)
    signer: str | None = added(since=2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Every cell stands in the grid, and every index is one of a cell."""
        repeats = self.wanted.request.count
        for cell in self.cells:
            place = cell.place
            inside = place.row < len(self.rows) and place.column < len(self.columns)
            if not inside or place.repeat >= max(repeats, 1):
                raise ValueError("a cell stands outside the grid")
        pairs = (index for pair in self.numbers for index in (pair.left, pair.right))
        named = (index for reason in self.validity.reasons for index in reason.cells)
        if any(not 0 <= index < len(self.cells) for index in (*pairs, *named)):
            raise ValueError("it speaks of a cell that it does not have")
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole record's canonical JSON."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def title(self) -> str:
        """For lists: the question, and what it was asked of."""
        first, more = self.lora_labels[:_NAMED], len(self.lora_labels) - _NAMED
        of = " and ".join(first) or self.base_label
        of = f"{', '.join(first)} and {more} more" if more > 0 else of
        return f"{KIND_LABELS[self.wanted.kind]}: {of}"

    @property
    def pictured(self) -> tuple[CellRecord, ...]:
        """The cells that have a picture."""
        return tuple(cell for cell in self.cells if cell.state is CellState.DONE)
