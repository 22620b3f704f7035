"""What somebody asks for, before anything is resolved."""

import re
from collections.abc import Iterable
from enum import StrEnum
from math import isfinite
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from studio.architecture import Mode
from studio.contract.base import Contract, Count, Sha256, added
from studio.contract.placement import Dtype

DRAWN = -1
"""What A1111-style tools write for a seed to be drawn; edges draw it, no request holds it."""
SEED_LIMIT = 2**32
"""Seeds are 0 up to, not including, this: what A1111-style tools write and read."""


class PromptEncoder(StrEnum):
    """Who turns the prompt into embeddings."""

    COMPEL = "compel"
    """No token limit; weighting syntax such as ``word++`` and ``(words)1.3``."""
    NATIVE = "native"
    """The pipeline's own: reads one window and no weighting."""


PartName = Annotated[str, Field(pattern=r"^[a-z]{2,12}$")]
"""A part of a model as ``Traits.parts`` names it."""
_FINER = re.compile(r"([a-z]{2,12})=([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)")
_STRENGTH = re.compile(r"[+-]?[\d.]+")


_FIRST, _LAST = "from", "until"


def finer_words(
    parts: Iterable[tuple[str, float]], first_step: int | None = None, last_step: int | None = None
) -> str:
    """``te=0.4:mid=1.0:until=6``, as ``LoraChoice.parse`` reads it behind the strength; empty for
    none."""
    steps = ((_FIRST, first_step), (_LAST, last_step))
    said = [f"{part}={strength!r}" for part, strength in parts]
    return ":".join([*said, *(f"{name}={step}" for name, step in steps if step is not None)])


class PartStrength(Contract):
    """The strength of a LoRA in one part of the base."""

    part: PartName
    strength: float


class LoraChoice(Contract):
    """A LoRA by its preset's slug; a strength of None means the preset's.

    Attributes:
        parts: where its strength is another one, each part once.
        first_step, last_step: of the denoising, counted from 1, between which it is on in the
            denoiser; None is the preset's, else all. The text encoders read before the first.
        allow_partial: consent to leave out what of the file has no place in the base.
        phrases: which of its trigger phrases are used; None is what the preset says: all, or of
            alternatives those that are typed, else the first.
    """

    slug: str
    strength: float | None = None
    allow_partial: bool = False
    phrases: tuple[str, ...] | None = added(since=3)
    parts: tuple[PartStrength, ...] = added(since=4, default=())
    first_step: int | None = added(since=4)
    last_step: int | None = added(since=4)

    @property
    def finer(self) -> str:
        """What it says besides its one strength, as it is typed."""
        parts = ((each.part, each.strength) for each in self.parts)
        return finer_words(parts, self.first_step, self.last_step)

    def with_finer(self, text: str) -> Self:
        """It with what ``text`` says (``te=0.4:until=6``); what that does not say stays.

        Raises:
            ValueError: it is no finer strength.
        """
        said = self.parse(f"{self.slug}:{text}")
        if not said.finer or said.strength is not None:
            raise ValueError(f"{text!r} is no finer strength.")
        new = {each.part for each in said.parts}
        return self.model_copy(
            update={
                "parts": (*(each for each in self.parts if each.part not in new), *said.parts),
                "first_step": said.first_step or self.first_step,
                "last_step": said.last_step or self.last_step,
            }
        )

    @model_validator(mode="after")
    def _once(self) -> Self:
        _refuse_twice([each.part for each in self.parts])
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """``SLUG``, ``SLUG:STRENGTH`` or ``SLUG:STRENGTH:te=STRENGTH:from=STEP:until=STEP:…``.

        Raises:
            ValueError: it is none of them; says what is wrong.
        """
        said = text.split(":")
        finer: list[re.Match[str]] = []
        while len(said) > 1 and (found := _FINER.fullmatch(said[-1])):
            finer.insert(0, found)
            said.pop()
        strength = None
        if len(said) > 1 and not said[-1].lower().endswith(".safetensors"):
            strength = _number(text, said.pop())
        slug = ":".join(said)
        if not slug:
            raise ValueError(f"{text!r} is not SLUG or SLUG:STRENGTH.")
        if len(said) > 1 and _STRENGTH.fullmatch(said[-1]):
            raise ValueError(
                f"{text!r} has two strengths; write the text encoders' as te=NUMBER behind it."
            )
        _refuse_twice([each[1] for each in finer])
        steps = {each[1]: _step(each) for each in finer if each[1] in (_FIRST, _LAST)}
        return cls(
            slug=slug,
            strength=strength,
            parts=tuple(
                PartStrength(part=each[1], strength=float(each[2]))
                for each in finer
                if each[1] not in steps
            ),
            first_step=steps.get(_FIRST),
            last_step=steps.get(_LAST),
        )


