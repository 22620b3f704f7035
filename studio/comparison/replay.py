"""A picture made again from its own plan: what came of it, and where it first went another way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from studio.contract.base import Contract, Sha256, Versioned, fingerprint
from studio.contract.plan import Library
from studio.contract.receipt import Receipt, RunRecord

MOST_MEAN = 0.02
"""Mean difference (0 to 1) up to which other pixels count as other numerics: 5 of 255."""
LEAST_SSIM = 0.95
"""Structural similarity from which they do."""
UNKNOWN = "not recorded"


class ReplayOutcome(StrEnum):
    IDENTICAL = "identical"
    """Every pixel is the same."""
    NUMERICS = "numerics"
    """The same picture, computed by another device or another release of a library."""
    DIFFERENT = "different"


class Stage(StrEnum):
    """What a receipt holds a hash of, in the order in which a picture comes about."""

    NOISE = "noise"
    ENCODING = "encoding"
    LORAS = "loras"
    LATENTS = "latents"
    PIXELS = "pixels"

    @property
    def words(self) -> str:
        return {
            Stage.NOISE: "the noise it begins from",
            Stage.ENCODING: "the prompt as the encoders read it",
            Stage.LORAS: "the LoRAs as they were switched on",
            Stage.LATENTS: "the latents after the last step",
            Stage.PIXELS: "the decoded pixels",
        }[self]


class Substitution(Contract):
    """Something that computes the picture and is another one now: the device, the hardware, the
    dtype, or a library; ``before`` and ``now`` as text."""

    what: str
    before: str
    now: str


class Distance(Contract):
    """How far two pictures of one size are apart.

    Attributes:
        largest, mean: of |difference| over all channel values, 0 to 1.
        similarity: SSIM; None where a side is shorter than its window.
    """

    largest: float
    mean: float
    similarity: float | None

    @property
    def is_small(self) -> bool:
        """Whether other numerics can be all of it."""
        like = self.similarity is None or self.similarity >= LEAST_SSIM
        return self.mean <= MOST_MEAN and like


class ReplayRecord(Versioned):
    """The evidence: what was made again, by what, and what came of it.

    Attributes:
        record_fingerprint: of the picture's whole record; ``plan_fingerprint`` of its plan.
        at: when it was judged, ISO 8601.
        outcome, stage, changes: as ``judge`` finds them.
        distance: None where every pixel is the same.
        libraries: of the studio that made it again.
        receipt: of the picture that was made again.
    """

    record_fingerprint: Sha256
    plan_fingerprint: Sha256
    at: str
    outcome: ReplayOutcome
    stage: Stage | None
    changes: tuple[Substitution, ...]
    distance: Distance | None
    libraries: tuple[Library, ...]
    receipt: Receipt

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.model_dump(mode="json"))

    @property
    def words(self) -> str:
        """The answer in a sentence or three."""
        if self.outcome is ReplayOutcome.IDENTICAL:
            return "Pixel-identical: the plan gives exactly this picture again."
        said = f"What differs first is {self.stage.words}." if self.stage else ""
        others = ", ".join(f"{each.what} {each.before} → {each.now}" for each in self.changes)
        head = {
            ReplayOutcome.NUMERICS: f"Equal but for numerics ({others}).",
            ReplayOutcome.DIFFERENT: "Different" + (f" ({others})." if others else ", on the same "
            "hardware and libraries."),
        }[self.outcome]  # fmt: skip
        return " ".join(filter(None, (head, said, _far(self.distance))))


def _far(distance: Distance | None) -> str:
    if distance is None:
        return ""
    like = distance.similarity
    ssim = "" if like is None else f", SSIM {like:.4f}"
    return (
        f"The largest difference is {distance.largest * 255:.0f} of 255, the mean "
        f"{distance.mean * 255:.2f}{ssim}."
    )


@dataclass(frozen=True, slots=True)
class ReplayJudgement:
    outcome: ReplayOutcome
    stage: Stage | None
    changes: tuple[Substitution, ...]


def judge(
    before: RunRecord, now: Receipt, libraries: Iterable[Library], distance: Distance | None
) -> ReplayJudgement:
    """The answer, by the hashes of both receipts.

    Other pixels are other numerics where something that computes them is another one, or is not
    recorded, and they are near; what differs before anything is computed with floats (the noise,
    the LoRAs that are on) never is.
    """
    changes = tuple(_changes(before, now, libraries))
    differing = [stage for stage in Stage if _differs(stage, before.receipt, now)]
    stage = next(iter(differing), None)
    if Stage.PIXELS not in differing:
        return ReplayJudgement(ReplayOutcome.IDENTICAL, None, changes)
    near = distance is not None and distance.is_small
    exact = {Stage.NOISE, Stage.LORAS}.isdisjoint(differing)
    numerics = bool(changes) and near and exact
    return ReplayJudgement(
        ReplayOutcome.NUMERICS if numerics else ReplayOutcome.DIFFERENT, stage, changes
    )


def hash_of(stage: Stage, receipt: Receipt) -> str | None:
    """None where the receipt is of a release that did not ask for it."""
    return {
        Stage.NOISE: receipt.image.noise_sha256,
        Stage.ENCODING: receipt.embeddings_sha256,
        Stage.LORAS: receipt.switched_sha256,
        Stage.LATENTS: receipt.image.latents_sha256,
        Stage.PIXELS: receipt.image.pixels_sha256,
    }[stage]


def _differs(stage: Stage, before: Receipt, now: Receipt) -> bool:
    one, other = hash_of(stage, before), hash_of(stage, now)
    return None not in (one, other) and one != other


def _changes(
    before: RunRecord, now: Receipt, libraries: Iterable[Library]
) -> Iterator[Substitution]:
    then = before.receipt
    for what, was, is_now in (
        ("device", then.device, now.device),
        ("hardware", then.hardware or UNKNOWN, now.hardware or UNKNOWN),
        ("dtype", then.dtype, now.dtype),
    ):
        if was != is_now:
            yield Substitution(what=what, before=was, now=is_now)
    known = {each.name: each.version for each in before.plan.libraries}
    found = {each.name: each.version for each in libraries}
    for name in sorted(known.keys() | found.keys()):
        if known.get(name) != found.get(name):
            was, is_now = known.get(name, "none"), found.get(name, "none")
            yield Substitution(what=name, before=was, now=is_now)


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that a plan needs and that is not here.

    Attributes:
        what: a base's file, a LoRA or a reference image, in words.
        source: where it could come from: a repository, an AIR; empty where nobody knows.
        called: what these weights are called among the earlier ones of their preset, if they are.
    """

    what: str
    sha256: str
    source: str
    called: str | None = None

    @property
    def line(self) -> str:
        named = f", {self.called}" if self.called else ""
        where = f"; it came from {self.source}" if self.source else ""
        return f"{self.what}{named} (SHA-256 {self.sha256}){where}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A picture was made again, and the evidence is kept at ``evidence``."""

    picture: Path
    evidence: Path
    record: ReplayRecord


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A picture cannot be made again: for lack of something, or for a reason."""

    picture: Path
    lost: tuple[Lost, ...] = ()
    reason: str = ""
    way_out: str = ""

    @property
    def words(self) -> str:
        if self.lost:
            return f"It cannot be made again. Missing: {'. '.join(x.line for x in self.lost)}."
        return f"It cannot be made again. {self.reason} {self.way_out}".strip()


@dataclass(frozen=True, slots=True)
class ReplayWanted:
    """Pictures that are to be made again, one after another."""

    pictures: tuple[Path, ...]
