"""Whether an epoch card says what its observations do, and its pictures are what it takes them
for."""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio import __version__
from studio.contract.origin import Origin
from studio.contract.plan import LoraUse
from studio.contract.receipt import RunRecord
from studio.contract.request import finer_words, same_finer
from studio.errors import GalleryError, NewerRecord, RecordError
from studio.gallery.findings import Finding, broken
from studio.gallery.gallery import Gallery
from studio.gallery.verification import verify
from studio.storage import atomic
from studio.trials.report.card import (
    CardPicture,
    EpochCard,
    holds_card,
    loose_ends,
    read,
    read_duels,
    reckoned_again,
)
from studio.trials.report.page import card_page, sheet

MAX_CARD = 2**27
"""Bytes of the largest card that is read."""
_SUFFIXES = frozenset({".json", ".html"})
_IMAGE = re.compile(r'<img data-pixels="([0-9a-f]{64})" src="data:image/webp;base64,([^"]*)"')


@dataclass(frozen=True, slots=True)
class CardVerification:
    """The answer.

    Attributes:
        card: None where none could be read.
        found: how many of its pictures were in the gallery and were looked at.
    """

    findings: tuple[Finding, ...]
    card: EpochCard | None
    found: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def words(self) -> str:
        """What was checked, in a sentence."""
        if self.card is None:
            return "The card could not be read."
        every = len(self.card.pictures)
        return (
            f"Every number follows from its {len(self.card.observations)} observations. "
            f"{self.found} of its {every} pictures are in the gallery and hold; the others "
            "were not seen."
            if self.found < every
            else f"Every number follows from its {len(self.card.observations)} observations, and "
            f"its {every} pictures are in the gallery and hold."
        )


def card_text(path: Path) -> str | None:
    """The text of a file that is a card or a page with one; None of any other."""
    if path.suffix.lower() not in _SUFFIXES:
        return None
    try:
        text = atomic.read_file(path, MAX_CARD).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # who verifies it otherwise says why
    return text if holds_card(text) else None


def verify_card(text: str, gallery: Gallery | None) -> CardVerification:
    """Check a card; whatever is wrong is a finding, nothing is raised.

    Args:
        gallery: where its pictures may be; None looks at none.
    """
    try:
        card, sha256 = read(text)
    except NewerRecord as error:
        return CardVerification((broken(error.code, "a release of today", error),), None)
    except RecordError as error:
        return CardVerification((broken("card", "a card as the studio writes it", error),), None)
    findings = [*_sealed(card, sha256), *_reckoned(card), *_shown(card, text)]
    found = 0
    for picture in card.pictures if gallery is not None else ():
        seen, problems = _pictured(card, picture, gallery)
        found += seen
        findings += problems
    return CardVerification(tuple(findings), card, found)


def _sealed(card: EpochCard, sha256: str) -> Iterator[Finding]:
    if card.fingerprint != sha256:
        text = "The card was edited: its SHA-256 differs from the one beside it."
        yield Finding("card", text, sha256, card.fingerprint)


def _reckoned(card: EpochCard) -> Iterator[Finding]:
    for place, said, found in reckoned_again(card):
        text = f"{place} does not follow from the card's observations: {said}, and not {found}."
        yield Finding("number", text, found, said)
    for text in loose_ends(card):
        yield Finding("trace", text, "all that it speaks of", text)


def _shown(card: EpochCard, text: str) -> Iterator[Finding]:
    """A page of this release is drawn again, with the thumbnails that it has."""
    if not text.startswith("<") or card.release != __version__:
        return
    thumbnails = {pixels: b64decode(data) for pixels, data in _IMAGE.findall(text)}
    try:
        duels = read_duels(text)
    except RecordError as error:
        yield broken("page", "choices as the studio writes them", error)
        return
    if text in (card_page(card, thumbnails, duels), sheet(card, thumbnails, duels)):
        return
    words = "The page does not show what its card says."
    yield Finding("page", words, "the page that the card gives", "another page")


def _pictured(
    card: EpochCard, picture: CardPicture, gallery: Gallery | None
) -> tuple[bool, list[Finding]]:
    """Whether the picture is there, and what is wrong with it."""
    there = gallery.with_record(picture.record) if gallery else []
    if not there:
        return False, []
    try:
        answer = verify(there[0].path)
    except GalleryError as error:
        return True, [broken("picture", "a picture of the gallery", error)]
    record = answer.record
    problems = list(answer.findings)
    if record is not None:
        problems += [
            Finding("picture", f"{there[0].name}: {text}", "what the card says", text)
            for text in _otherwise(card, picture, record)
        ]
    return True, problems


def _otherwise(card: EpochCard, picture: CardPicture, record: RunRecord) -> Iterator[str]:
    """In what a record is not the one that the card takes it for."""
    image = record.receipt.image
    if image.pixels_sha256 != picture.pixels:
        yield "its pixels are others than the card says."
    if image.seed != picture.seed:
        yield f"it was made with the seed {image.seed}, and not {picture.seed}."
    asked = {use.sha256: _asked_finer(use) for use in record.plan.loras}
    applied = {
        lora.sha256: (lora.strength, asked.get(lora.sha256, "")) for lora in record.receipt.loras
    }
    wanted: dict[str, tuple[float, str]] = {}
    if picture.arm is not None:
        file = next((f for f in card.files if f.checkpoint == picture.arm.checkpoint), None)
        arm = picture.arm
        wanted = {file.sha256: (arm.strength, arm.finer)} if file is not None else {}
    if applied != wanted:
        yield "it was made with another file, or at another strength, than the card says."


def _asked_finer(use: LoraUse) -> str:
    """What was asked for besides its strength, which the receipt was audited against; what its
    preset says is not of the trial."""
    parts = [
        (each.part, each.strength.value)
        for each in use.parts
        if each.strength.origin is Origin.USER
    ]
    steps = (
        each.value if each is not None and each.origin is Origin.USER else None
        for each in (use.first_step, use.last_step)
    )
    return same_finer(finer_words(parts, *steps))
