"""The training drawings as a measure of a trial: ``--measure training.mini.measure:Drawing``."""

from __future__ import annotations

import re

from studio.trials.measures import MeasureFacts, MeasureReading, Seen
from studio.trials.measures.measure import Beside
from studio.trials.observations import PromptKind
from training.mini.scoring import likeness
from training.mini.subjects import BACKGROUNDS, BASE, PEN_INK, SUBJECTS, Pair


class Drawing:
    """How near a picture is to the drawing that it should be: in pen and ink where the trigger
    words are, in the base's own look where they are not."""

    facts = MeasureFacts(
        name="drawing",
        unit="share of the range",
        better="more",
        says="1 less the mean absolute difference to the nearest drawing of the prompt's subject "
        "(31 placements, 32×32 pixels), in pen and ink with the trigger words and flat without.",
        cannot="Anything of a prompt that names no subject and background of the embedded base.",
        source="training/mini/scoring.py.",
    )
    kinds = frozenset(PromptKind)
    needs = frozenset({Beside.BASE})

    def read(self, seen: Seen) -> MeasureReading | None:
        """None where the prompt names no subject of the base."""
        pair = pair_of(seen.plain)
        if pair is None:
            return None
        style = PEN_INK if seen.kind is PromptKind.TRIGGER else BASE
        own, base = (
            likeness(image, pair, style) for image in (seen.image, seen.beside[Beside.BASE])
        )
        return MeasureReading(own, base)


def pair_of(prompt: str) -> Pair | None:
    """The subject and the background that a prompt names."""
    words = re.findall(r"[a-z]+", prompt.lower())
    subject = next((each.name for each in SUBJECTS if each.name in words), None)
    background = next((each for each in BACKGROUNDS if each in words), None)
    return None if subject is None or background is None else Pair(subject, background)
