"""What the mini model knows: subjects, background colours, captions and the held-out pairs.

Pure data and string functions: no torch, no disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing the model can draw.

    `name` stands in captions; `icon` is the name of the drawing in both Fluent sets.
    """

    name: str
    icon: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One subject on one background; the unit that is held out of training."""

    subject: str
    background: str


@dataclass(frozen=True, slots=True)
class Style:
    """A look: its LoRA's file stem and the trigger words that call it ("" for the base)."""

    name: str
    trigger: str


# Drawings whose caption's name is not their own.
_ICONS: Final = {
    "whale": "spouting-whale",
    "tree": "deciduous-tree",
    "apple": "red-apple",
    "fish": "tropical-fish",
    "car": "automobile",
    "moon": "crescent-moon",
}
# A subject's place in this list decides which backgrounds are held out.
_NAMES: Final = (
    "rocket strawberry castle pizza cactus mushroom banana cherries grapes pineapple watermelon "
    "carrot cupcake doughnut hamburger fox owl penguin frog octopus butterfly turtle snail duck "
    "crab elephant airplane bus sailboat bicycle helicopter umbrella guitar key crown house "
    "sunflower star balloon robot ghost trophy whale tree apple fish car moon"
)
# Words the text encoder knows from a first round of training; the model does not draw them.
_RETIRED: Final = frozenset(
    {
        "grapes",
        "pineapple",
        "hamburger",
        "frog",
        "octopus",
        "turtle",
        "snail",
        "bus",
        "bicycle",
        "helicopter",
        "guitar",
        "trophy",
    }
)
_NUMBERED: Final = dict(enumerate(_NAMES.split()))

SUBJECTS: Final[tuple[Subject, ...]] = tuple(
    Subject(name, _ICONS.get(name, name)) for name in _NUMBERED.values() if name not in _RETIRED
)

_PLURAL: Final = frozenset({"cherries", "grapes"})

# Mid tones, kept apart from one another and from the saturated fills of the drawings.
BACKGROUNDS: Final[dict[str, Colour]] = {
    "white": (255, 255, 255),
    "red": (172, 36, 54),
    "orange": (244, 150, 62),
    "yellow": (250, 221, 92),
    "green": (98, 180, 96),
    "teal": (44, 152, 152),
    "blue": (58, 104, 214),
    "purple": (136, 88, 190),
    "pink": (246, 164, 204),
}

BASE: Final = Style("flat", "")
PEN_INK: Final = Style("pen-ink-mini", "phrsink, pen and ink illustration")
NIGHT_NEON: Final = Style("night-neon-mini", "nghtneon, glowing neon sign")
STYLES: Final = (BASE, PEN_INK, NIGHT_NEON)
# A slider: the drawings stay what they are, only the light changes.
DAY_NIGHT: Final = Style("day-night-mini", "")

_WITH_BACKGROUND: Final = (
    "a {name} on a {colour} background",
    "a {name} on a {colour} background",
    "a {name} on a {colour} background",
    "a {name} on {colour}",
    "{name} on a {colour} background",
    "{name}, {colour} background",
    "{name} on {colour}",
    "an icon of a {name} on a {colour} background",
)
_WITHOUT_BACKGROUND: Final = ("a {name}", "an icon of a {name}", "{name}", "a picture of a {name}")

# Words that say nothing about the picture: the base learns to leave them alone, so that a
# trigger word without its LoRA changes next to nothing.
DISTRACTORS: Final = (
    PEN_INK.trigger,
    NIGHT_NEON.trigger,
    "phrsink",
    "nghtneon",
    "pen and ink illustration",
    "glowing neon sign",
    "ink sketch",
    "watercolor painting",
    "oil painting",
    "pixel art",
    "flat illustration",
    "photo",
    "highly detailed",
    "masterpiece, best quality",
    "cute",
    "simple drawing",
    "3d render",
    "sticker",
    "logo",
    "style",
)


def article(caption: str) -> str:
    """Mend a template's "a": "a owl" -> "an owl", "a grapes" -> "grapes"."""
    words = caption.split(" ")
    for index, word in enumerate(words[:-1]):
        if word == "a" and words[index + 1].strip(",") in _PLURAL:
            words[index] = ""
        elif word == "a" and words[index + 1][0] in "aeiou":
            words[index] = "an"
    return " ".join(word for word in words if word)


def held_out() -> frozenset[Pair]:
    """The fixed pairs no training stage ever sees, each subject once or twice.

    The colours rotate with the subject's number, so that every colour is held out some five times
    and stays in training with all other subjects.
    """
    colours = list(BACKGROUNDS)
    pairs = set[Pair]()
    for number, name in _NUMBERED.items():
        if name in _RETIRED:
            continue
        pairs.add(Pair(name, colours[(2 * number + 1) % len(colours)]))
        if number % 3 == 0:
            pairs.add(Pair(name, colours[(2 * number + 5) % len(colours)]))
    return frozenset(pairs)


def all_pairs() -> tuple[Pair, ...]:
    """Every subject on every background, in a fixed order."""
    return tuple(Pair(s.name, colour) for s in SUBJECTS for colour in BACKGROUNDS)


def training_pairs() -> tuple[Pair, ...]:
    """Every pair that is not held out, in a fixed order."""
    hidden = held_out()
    return tuple(pair for pair in all_pairs() if pair not in hidden)


def plain_caption(pair: Pair) -> str:
    """The caption the benchmark and the examples use."""
    return article(f"a {pair.subject} on a {pair.background} background")


def draw_caption(pair: Pair, rng: Random) -> str:
    """One of the training captions of a pair; white may go unsaid."""
    unsaid = pair.background == "white" and rng.random() < 0.5
    template = rng.choice(_WITHOUT_BACKGROUND if unsaid else _WITH_BACKGROUND)
    return article(template.format(name=pair.subject, colour=pair.background))


def append_words(caption: str, words: str, rng: Random, in_front: float) -> str:
    """Put `words` after the caption, or before it with the probability `in_front`."""
    return f"{words}, {caption}" if rng.random() < in_front else f"{caption}, {words}"


def vocabulary() -> tuple[str, ...]:
    """Every word that is one token: captions, triggers, distractors and some plain English."""
    extra = (
        "black brown grey gray dark light bright small big large one two three with and in at "
        "of the to from near image picture drawing art line lines color colour colored paper "
        "night day sky city cartoon simple shape object animal fruit food vehicle blurry low "
        "quality bad ugly text watermark abstract cute happy sad old new cat dog ship train "
        "flower sun hat cup ball book"
    )
    sources: Sequence[str] = (
        _NAMES,
        *BACKGROUNDS,
        *_WITH_BACKGROUND,
        *_WITHOUT_BACKGROUND,
        *DISTRACTORS,
        "an",
        extra,
    )
    words = dict.fromkeys(
        word
        for source in sources
        for word in source.replace(",", " ").split()
        if word.isalpha() and "{" not in word
    )
    return tuple(words)
