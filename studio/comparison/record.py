"""What is kept of a comparison: request, cells by fingerprint, verdict and numbers."""

from enum import StrEnum

from studio.architecture import Mode
from studio.comparison.differences import Difference
from studio.comparison.numbers import PairNumbers
from studio.comparison.validity import Validity
from studio.contract import Contract, fingerprint
from studio.grid import ComparisonRequest, Kind, Place

COMPARISON_RECORD_SCHEMA = 1

KIND_LABELS = {
    Kind.BASE_AGAINST_LORA: "Base against LoRA",
    Kind.FOUR_ARMS: "Four arms",
    Kind.STRENGTHS: "Strengths",
    Kind.SEEDS_STRENGTHS: "Seeds × strengths",
    Kind.LORA_AGAINST_LORA: "LoRA against LoRA",
    Kind.GRID: "Grid",
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
        record_fingerprint: of the picture's whole record; None without a picture.
        picture: its file, relative to the outputs.
        reused: the picture was in the gallery already, under the same plan.
        together: cells that were denoised in one call with this one, itself counted.
    """

    place: Place
    label: str
    mode: Mode
    seed: int
    plan_fingerprint: str
    state: CellState
    record_fingerprint: str | None = None
    pixels_sha256: str | None = None
    noise_sha256: str | None = None
    picture: str | None = None
    reused: bool = False
    together: int = 1
    error: CellError | None = None


class ComparisonRecord(Contract):
    """A comparison that was run, wholly or in part.

    Attributes:
        plan_fingerprint: the comparison plan's.
        summary: what differs, in one line.
        uninvited: what differs although no axis asked for it.
        sheet_pixels_sha256: of the contact sheet that lies beside this record.
    """

    schema_version: int = COMPARISON_RECORD_SCHEMA
    finished_at: str
    device: str
    base_label: str
    lora_labels: tuple[str, ...]
    plan_fingerprint: str
    wanted: ComparisonRequest
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    summary: str
    uninvited: tuple[Difference, ...]
    cells: tuple[CellRecord, ...]
    validity: Validity
    numbers: tuple[PairNumbers, ...]
    sheet_pixels_sha256: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole record's canonical JSON."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def title(self) -> str:
        """For lists: the question, and what it was asked of."""
        of = " and ".join(self.lora_labels) or self.base_label
        return f"{KIND_LABELS[self.wanted.kind]}: {of}"

    @property
    def done(self) -> tuple[CellRecord, ...]:
        return tuple(cell for cell in self.cells if cell.state is CellState.DONE)
