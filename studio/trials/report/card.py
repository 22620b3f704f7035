"""The epoch card: which checkpoint was chosen at which strength, and everything that it rests on.

It holds the trial's observations, so that whoever has the card can reckon every number again, and
the fingerprints of the pictures' records, so that whoever has the gallery can look at each.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from studio.contract.base import Contract, Count, Sha256, Versioned, canonical_json, fingerprint
from studio.contract.base import parse_written as parse
from studio.errors import RecordError
from studio.trials.findings import Findings, findings
from studio.trials.halving import RacingRule
from studio.trials.measures import MeasureFacts
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.tournament import Duel

SUFFIX = ".card.json"
_PLACE = re.compile(r'<script type="application/json" id="epoch-card">(.*?)</script>', re.DOTALL)
_DUELS = re.compile(r'<script type="application/json" id="duels">(.*?)</script>', re.DOTALL)
_WAY_OUT = "Take the card as it was written."
_TOLERANCE = 1e-6
"""Relative: another processor adds in another order."""


class CardFile(Contract):
    """A checkpoint's file: its bare name and the SHA-256 of all its bytes."""

    checkpoint: str
    step: Count
    file: str
    sha256: Sha256


class CardPrompt(Contract):
    """What was typed; trigger words are said apart."""

    name: str
    kind: PromptKind
    text: str


class CardPicture(Contract):
    """A picture that was measured, or measured against.

    Attributes:
        arm: None for the base's.
        pixels: as observations name it.
        record: fingerprint of the picture's whole record, which a gallery finds.
    """

    arm: TrialArm | None
    prompt: str
    kind: PromptKind
    seed: Count
    pixels: Sha256
    record: Sha256


class EpochCard(Versioned):
    """One trial's outcome.

    Attributes:
        trial: its name; ``design`` the SHA-256 of its design.
        finished_at: ISO 8601. ``release``: of the studio.
        rule: by which the trial spent its pictures, with its random seed.
        chosen: what is shipped, by whoever decided; None where nobody did yet.
        invalid: reasons why nothing may be concluded, each a sentence.
        failed: pictures that could not be made.
    """

    trial: str
    design: Sha256
    finished_at: str
    release: str
    device: str
    base: str
    run: str
    trigger: str
    rule: RacingRule
    chosen: TrialArm | None
    files: tuple[CardFile, ...]
    prompts: tuple[CardPrompt, ...]
    measures: tuple[MeasureFacts, ...]
    findings: Findings
    observations: tuple[Observation, ...]
    pictures: tuple[CardPicture, ...]
    invalid: tuple[str, ...] = ()
    failed: Count = 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the card's canonical JSON."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def file(self) -> CardFile | None:
        """The chosen checkpoint's."""
        if self.chosen is None:
            return None
        return next((f for f in self.files if f.checkpoint == self.chosen.checkpoint), None)


def write(card: EpochCard) -> str:
    """The card with its SHA-256, canonical JSON."""
    return canonical_json({"card": card.model_dump(mode="json"), "sha256": card.fingerprint})


def embedded(card: EpochCard) -> str:
    """``write`` for a page, in which nothing ends the element it stands in."""
    return write(card).replace("<", "\\u003c")


def embedded_duels(duels: Sequence[Duel]) -> str:
    """The choices of a tournament for a page, as ``embedded``."""
    plain = [each.model_dump(mode="json") for each in duels]
    return canonical_json(plain).replace("<", "\\u003c")


def read_duels(page: str) -> tuple[Duel, ...]:
    """The choices that a page holds; none where it holds none.

    Raises:
        RecordError: what it holds are none.
    """
    found = _DUELS.search(page)
    try:
        plain = json.loads(found[1]) if found else []
        return tuple(Duel.model_validate_json(json.dumps(each)) for each in plain)
    except (ValueError, TypeError, RecursionError) as error:
        raise RecordError("The choices in it cannot be read.", _WAY_OUT) from error


def read(text: str) -> tuple[EpochCard, str]:
    """The card that a JSON file or a page holds, and the SHA-256 beside it.

    Raises:
        NewerRecord: a later release wrote it.
        RecordError: there is none, or a field is not as it must be.
    """
    page = _PLACE.search(text)
    try:
        whole = json.loads(page[1] if page else text)
        said, sha256 = whole["card"], str(whole["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = type(error).__name__
        raise RecordError(f"There is no epoch card in it ({reason}).", _WAY_OUT) from error
    return parse(EpochCard, json.dumps(said), "The epoch card", _WAY_OUT), sha256


def holds_card(text: str) -> bool:
    """Whether ``text`` is a card's JSON or a page with one, whatever it is worth."""
    return _PLACE.search(text) is not None or text.startswith('{"card":')


def reckoned_again(card: EpochCard) -> Iterator[tuple[str, str, str]]:
    """Every number that does not follow from the card's observations: where, what the card says,
    what follows from them."""
    rule = card.findings
    again = findings(card.observations, rule.goal, rule.resampling, rule.confidence)
    yield from _apart("findings", rule.model_dump(mode="json"), again.model_dump(mode="json"))


def _apart(place: str, said: Any, found: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(said, Mapping) and isinstance(found, Mapping) and said.keys() == found.keys():
        for name in said:
            yield from _apart(f"{place}.{name}", said[name], found[name])
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for number, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from _apart(f"{place}[{number}]", one, other)
    elif not _same(said, found):
        yield place, _short(said), _short(found)


def _same(said: Any, found: Any) -> bool:
    if isinstance(said, float) and isinstance(found, int | float):
        return abs(said - found) <= _TOLERANCE * max(abs(said), abs(found), 1e-3)
    return type(said) is type(found) and bool(said == found)


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def loose_ends(card: EpochCard) -> Iterator[str]:
    """What the card speaks of and does not have: sentences."""
    known = {picture.pixels for picture in card.pictures}
    named = {
        sha
        for each in card.observations
        for sha in (each.picture, each.base_picture, each.duplicate_of)
        if sha is not None
    }
    if unknown := named - known:
        yield f"It measures {_count(unknown, 'picture')} that it names no record of."
    checkpoints = {file.checkpoint for file in card.files}
    arms = {each.arm for each in card.observations if each.arm.strength or each.arm.step}
    if unknown_files := {arm.checkpoint for arm in arms} - checkpoints:
        yield f"It names no file of {', '.join(sorted(unknown_files))}."
    if card.chosen is not None and card.chosen not in arms:
        yield "Nothing was measured of what was chosen."
    measures = {facts.name for facts in card.measures}
    if strange := {each.measure for each in card.observations} - measures:
        yield f"It does not say what {', '.join(sorted(strange))} measures."


def _count(things: set[str] | Sequence[str], one: str) -> str:
    return f"1 {one}" if len(things) == 1 else f"{len(things)} {one}s"
