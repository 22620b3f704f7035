"""What a picture was made from and how much of it was counted, without a word of the prompt."""

from studio.contract.base import Contract, Count, Sha256, Slug, Versioned, added
from studio.contract.marks import SourceType
from studio.contract.plan import LoraUse
from studio.contract.receipt import LoraReceipt, RunRecord
from studio.contract.request import FinerText


class StatedBase(Contract):
    """As ``BaseIdentity``, without the list of its files, which ``sha256`` is of."""

    slug: Slug
    label: str
    sha256: Sha256
    source: str
    revision: str | None


class StatedLora(Contract):
    """A LoRA of the run: its file, and the modules that it targets and that carried it.

    Attributes:
        finer: strengths of parts and the steps in which it was on, besides ``strength``.
    """

    slug: Slug
    label: str
    sha256: Sha256
    source: str
    strength: float
    targeted: Count
    applied: Count
    finer: FinerText = added(since=5, default="")


class Statement(Versioned):
    """A record without its prompt, settings and times; the record's fingerprint binds it to them.

    Attributes:
        release: of the studio that made the picture.
        pixels_sha256: as the receipt has it.
        references: SHA-256 of the reference images' pixels.
        base_proven: whether the base gave bit-identical output without its LoRAs.
    """

    record_fingerprint: Sha256
    plan_fingerprint: Sha256
    pixels_sha256: Sha256
    release: str | None
    source_type: SourceType | None
    base: StatedBase
    loras: tuple[StatedLora, ...]
    references: tuple[Sha256, ...]
    base_proven: bool

    @property
    def without_finer(self) -> "Statement":
        """As releases of schema step 4, which had the finer strength in records, stated it."""
        said = {name: getattr(self, name) for name in type(self).model_fields}
        said["loras"] = tuple(each.model_copy(update={"finer": ""}) for each in self.loras)
        del said["schema_version"]
        return type(self)(**said)

    @classmethod
    def of(cls, record: RunRecord) -> "Statement":
        plan, receipt = record.plan, record.receipt
        counted = {each.slug: each for each in receipt.loras}
        return cls(
            record_fingerprint=record.fingerprint,
            plan_fingerprint=record.plan_fingerprint,
            pixels_sha256=receipt.image.pixels_sha256,
            release=plan.release,
            source_type=record.source_type,
            base=StatedBase(
                slug=plan.base.slug,
                label=plan.base.label,
                sha256=plan.base.sha256,
                source=plan.base.source,
                revision=plan.base.revision,
            ),
            loras=tuple(
                _stated(use, counted[use.slug]) for use in plan.loras if use.slug in counted
            ),
            references=receipt.references,
            base_proven=receipt.base_proof.holds,
        )


def _stated(use: LoraUse, counted: LoraReceipt) -> StatedLora:
    return StatedLora(
        slug=use.slug,
        label=use.label,
        sha256=counted.sha256,
        source=use.source,
        strength=counted.strength,
        targeted=sum(part.targeted for part in counted.components),
        applied=sum(part.applied for part in counted.components),
        finer=use.finer,
    )
