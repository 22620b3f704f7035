"""What can be wrong with a picture, and how the findings are said in two words."""

from dataclasses import dataclass
from typing import Literal

from studio import __version__
from studio.contract.receipt import RunRecord
from studio.contract.statement import Statement
from studio.errors import GalleryError, NewerRecord
from studio.signing.reading import Signature

PictureState = Literal[
    "whole",
    "added to",
    "mark changed",
    "signature broken",
    "pixels changed",
    "record edited",
    "newer",
    "damaged",
]
_PIXELS = {"size", "pixels"}
_EDITED = {"record_hash", "record_form", "fingerprint", "receipt", "parameters"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: stable: ``file``, ``structure``, ``chunks``, ``record``, ``newer_record`` (a
            later release wrote it, and only its SHA-256 was checked), ``record_hash``,
            ``record_form``, ``fingerprint``, ``receipt``, ``size``, ``pixels``, ``parameters``,
            ``mark``, ``signature``, ``publication`` or
            ``reference``.
        text: what it means, one sentence.
        expected, found: both sides, as text.
    """

    code: str
    text: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer.

    Attributes:
        record: None where none could be read, and of a reference image, which has none.
        unseen: the picture was made from reference images that nobody looked for.
        additions: what other tools added without a change to picture or record, in words.
        pixels_sha256: of what a file without a readable record shows, by which the gallery may
            know it; else None, and where it does not decode.
        signature: what its C2PA manifest is worth; None where it has none.
        told: of a published file, how much it tells; ``statement``: the facts, where it tells them
            and no more.
        replayed: of a replay's evidence, what came of it; the rest is of the picture beside it.
    """

    findings: tuple[Finding, ...]
    record: RunRecord | None
    unseen: bool = False
    additions: tuple[str, ...] = ()
    pixels_sha256: str | None = None
    signature: Signature | None = None
    told: str = ""
    statement: Statement | None = None
    replayed: str = ""

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def judged(self) -> PictureState:
        """The findings in two words; the worst of them decides."""
        codes = {finding.code for finding in self.findings}
        if not codes:
            return "added to" if self.additions else "whole"
        if NewerRecord.code in codes:
            return "newer"
        if codes == {"signature"}:
            return "signature broken"
        codes.discard("signature")  # what broke it is what is said
        if codes == {"mark"}:
            return "mark changed"
        if codes <= _PIXELS:
            return "pixels changed"
        return "record edited" if codes <= _EDITED else "damaged"

    @property
    def written_by(self) -> str | None:
        """The release of the studio that made the picture; None where it does not say."""
        return self.record.plan.release if self.record else None

    @property
    def other_release(self) -> str | None:
        """``written_by``, where that is known and is not this release."""
        return None if self.written_by == __version__ else self.written_by


def broken(code: str, expected: str, error: GalleryError) -> Finding:
    return Finding(code, error.message, expected, error.message)
