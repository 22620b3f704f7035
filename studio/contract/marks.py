"""The marks in a picture's file that say that a model made it."""

from enum import StrEnum

from studio.contract.base import Contract, Sha256


class SourceType(StrEnum):
    """Who made a picture, in IPTC's words (its Digital Source Type vocabulary)."""

    GENERATED = "trainedAlgorithmicMedia"
    EDITED = "compositeWithTrainedAlgorithmicMedia"


class InheritedMark(Contract):
    """What the file of a reference image said of its own making.

    Attributes:
        reference: SHA-256 of its pixels.
        source_types: IPTC's words, as in ``SourceType``.
        tool: what its XMP names as its creator.
        aigc: China's label (GB 45438) as it stands there, JSON as a rule.
        manifest_sha256: of its C2PA manifest's bytes.
    """

    reference: Sha256
    source_types: tuple[str, ...] = ()
    tool: str | None = None
    aigc: str | None = None
    manifest_sha256: Sha256 | None = None

    @property
    def words(self) -> str:
        said = [f"DigitalSourceType {each}" for each in self.source_types]
        said += [f"made with {self.tool}"] if self.tool else []
        said += [f"AIGC label {self.aigc}"] if self.aigc else []
        said += ["a C2PA manifest"] if self.manifest_sha256 else []
        return ", ".join(said)