def same_finer(text: str) -> str:
    """What is said besides the one strength, as every text that says the same is spelt: parts by
    name, then the steps; empty for none.

    Raises:
        ValueError: it is no finer strength.
    """
    said = LoraChoice(slug="any").with_finer(text) if text else LoraChoice(slug="any")
    parts = sorted((each.part, each.strength + 0.0) for each in said.parts)
    return finer_words(parts, said.first_step, said.last_step)


FinerText = Annotated[str, AfterValidator(same_finer)]
"""``te=0.4:until=6``; empty for none."""


def _step(said: re.Match[str]) -> int:
    if not said[2].isdecimal():
        raise ValueError(f"{said[0]!r} is not a step: they are whole numbers from 1 up.")
    return int(said[2])


def _refuse_twice(parts: list[str]) -> None:
    for name in parts:
        if parts.count(name) > 1:
            raise ValueError(f"{name} has two strengths or steps.")


def _number(text: str, said: str) -> float:
    try:
        value = float(said)
    except ValueError as error:
        raise ValueError(f"{said!r} of {text!r} is not a number.") from error
    if not isfinite(value):
        raise ValueError(f"{said!r} of {text!r} is not a finite number.")
    return value


class ReferenceImage(Contract):
    """A picture to edit, as the contract knows it: its pixels, and nothing of its file.

    Attributes:
        sha256: of its RGB pixels and their size (see ``references``).
        width, height: pixels.
        media_type: of the copy that is kept.
    """

    sha256: Sha256
    width: Count
    height: Count
    media_type: str = Field(default="image/png", max_length=80)


class Overrides(Contract):
    """Settings the user gave; None means the LoRA's, else the model's.

    Attributes:
        precision: what the base is computed in; None is what the studio's settings or the
            model's preset say, else what suits the weights and the memory that are there.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    clip_skip: int | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    max_sequence_length: int | None = None
    eta: float | None = added(since=2)
    # Left out where nobody said it, so that what was written before it was there stays equal.
    precision: Dtype | None = Field(default=None, exclude_if=lambda value: value is None)


class GenerationRequest(Contract):
    """One request, as a form or a command line gives it.

    Attributes:
        base: slug of the base model's preset.
        loras: chosen LoRAs; their order has no meaning.
        references: pictures to edit, in the order the pipeline gets them.
        seed: of the first image; image n of ``count`` uses ``seed + n``.
        prompt_encoder: None is Compel where the base can be encoded with it, else native;
            the plan names which.
        allow_cut: consent to cut the user's words that do not fit the native window.
        held: the settings that a comparison says rather than the user, so that they are equal
            in every cell.
    """

    base: str
    mode: Mode
    prompt: str
    negative_prompt: str = ""
    loras: tuple[LoraChoice, ...] = ()
    references: tuple[ReferenceImage, ...] = ()
    settings: Overrides = Overrides()
    prompt_encoder: PromptEncoder | None = None
    allow_cut: bool = False
    seed: int
    count: int = 1
    held: tuple[str, ...] = added(since=3, default=())
