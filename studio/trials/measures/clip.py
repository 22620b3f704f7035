"""Measures by a CLIP model of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL.Image import Image

from studio.comparison.numbers import MEANINGS, ClipIdentity, ClipReading, Vector, cosine
from studio.trials.measures.measure import Beside, MeasureFacts, MeasureReading, Seen
from studio.trials.observations import PromptKind

_SOURCE = "Radford et al. 2021 (CLIP); the cosine of the two vectors."


class ClipReads(Protocol):
    """A CLIP model, loaded."""

    @property
    def identity(self) -> ClipIdentity: ...

    def read(self, images: Sequence[Image], texts: Sequence[str]) -> ClipReading: ...


class ClipText:
    """How well a picture matches what it was asked for, without the trigger words."""

    kinds = frozenset(PromptKind)
    needs = frozenset({Beside.BASE})

    def __init__(self, model: ClipReads) -> None:
        self._model = model
        self.facts = MeasureFacts(
            name="clip_text",
            unit="cosine",
            better="more",
            says="How well the picture matches the prompt, its trigger words left out, according "
            "to this CLIP model.",
            cannot="Quality, and anything between prompts or models.",
            source=_SOURCE,
            models=(model.identity,),
        )

    def read(self, seen: Seen) -> MeasureReading | None:
        """None where the prompt is longer than the model's window."""
        read = self._model.read([seen.image, seen.beside[Beside.BASE]], [seen.plain])
        text = read.texts[0]
        if text is None:
            return None
        own, base = (cosine(image, text) for image in read.images)
        return MeasureReading(own, base)


class Likeness:
    """How alike a picture is to the pictures that were held out of the training."""

    kinds = frozenset({PromptKind.TRIGGER, PromptKind.PLAIN})
    needs = frozenset({Beside.BASE})

    def __init__(self, model: ClipReads, holdout: Sequence[Image]) -> None:
        self._model = model
        self._held: tuple[Vector, ...] = model.read(list(holdout), []).images
        self.facts = MeasureFacts(
            name="likeness",
            unit="cosine",
            better="more",
            says=f"The mean cosine to the {len(holdout)} pictures held out of the training. "
            + MEANINGS["clip_pictures"],
            cannot="A face or a detail from another of its kind: CLIP sees what is shown more "
            "than whose it is.",
            source=_SOURCE,
            models=(model.identity,),
        )

    def read(self, seen: Seen) -> MeasureReading | None:
        read = self._model.read([seen.image, seen.beside[Beside.BASE]], [])
        own, base = (self._mean(vector) for vector in read.images)
        return MeasureReading(own, base)

    def _mean(self, vector: Vector) -> float:
        return sum(cosine(vector, each) for each in self._held) / len(self._held)
