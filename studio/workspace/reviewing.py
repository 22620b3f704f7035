"""Decides on pictures of the gallery: people's decisions, critics' scores, and their export."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from studio.comparison.review import (
    PERSON,
    Decision,
    Judged,
    Judgement,
    RefusedLine,
    Score,
    parse_scores,
)
from studio.errors import GalleryError
from studio.gallery import Gallery
from studio.gallery.decisions import Decisions
from studio.gallery.verification import verify

MAX_DECISIONS = 200
"""On one picture: each is at most a note of 4,000 characters, and anybody may write them on a
public page."""

MAX_SCORES = 64 * 2**20
"""Bytes of the largest file of scores."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a critic's file: scores taken, and lines that were not."""

    taken: int
    refused: tuple[RefusedLine, ...]


class Reviewing:
    """Decisions on the pictures of one gallery."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._decisions: Decisions = gallery.decisions

    def decide(
        self, picture: Path | str, judgement: Judgement, note: str = "", by: str = PERSON
    ) -> Decision:
        """Keep a decision on the picture as it is now.

        Raises:
            GalleryError: there is no such picture, it or what it was edited from is not as it
                was, the decision says nothing, or there are MAX_DECISIONS already.
        """
        record = self._gallery.read(picture)
        if len(self._decisions.on(record.fingerprint)) >= MAX_DECISIONS:
            raise GalleryError(
                f"There are {MAX_DECISIONS} decisions on this picture already.",
                "Export them; a copy of the picture that is made again takes new ones.",
            )
        place = self._gallery.outputs / picture
        if damage := self._damage(place):
            raise _refused(place.name, damage)
        try:
            decision = Decision(
                record_fingerprint=record.fingerprint,
                plan_fingerprint=record.plan_fingerprint,
                judgement=judgement,
                note=note.strip(),
                by=by,
                at=_now(),
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise GalleryError(f"{first['msg']}.", "Write the note, then add it.") from error
        self._gallery.decide(decision)
        return decision

    def on(self, picture: Path | str) -> tuple[Decision, ...]:
        """Every decision on the picture as it is now, oldest first."""
        return self._decisions.on(self._gallery.read(picture).fingerprint)

    def torn(self, picture: Path | str) -> bool:
        """Whether the last decision on the picture was cut off while it was written; it is not
        among those that count."""
        return self._decisions.has_torn(self._gallery.read(picture).fingerprint)

    def all_torn(self) -> Iterator[str]:
        """Names of the pictures whose last decision was cut off while it was written."""
        for fingerprint in self._decisions.records():
            if self._decisions.has_torn(fingerprint):
                yield from (each.name for each in self._gallery.with_record(fingerprint)[:1])

    def judged(self) -> Iterator[Judged]:
        """Every decision whose picture is still there, with its whole record.

        Raises:
            GalleryError: a picture that was decided on, or what it was edited from, is not as
                it was any more.
        """
        for fingerprint in self._decisions.records():
            pictures = self._gallery.with_record(fingerprint)
            if not pictures:
                continue  # it cannot outlive its contract
            record = self._gallery.read(pictures[0].path)
            if record.fingerprint == fingerprint:
                if damage := self._damage(pictures[0].path):
                    raise _refused(pictures[0].name, damage)
                for decision in self._decisions.on(fingerprint):
                    yield Judged(decision, pictures[0].name, record)

    def take_scores(self, text: str) -> Imported:
        """Keep a critic's scores (JSON Lines of ``record_fingerprint``, ``critic``, ``score``,
        ``note``); a line whose record is not in the gallery is refused, and the others count."""
        taken, refused = 0, []
        for each in parse_scores(text):
            if isinstance(each, RefusedLine):
                refused.append(each)
                continue
            number, score = each
            pictures = self._gallery.with_record(score.record_fingerprint)
            if not pictures:
                short = score.record_fingerprint[:12]
                reason = f"no picture in the gallery has the record {short}…"
                refused.append(RefusedLine(number, reason))
            elif damage := self._damage(pictures[0].path):
                reason = f"{pictures[0].name} cannot be verified any more: {damage}"
                refused.append(RefusedLine(number, reason))
            else:
                self._gallery.decide(_decision(score, pictures[0].fingerprint))
                taken += 1
        return Imported(taken, tuple(refused))

    def _damage(self, path: Path) -> str:
        """What is wrong with the picture, its pixels and the reference images it was made from
        included; empty where nothing is."""
        found = verify(path, self._gallery.reference).findings
        return next((finding.text for finding in found), "")


def _refused(name: str, damage: str) -> GalleryError:
    return GalleryError(
        f"{name} cannot be verified any more, so no decision holds for it. {damage}",
        "Take what was changed from a copy that was not, or delete the picture.",
    )


def _decision(score: Score, plan_fingerprint: str) -> Decision:
    return Decision(
        record_fingerprint=score.record_fingerprint,
        plan_fingerprint=plan_fingerprint,
        judgement=Judgement.SCORE,
        note=score.note,
        by=score.critic,
        score=score.score,
        at=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
