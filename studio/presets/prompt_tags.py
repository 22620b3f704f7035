"""``<lora:name:strength>`` and its kin, as A1111's family of tools writes them into prompts.

A first number is the text encoders', a second the denoiser's, which else has the first too
(A1111's built-in ``extra_networks_lora.py``); ``te=`` and ``unet=`` say the same by name.
"""

import re
from typing import NamedTuple

from studio.architecture import TEXT_ENCODERS
from studio.contract.request import LoraChoice, PartStrength

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]{0,400})>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d{0,350})?|\.\d{1,350})")


class PromptTag(NamedTuple):
    """One tag of a prompt.

    Attributes:
        kind: ``lora``, ``lyco`` or ``hypernet``.
        strength: in the denoiser; None where it is no number; 1 where it says none, as A1111
            takes it.
        text_encoders: the strength there, where it is another one.
        more: what else it says, for blocks or steps.
    """

    written: str
    kind: str
    name: str
    strength: float | None
    text_encoders: float | None
    more: tuple[str, ...]

    @property
    def choice(self) -> LoraChoice:
        """It as a request has it, under its own name."""
        strength = 1.0 if self.strength is None else self.strength
        return LoraChoice(slug=self.name, strength=strength, parts=self.parts)

    @property
    def parts(self) -> tuple[PartStrength, ...]:
        """Where its strength is another one."""
        if self.text_encoders is None:
            return ()
        return (PartStrength(part=TEXT_ENCODERS.name, strength=self.text_encoders),)


def prompt_tags(prompt: str) -> tuple[PromptTag, ...]:
    """Every tag, in the order of the text."""
    return tuple(map(_read, _TAG.finditer(prompt)))


def without_tags(prompt: str) -> str:
    """``prompt`` without them; the commas around them stay, as A1111 leaves them."""
    return _TAG.sub("", prompt)


def _read(match: re.Match[str]) -> PromptTag:
    name, *said = (part.strip() for part in match[2].split(":"))
    plain = [part for part in said if "=" not in part]
    named = dict(part.split("=", 1) for part in said if "=" in part)
    text = named.pop("te", plain[0] if plain else "1")
    whole = named.pop("unet", plain[1] if plain[1:] else text)
    text_encoders, strength = _number(text), _number(whole)
    return PromptTag(
        written=match[0],
        kind=match[1].lower(),
        name=name,
        strength=None if text_encoders is None else strength,
        text_encoders=None if text_encoders == strength else text_encoders,
        more=(*plain[2:], *(f"{key}={value}" for key, value in named.items())),
    )


def _number(text: str) -> float | None:
    """The number that ``text`` is."""
    return float(text) if _NUMBER.fullmatch(text) else None
