"""Numbers of a comparison: how far two pictures are apart, and how steadily over seeds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field

from studio.contract.base import Contract, Sha256, says_nothing


class Measures(Contract):
    """Two pictures of one size, pixel against pixel.

    Attributes:
        mean_absolute_difference: of the RGB values, as a share of their range: 0 to 1.
        structural_similarity: SSIM (Wang et al. 2004), 1 for equal pictures; None where a
            side is shorter than its window of 7 pixels.
    """

    mean_absolute_difference: float
    structural_similarity: float | None


class PairNumbers(Contract):
    """Two cells (0-based) and their measures; None where the pictures differ in size.

    Attributes:
        clip: cosine of the two pictures' vectors; None without a CLIP model.
    """

    left: int
    right: int
    measures: Measures | None
    clip: float | None = Field(default=None, exclude_if=says_nothing)


class ClipIdentity(Contract):
    """The CLIP model that scores were made with: its folder's name, the SHA-256 of its weights."""

    name: str
    sha256: Sha256


Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ClipReading:
    """What a CLIP model made of pictures and texts, in their order; every vector has length 1.

    Attributes:
        texts: None for a text that is longer than the model's window: it is not cut.
    """

    model: ClipIdentity
    images: tuple[Vector, ...]
    texts: tuple[Vector | None, ...]


def cosine(left: Vector, right: Vector) -> float:
    """Of two vectors of length 1: 1 for the same direction, 0 for unrelated ones."""
    return sum(a * b for a, b in zip(left, right, strict=True))


class Spread(Contract):
    """Values over several seeds: median, quartiles (inclusive method) and extremes."""

    count: int
    low: float
    first_quartile: float
    median: float
    third_quartile: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """
        Raises:
            ValueError: without values.
        """
        if not values:
            raise ValueError("a spread needs a value")
        ordered = sorted(values)
        first, middle, third = (
            statistics.quantiles(ordered, n=4, method="inclusive")
            if len(ordered) > 1
            else (ordered[0],) * 3
        )
        return cls(
            count=len(ordered),
            low=ordered[0],
            first_quartile=first,
            median=middle,
            third_quartile=third,
            high=ordered[-1],
        )


MEANINGS = {
    "mean_absolute_difference": (
        "How far the pixels are apart on average: it says that two pictures differ and how much, "
        "not what differs, nor which is better."
    ),
    "structural_similarity": (
        "How much of the local structure is the same, 1 being all of it: it says whether the "
        "layout stayed, not whether the style or the subject is the one wanted."
    ),
    "clip_pictures": (
        "How alike this CLIP model finds the two pictures, 1 being the same: it looks at what is "
        "shown more than at how, and knows nothing of which is better."
    ),
    "clip_prompt": (
        "How well each picture matches the prompt as typed, according to this CLIP model. It can "
        "tell arms of one prompt apart; it is not a measure of quality, and must not be compared "
        "between prompts or models."
    ),
    "paired_effect": (
        "The same pair of arms on every seed: the spread says how steady the effect is on this "
        "prompt, and nothing about other prompts."
    ),
}
"""What each number can and cannot say."""
