"""Judges a picture of the mini model by the training drawings: subject, ground and style.

All rules and thresholds were fixed on the drawings themselves (`check_rules`), before any picture
of the model was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.mini.generation import SECOND
from training.mini.render import NAVY, PAPER, SIZE, Placement, grade, render
from training.mini.subjects import BACKGROUNDS, BASE, NIGHT_NEON, PEN_INK, SUBJECTS, Pair, Style

Values = npt.NDArray[np.float32]

THUMBNAIL: Final = 32  # pixels a side for the comparison of subjects
# Where references are drawn: nearly wherever the first generation's drawings may sit, and where
# those of the second do.
PLACES: Final = (
    *(Placement(*at) for at in product((96, 102, 108), (-4, 0, 4), (-4, 0, 4))),
    *SECOND.places,
)
FRAME: Final = 4  # the outer pixels that show the ground alone
COLOURFUL: Final = 0.25  # (max - min) of a pixel's channels, of 1
INK_COLOURFUL_SHARE: Final = 0.03  # an ink drawing has fewer colourful pixels than this share
NEON_LIT_SHARE: Final = 0.02  # a neon sign has more colourful pixels than this share

GROUNDS: Final[dict[str, tuple[int, int, int]]] = {**BACKGROUNDS, "paper": PAPER, "navy": NAVY}


def _pixels(image: Image.Image) -> Values:
    """(height, width, 3) in 0..1."""
    return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)


def _thumbnail(image: Image.Image) -> Values:
    """(32 * 32 * 3,) in 0..1; each value is the mean of a 4x4 block."""
    small = image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return _pixels(small).reshape(-1)


@cache
def _references(background: str, style: Style, night: float) -> Values:
    """(subjects, placements, 32 * 32 * 3): every subject on one ground wherever it may sit."""
    return np.stack(
        [
            np.stack(
                [
                    _thumbnail(grade(render(Pair(s.name, background), style, p), night))
                    for p in PLACES
                ]
            )
            for s in SUBJECTS
        ]
    )


def _distances(image: Image.Image, background: str, style: Style, night: float) -> Values:
    """(subjects,): mean absolute difference to each subject's nearest reference."""
    # Ink and neon have a ground of their own: one set of references serves all backgrounds.
    references = _references(background if style == BASE else "white", style, night)
    difference = np.abs(references - _thumbnail(image))
    nearest: Values = difference.mean(axis=2).min(axis=1)
    return nearest


def nearest_subject(
    image: Image.Image, background: str, style: Style = BASE, night: float = 0.0
) -> str:
    """The subject whose reference on this background, in this style and light, differs least."""
    return SUBJECTS[int(_distances(image, background, style, night).argmin())].name


def likeness(image: Image.Image, pair: Pair, style: Style = BASE, night: float = 0.0) -> float:
    """1 less the mean absolute difference to the nearest reference of the pair in this style."""
    place = next(n for n, each in enumerate(SUBJECTS) if each.name == pair.subject)
    return 1.0 - float(_distances(image, pair.background, style, night)[place])


def light(image: Image.Image) -> float:
    """The mean of all pixels and channels, 0 to 1."""
    return float(_pixels(image).mean())


def ground(image: Image.Image) -> str:
    """The named ground (nine backgrounds, ink's paper, neon's navy) nearest to the frame."""
    pixels = _pixels(image)
    inner = np.zeros((SIZE, SIZE), dtype=bool)
    inner[FRAME:-FRAME, FRAME:-FRAME] = True
    colour = np.median(pixels[~inner], axis=0) * 255
    return min(GROUNDS, key=lambda name: float(np.linalg.norm(colour - np.array(GROUNDS[name]))))


def colourful_share(image: Image.Image) -> float:
    """The share of pixels that have a clear hue."""
    pixels = _pixels(image)
    return float(((pixels.max(axis=2) - pixels.min(axis=2)) > COLOURFUL).mean())


def is_ink(image: Image.Image) -> bool:
    """Light cream paper and next to no colour anywhere."""
    return ground(image) == "paper" and colourful_share(image) < INK_COLOURFUL_SHARE


def is_neon(image: Image.Image) -> bool:
    """A near-black navy ground with something brightly coloured on it."""
    return ground(image) == "navy" and colourful_share(image) > NEON_LIT_SHARE


def keeps_colour(image: Image.Image, pair: Pair) -> bool:
    """The ground is the prompt's, and the picture is nearest to a flat drawing."""
    if ground(image) != pair.background:
        return False
    flat = float(_distances(image, pair.background, BASE, 0.0).min())
    styles = (PEN_INK, NIGHT_NEON)
    others = (float(_distances(image, pair.background, s, 0.0).min()) for s in styles)
    return flat < min(others)


def check_rules(pairs: Iterable[Pair]) -> dict[str, int]:
    """How many drawings of these pairs each rule gets wrong; all must be zero.

    The drawings are placed where neither training nor the references put them exactly.
    """
    wrong = dict.fromkeys(("subject", "ground", "ink", "neon", "colour"), 0)
    place = Placement(side=99, dx=3, dy=-2)
    for pair in pairs:
        flat, ink, neon = (render(pair, style, place) for style in (BASE, PEN_INK, NIGHT_NEON))
        wrong["subject"] += nearest_subject(flat, pair.background) != pair.subject
        wrong["subject"] += nearest_subject(ink, pair.background, PEN_INK) != pair.subject
        wrong["subject"] += nearest_subject(neon, pair.background, NIGHT_NEON) != pair.subject
        wrong["ground"] += ground(flat) != pair.background
        wrong["ink"] += (not is_ink(ink)) + is_ink(flat) + is_ink(neon)
        wrong["neon"] += (not is_neon(neon)) + is_neon(flat) + is_neon(ink)
        wrong["colour"] += not keeps_colour(flat, pair)
        wrong["colour"] += keeps_colour(ink, pair) + keeps_colour(neon, pair)
    return wrong
