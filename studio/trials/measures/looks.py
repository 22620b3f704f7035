"""Whether two pictures look the same: perceptual hashes, near-duplicates, training pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from studio.errors import StudioError, TrialError
from studio.imaging import decoding
from studio.trials.design import PictureFolder
from studio.trials.measures.measure import Beside, MeasureFacts, MeasureReading, Seen
from studio.trials.observations import PromptKind

SIDE = 16
BITS = SIDE * SIDE
ALIKE = 10
"""Bits of ``BITS`` in which near-duplicates differ at most (4 %): what a picture that is scaled or
saved as JPEG again differs from itself by stays below it."""
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_SOURCE = (
    "dHash (Krawetz 2013, “Kind of Like That”): the signs of the differences of neighbours in a "
    f"grey picture of {SIDE + 1} by {SIDE} pixels."
)


def look(image: Image.Image) -> int:
    """A picture's dHash, ``BITS`` bits."""
    grey = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.int16)
    bits = (values[:, 1:] > values[:, :-1]).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def bits_apart(one: int, other: int) -> int:
    """In how many bits two looks differ."""
    return (one ^ other).bit_count()


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A picture of a folder: the file, the SHA-256 of its bytes, its look, and what it shows."""

    path: Path
    sha256: str
    look: int
    image: Image.Image


def look_through(folder: Path) -> tuple[LookedAt, ...]:
    """The PNG, JPEG and WebP pictures below a folder, by name.

    Raises:
        TrialError: there are none, or one cannot be read.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            try:
                data = path.read_bytes()
                image = decoding.upright_rgb(data)
            except (OSError, StudioError) as error:
                raise TrialError(
                    f"{path} cannot be read as a picture.", "Repair it, or take it out."
                ) from error
            sha256 = hashlib.sha256(data).hexdigest()
            found.append(LookedAt(path, sha256, look(image), image))
    if not found:
        raise TrialError(
            f"There are no pictures in {folder}.", "Name a folder of PNG, JPEG or WebP files."
        )
    return tuple(found)


def as_folder(folder: Path, pictures: Sequence[LookedAt]) -> PictureFolder:
    """What a trial's record says of a folder."""
    return PictureFolder(folder=str(folder), files=tuple(sorted(one.sha256 for one in pictures)))


def demand_apart(holdout: Sequence[LookedAt], training: Sequence[LookedAt]) -> None:
    """
    Raises:
        TrialError: a hold-out picture is one of the training pictures, or looks like one.
    """
    hashes = {each.sha256: each for each in training}
    for picture in holdout:
        same = hashes.get(picture.sha256)
        near = next((t for t in training if bits_apart(t.look, picture.look) <= ALIKE), None)
        twin = same or near
        if twin is not None:
            how = "is the training picture" if same else "looks the same as the training picture"
            raise TrialError(
                f"The hold-out picture {picture.path.name} {how} {twin.path.name}: likeness to "
                "it would only say how much was learnt by heart.",
                "Hold pictures out that were not trained on.",
            )


class NearestTraining:
    """How near a picture comes to one that was trained on."""

    facts = MeasureFacts(
        name="nearest_training",
        unit=f"bits of {BITS}",
        better="more",
        says="In how many bits of its perceptual hash a picture differs from the nearest "
        f"training picture. {ALIKE} and below is an alarm: it may have been learnt by heart.",
        cannot="Whether a part of the picture was, or one that is turned or mirrored.",
        source=_SOURCE,
    )
    kinds = frozenset(PromptKind)
    needs = frozenset({Beside.BASE})

    def __init__(self, training: Sequence[LookedAt]) -> None:
        self._looks = tuple(each.look for each in training)

    def read(self, seen: Seen) -> MeasureReading | None:
        """The base's number is beside it: a picture that the base makes alike is no alarm."""
        return MeasureReading(self._nearest(seen.image), self._nearest(seen.beside[Beside.BASE]))

    def _nearest(self, image: Image.Image) -> float:
        own = look(image)
        return float(min(bits_apart(own, each) for each in self._looks))
