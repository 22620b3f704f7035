"""Decisions on pictures, by people and critics, each bound to one record's fingerprint.

The fingerprint covers plan, receipt and pixels: a picture that changes in any of them is another
record, on which nobody has decided.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import permutations
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from studio.contract.base import Contract, Sha256, Versioned, canonical_json
from studio.contract.receipt import RunRecord

PERSON = "person"
"""Who decided, where it was no critic."""
MAX_NOTE = 4000
MAX_LINES = 100_000


class Judgement(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    NOTE = "note"
    SCORE = "score"
    """A critic's number."""


class ReviewState(StrEnum):
    """What everybody's last decisions on a picture come to."""

    UNDECIDED = "undecided"
    APPROVED = "approved"
    REJECTED = "rejected"
    DISAGREED = "disagreed"
    """Some approve, others reject."""

    @property
    def label(self) -> str:
        return self.value.title()

    @classmethod
    def of(cls, judgements: Iterable[Judgement]) -> "ReviewState":
        """From the last approval or rejection of each reviewer."""
        match sorted(set(judgements)):
            case []:
                return cls.UNDECIDED
            case [Judgement.APPROVE]:
                return cls.APPROVED
            case [Judgement.REJECT]:
                return cls.REJECTED
            case _:
                return cls.DISAGREED


class Decision(Versioned):
    """One decision; later ones stand beside it and never replace it.

    Attributes:
        by: ``person``, or the critic's name and version as it gives them.
        score: of a critic, on its own scale; only with the judgement ``score``.
        at: ISO 8601.
    """

    record_fingerprint: Sha256
    plan_fingerprint: Sha256
    judgement: Judgement
    note: str = Field(default="", max_length=MAX_NOTE)
    by: str = Field(default=PERSON, min_length=1, max_length=120)
    score: float | None = None
    at: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.judgement is Judgement.SCORE) != (self.score is not None):
            raise ValueError("a score comes with the judgement 'score', and only with it")
        if self.judgement is Judgement.NOTE and not self.note.strip():
            raise ValueError("a note needs words")
        return self


def verdicts(decisions: Iterable[Decision]) -> dict[str, Judgement]:
    """Reviewer → the last approval or rejection, which is the one that counts."""
    decided = (Judgement.APPROVE, Judgement.REJECT)
    return {each.by: each.judgement for each in decisions if each.judgement in decided}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far reviewers agree.

    Attributes:
        alpha: Krippendorff's, 1 for full agreement, 0 for what chance would give; None where
            every decision is the same, or no picture has two.
        pictures: those (or pairs of them) that two or more decided on, which alone count.
        reviewers: who decided on them.
    """

    alpha: float | None
    pictures: int
    reviewers: int


def agreement(pictures: Iterable[Mapping[str, Hashable]]) -> Agreement:
    """Of each picture reviewer → verdict; who did not decide is missing.

    Krippendorff's alpha for nominal data, any number of observers and missing data, after
    K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C:
    alpha = 1 - (n - 1) * sum o_ck / sum n_c n_k over all c != k, where a picture with m verdicts
    adds 1 / (m - 1) to o_ck for each ordered pair of them.
    """
    paired = [each for each in pictures if len(each) > 1]
    totals: defaultdict[Hashable, Fraction] = defaultdict(Fraction)
    observed = Fraction()
    for said in paired:
        for one, other in permutations(said.values(), 2):
            share = Fraction(1, len(said) - 1)
            totals[one] += share
            observed += share if one != other else 0
    expected = sum(totals[one] * totals[other] for one, other in permutations(totals, 2))
    alpha = 1 - (sum(totals.values()) - 1) * observed / expected if expected else None
    reviewers = {name for each in paired for name in each}
    return Agreement(None if alpha is None else float(alpha), len(paired), len(reviewers))


class Score(Contract):
    """One line of a critic's file."""

    record_fingerprint: Sha256
    critic: str = Field(min_length=1, max_length=120)
    score: float
    note: str = Field(default="", max_length=MAX_NOTE)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is not taken: its 1-based number, and why."""

    line: int
    reason: str


def parse_scores(text: str) -> Iterator[tuple[int, Score] | RefusedLine]:
    """A critic's JSON Lines, line by line; empty lines are skipped, and those of ``as_records``
    that have no score. A line ends with a line feed alone: JSON may hold every other line break
    of Unicode."""
    for number, line in enumerate(text.split("\n"), start=1):
        if number > MAX_LINES:
            yield RefusedLine(number, f"the file has more than {MAX_LINES} lines")
            return
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if isinstance(said, dict) and said.keys() >= RECORD_KEYS:
                said = {key: value for key, value in said.items() if key not in RECORD_KEYS}
                if said.get("score") is None:
                    continue  # a record of ``as_records`` that nobody scored
            yield number, Score.model_validate(said)
        except (ValidationError, ValueError, RecursionError) as error:
            yield RefusedLine(number, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        return f"{where}: {first['msg']}"
    return "it is not JSON"


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell instead of showing it (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision with the record it is bound to; ``picture`` is its file in the outputs."""

    decision: Decision
    picture: str
    record: RunRecord


def as_jsonl(judged: Iterable[Judged]) -> str:
    """One JSON object a line: ``decision``, ``picture`` and the whole ``record``."""
    lines = (
        canonical_json(
            {
                "decision": each.decision.model_dump(mode="json"),
                "picture": each.picture,
                "record": each.record.model_dump(mode="json"),
            }
        )
        for each in judged
    )
    return "".join(f"{line}\n" for line in lines)


RECORD_KEYS = frozenset({"picture", "decisions", "record"})
"""What a line of ``as_records`` has besides a score's fields."""


def as_record(picture: str, record: RunRecord, decisions: Sequence[Decision]) -> str:
    """A line for critics: a score's fields, those that a critic fills in empty, and the picture's
    file in the outputs, the decisions on it and its whole record, which ``parse_scores`` passes
    over."""
    line = {
        "record_fingerprint": record.fingerprint,
        "critic": "",
        "score": None,
        "note": "",
        "picture": picture,
        "decisions": [each.model_dump(mode="json") for each in decisions],
        "record": record.model_dump(mode="json"),
    }
    return f"{json.dumps(line, ensure_ascii=False)}\n"


def as_csv(judged: Sequence[Judged]) -> str:
    """A column for every field, named by its path; lists are JSON. RFC 4180, with a header.

    Text that a spreadsheet would compute begins with an apostrophe.
    """
    rows = [_row(each) for each in judged]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row.get(name, "") for name in columns])
    return text.getvalue()


def _row(judged: Judged) -> dict[str, Any]:
    flat = dict(_flat("decision", judged.decision.model_dump(mode="json")))
    flat["picture"] = judged.picture
    flat |= dict(_flat("", judged.record.model_dump(mode="json")))
    return {name: _harmless(value) for name, value in flat.items()}


def _flat(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        yield path, canonical_json(value)
    else:
        yield path, value


def _harmless(value: Any) -> Any:
    """Numbers stay numbers; a text that would be computed is shown as it is."""
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
