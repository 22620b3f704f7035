"""What the text of an option is read as; what cannot be read ends the command as wrong usage."""

import math
from typing import NamedTuple

import typer

from studio.contract.request import LoraChoice
from studio.presets.rules import split_phrases


def parse_text(text: str) -> str:
    """Text as typed; a shell may also hand over bytes that are none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise typer.BadParameter("It is not UTF-8 text.") from error
    return text


def parse_lora(text: str) -> LoraChoice:
    """As ``LoraChoice.parse`` reads it; a file's path stands for its slug."""
    try:
        return LoraChoice.parse(parse_text(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


class Phrases(NamedTuple):
    """Which of a LoRA's trigger phrases are used."""

    slug: str
    words: tuple[str, ...]


def parse_phrases(text: str) -> Phrases:
    """``SLUG=WORDS``"""
    slug, equals, words = parse_text(text).partition("=")
    if not slug or not equals:
        raise typer.BadParameter(f"{text!r} is not SLUG=WORDS.")
    return Phrases(slug, split_phrases(words))


def parse_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a number.") from error
    if not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is not a finite number.")
    return value


def strength_list(text: str) -> list[float]:
    return [parse_number(part.strip()) for part in parse_text(text).split(",")]
