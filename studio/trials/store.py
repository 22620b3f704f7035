"""A trial on disk: its design, and what came of it so far, line by line.

outputs/trials/NAME/trial.json          the design; its presence makes the folder a trial
outputs/trials/NAME/cells.jsonl         a line for each picture, or for why there is none
outputs/trials/NAME/observations.jsonl  a line for each number
outputs/trials/NAME/rounds.jsonl        a line for each decision of the rule
outputs/trials/NAME/duels.jsonl         a line for each choice in the blind tournament
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from studio.contract.base import Contract, Sha256
from studio.errors import TrialError
from studio.gallery import jsonl
from studio.storage import atomic
from studio.storage.lock import try_lock
from studio.trials.design import FORMAT, CellRole, TrialCell, TrialCheckpoint, TrialDesign
from studio.trials.halving import Leaver
from studio.trials.observations import Observation, TrialArm
from studio.trials.tournament import Duel

FOLDER = "trials"
DESIGN = "trial.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
WrittenLine = TypeVar("WrittenLine", bound=Contract)


class CellResult(Contract):
    """What came of one cell.

    Attributes:
        picture: its file below the outputs; None where there is none.
        plan, record: fingerprints of the plan and of the picture's whole record.
        pixels: SHA-256 of its pixels.
        effect: of the LoRA on its layers or on the denoiser's answer, as the receipt has it.
        noise: SHA-256 of the latents it began from; ``device``: what it ran on.
        base_held: whether the base without LoRAs still gave the output it was loaded with.
        seconds: that it took; 0 where it was in the gallery already.
        problem: why there is no picture.
    """

    cell: TrialCell
    picture: str | None = None
    plan: Sha256 | None = None
    record: Sha256 | None = None
    pixels: Sha256 | None = None
    effect: float | None = None
    noise: Sha256 | None = None
    device: str = ""
    base_held: bool = True
    seconds: float = 0.0
    reused: bool = False
    problem: str | None = None


class Round(Contract):
    """A decision of the rule.

    Attributes:
        number: from 1.
        seeds: that every arm in it has been tried with after it.
        arms: that were in it; ``out``: those of all arms that have left by its end.
    """

    number: int = Field(ge=1)
    seeds: tuple[int, ...]
    arms: tuple[TrialArm, ...]
    out: tuple[Leaver, ...] = ()


class TrialStore:
    """The trials under ``outputs``."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.folder = outputs / FOLDER

    def names(self) -> list[str]:
        """Every trial's, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [path.parent for path in self.folder.glob(f"*/{DESIGN}")]
        whole = sorted(found, key=lambda each: (each / DESIGN).stat().st_mtime_ns, reverse=True)
        return [each.name for each in whole if _NAME.fullmatch(each.name)]

    def free_name(self, wanted: str) -> str:
        """``wanted`` as a name that a trial may have and none has."""
        plain = re.sub(r"[^a-z0-9._-]+", "-", wanted.lower()).strip("-._")[:60] or "trial"
        taken = set(self.names())
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}-{number}", number + 1
        return name

    def begin(self, design: TrialDesign) -> "StoredTrial":
        """
        Raises:
            TrialError: there is one of this name already.
            GalleryError: the disk does not take it.
        """
        trial = StoredTrial(self.outputs, self.folder / design.name)
        if (trial.folder / DESIGN).exists():
            raise TrialError(
                f"There is a trial {design.name} already.",
                f"Continue it with `studio trial resume {design.name}`, or give another --name.",
            )
        text = design.model_dump_json(indent=1)
        with atomic.storing(self.folder):
            atomic.overwrite(trial.folder / DESIGN, text.encode("utf-8"))
        return trial

    def open(self, name: str) -> "StoredTrial":
        """
        Raises:
            TrialError: there is none of this name.
        """
        if _NAME.fullmatch(name) is None or not (self.folder / name / DESIGN).is_file():
            known = ", ".join(self.names()[:5]) or "none yet"
            raise TrialError(
                f"There is no trial {name!r} in {self.folder}.", f"Those there: {known}."
            )
        return StoredTrial(self.outputs, self.folder / name)


class StoredTrial:
    """One trial's files. Lines are added and never changed; a torn one does not count."""

    def __init__(self, outputs: Path, folder: Path) -> None:
        self.outputs = outputs
        self.folder = folder

    @property
    def name(self) -> str:
        return self.folder.name

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process runs it in this context.

        Raises:
            TrialError: another process runs it.
        """
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not try_lock(descriptor):
                raise TrialError(
                    f"The trial {self.name} is running already.", "Stop it there, or wait for it."
                )
            yield
        finally:
            os.close(descriptor)

    def is_running(self) -> bool:
        """Whether a process runs it now, this one or another."""
        try:
            with self.alone():
                return False
        except TrialError:
            return True

    def design(self) -> TrialDesign:
        """
        Raises:
            TrialError: it cannot be read, or a newer studio wrote it.
        """
        path = self.folder / DESIGN
        try:
            return TrialDesign.model_validate_json(path.read_bytes())
        except ValidationError as error:
            newer = any(each["loc"] == ("format",) for each in error.errors())
            reason = f"it is of a format above {FORMAT}" if newer else "it was changed"
            raise TrialError(
                f"{path} cannot be read: {reason}.",
                "Update the studio." if newer else "Begin a new trial; the pictures are kept.",
            ) from error
        except OSError as error:
            raise atomic.storage_error(error, self.folder) from error

    def results(self) -> dict[str, CellResult]:
        """Key of a cell → what came of it last."""
        return {each.cell.key: each for each in self._lines("cells.jsonl", CellResult)}

    def add_result(self, result: CellResult) -> None:
        self._add("cells.jsonl", result)

    def observations(self) -> list[Observation]:
        """Each once: of one picture and measure the last counts. A checkpoint that equals an
        earlier one has its observations, and one that does nothing shows the base."""
        found = {}
        for each in self._lines("observations.jsonl", Observation):
            found[each.arm, each.kind, each.pair, each.measure] = each
        design = self.design()
        own = list(found.values())
        for checkpoint in design.checkpoints:
            if checkpoint.same_as is not None:
                own += _shared(checkpoint, list(found.values()))
            elif checkpoint.inert:
                own += self._of_nothing(design.arms_of(checkpoint))
        return own

    def _of_nothing(self, arms: Iterable[TrialArm]) -> list[Observation]:
        base = [each for each in self.results().values() if each.cell.role is CellRole.BASE]
        return [
            Observation(
                arm=arm,
                prompt=each.cell.prompt,
                kind=each.cell.kind,
                seed=each.cell.seed,
                measure="effect",
                value=0.0,
                picture=each.pixels,
                base_picture=each.pixels,
            )
            for arm in arms
            for each in base
            if each.pixels is not None
        ]

    def add_observations(self, observations: Iterable[Observation]) -> None:
        lines = [each.model_dump_json(exclude_none=True) for each in observations]
        if lines:
            jsonl.append(self.folder / "observations.jsonl", "\n".join(lines))

    def rounds(self) -> list[Round]:
        """Those that are over, in their order."""
        return list({each.number: each for each in self._lines("rounds.jsonl", Round)}.values())

    def add_round(self, round_: Round) -> None:
        self._add("rounds.jsonl", round_)

    def duels(self) -> list[Duel]:
        """What people chose, in the order in which they did."""
        return list(self._lines("duels.jsonl", Duel))

    def add_duel(self, duel: Duel) -> None:
        """
        Raises:
            GalleryError: the disk does not take it.
        """
        self._add("duels.jsonl", duel)

    def _add(self, name: str, line: Contract) -> None:
        jsonl.append(self.folder / name, line.model_dump_json(exclude_none=True))

    def _lines(self, name: str, kind: type[WrittenLine]) -> Iterator[WrittenLine]:
        path = self.folder / name
        for line in jsonl.read(path).whole:
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                raise TrialError(
                    f"{path} has a line that is none of a trial's.",
                    "Restore the file, or begin a new trial; the pictures are kept.",
                ) from error


def _shared(checkpoint: TrialCheckpoint, seen: list[Observation]) -> list[Observation]:
    place = {"checkpoint": checkpoint.name, "step": checkpoint.step}
    return [
        each.model_copy(update={"arm": each.arm.model_copy(update=place)})
        for each in seen
        if each.arm.checkpoint == checkpoint.same_as
    ]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
