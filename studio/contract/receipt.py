"""What really happened: taken from the pipeline, never from the form."""

from pydantic import Field

from studio.architecture import Mode
from studio.contract.base import (
    Contract,
    Count,
    Sha256,
    Versioned,
    added,
    fingerprint,
    says_nothing,
)
from studio.contract.marks import InheritedMark, SourceType
from studio.contract.placement import Offload
from studio.contract.plan import RunPlan, WorkerClass
from studio.contract.request import PartName


class ComponentReceipt(Contract):
    """One component (``unet``, ``text_encoder``) of one LoRA.

    Attributes:
        targeted: modules the file changes in this component.
        applied: modules that carry the LoRA in the pipeline; always equal to ``targeted``.
        scale_min, scale_max: effective scale ``strength * alpha / rank`` over the modules.
    """

    component: str
    targeted: int
    applied: int
    scale_min: float
    scale_max: float


class PartReceipt(Contract):
    """One part of the base in which a LoRA had a strength of its own.

    Attributes:
        strength: as its modules held it.
        applied: modules of the part that carried the LoRA.
        scale_min, scale_max: as of components; 0 where the LoRA changes none of its modules.
    """

    part: PartName
    strength: float
    applied: Count
    scale_min: float
    scale_max: float


class RangeReceipt(Contract):
    """Steps in which the denoiser's modules held a LoRA at the same scales.

    Attributes:
        first_step, last_step: counted from 1.
        applied: modules of the denoiser that held it at another scale than 0.
        scale_min, scale_max: over all modules of the denoiser that the file changes.
    """

    first_step: Count
    last_step: Count
    applied: Count
    scale_min: float
    scale_max: float


class LoraReceipt(Contract):
    """One LoRA as the pipeline carries it.

    Attributes:
        sha256: of the file that was loaded.
        strength: as set on the pipeline, on all modules that are in none of ``parts``.
        components, parts: as they held it while it was on.
        ranges: as they held it from step to step, read back at each change; empty where no LoRA
            of the run came or went.
        resident: whether it was in memory already when this run began.
        waived: what of the file was left out, as the plan says.
        effect, layer_effect: of this LoRA alone at its strength, measured as the run's; None
            where it is the only one or its strength is 0, and in records written before it was
            asked for.
    """

    slug: str
    sha256: Sha256
    strength: float
    resident: bool
    components: tuple[ComponentReceipt, ...]
    waived: tuple[str, ...] = Field(default=(), exclude_if=says_nothing)
    effect: float | None = Field(default=None, exclude_if=says_nothing)
    layer_effect: float | None = added(since=2)
    parts: tuple[PartReceipt, ...] = added(since=4, default=())
    ranges: tuple[RangeReceipt, ...] = added(since=4, default=())

    @property
    def acts(self) -> bool:
        """Whether it was on anywhere."""
        return any(part.scale_min or part.scale_max for part in self.components)


class BaseProof(Contract):
    """The probe's output with every LoRA off: now, and when the base was loaded.

    Both are SHA-256 of the output's bytes (denoiser and text encoders); equal means
    bit-identical.

    Attributes:
        fresh: measured in this run; else carried over from an earlier measurement on the same
            resident pipeline, in which no weight of the base was replaced or written since. A
            run without LoRAs carries over no proof that is older than a LoRA's coming, going
            or being switched on.
    """

    loaded: Sha256
    now: Sha256
    fresh: bool = True

    @property
    def holds(self) -> bool:
        return self.loaded == self.now


class EncodingReceipt(Contract):
    """Tokens one text encoder really read, special tokens not counted."""

    encoder: str
    side: str
    tokens: int


class ImageReceipt(Contract):
    """One image: ``seed`` as used, and the SHA-256 of its RGB pixels, row by row.

    Attributes:
        noise_sha256: of the latents the denoising began from, as the pipeline holds them;
            None in records written before it was asked for.
        latents_sha256: of the latents that the last step left; None as above.
    """

    index: Count
    seed: int
    width: Count
    height: Count
    noise_sha256: Sha256 | None = Field(default=None, exclude_if=says_nothing)
    latents_sha256: Sha256 | None = added(since=2)
    pixels_sha256: Sha256


class WorkerReceipt(Contract):
    """Which worker made a picture.

    Attributes:
        name: as the studio that sent the run calls it.
        process: 16 hexadecimal digits that tell this life of the worker from its others.
        worker_class: as the worker found it in itself.
        moved_from: workers that were lost before they made a picture of this run, in order.
    """

    name: str
    process: str
    worker_class: WorkerClass
    moved_from: tuple[str, ...] = ()


class Timings(Contract):
    """Seconds per stage; ``total`` is what the user waited once the device was free."""

    load: float
    loras: float
    encode: float
    denoise: float
    decode: float
    total: float


def _alone(together: int) -> bool:
    """Whether a picture had its call for itself, which records need not say."""
    return together == 1


class Receipt(Contract):
    """What one image was really made with.

    Attributes:
        effect: relative change of one denoiser call on the fixed probe,
            ``|with - without| / |without|``: of LoRAs that change the text encoders alone, and in
            earlier records of all; None when no LoRA was on.
        layer_effect: what the LoRAs add to the outputs of the layers that they change, as a share
            of what the base gives there, on inputs from its probe: ``|added| / |base's|``
            (Euclidean norms over these layers). Linear in the strength of one LoRA. None where
            ``effect`` is measured, and when no LoRA was on.
        true_cfg_scale: as given to the pipeline's call; None where it has no such argument.
        max_sequence_length: as the text encoder was given it; None where it takes none.
        references: SHA-256 of the reference images the pipeline was given, in its order.
        offload: as the pipeline was placed; None in records written before plans said it.
        vae_tiling: as the VAE was set.
        eta: as the scheduler was given it in every step; None where the plan says none.
        embeddings_sha256: of both sides of the prompt as the denoiser was given them; None in
            records written before it was asked for.
        switched_sha256: of where which LoRA was on and at which scale, module by module; None
            without one, and as above.
        hardware: the device in words, with what of it can change the last bits; None as above.
        worker: who made it, and where it was before; None where the studio itself did.
        together: pictures that were denoised in one call with this one, itself counted. Above 1
            only in records of earlier releases, whose pixels may differ from a single call's by
            rounding.
        warnings: what the libraries said during the run, without paths of this machine.
    """

    run_id: str
    started_at: str
    finished_at: str
    device: str
    dtype: str
    base_sha256: Sha256
    scheduler: str
    steps: int
    guidance_scale: float
    true_cfg_scale: float | None = Field(default=None, exclude_if=says_nothing)
    clip_skip: int | None
    max_sequence_length: int | None = Field(default=None, exclude_if=says_nothing)
    loras: tuple[LoraReceipt, ...]
    references: tuple[Sha256, ...] = Field(default=(), exclude_if=says_nothing)
    offload: Offload | None = Field(default=None, exclude_if=says_nothing)
    vae_tiling: bool = Field(default=False, exclude_if=says_nothing)
    eta: float | None = added(since=2)
    embeddings_sha256: Sha256 | None = added(since=2)
    switched_sha256: Sha256 | None = added(since=2)
    hardware: str | None = added(since=2)
    worker: WorkerReceipt | None = added(since=3)
    effect: float | None
    layer_effect: float | None = added(since=2)
    base_proof: BaseProof
    encoding: tuple[EncodingReceipt, ...]
    warnings: tuple[str, ...]
    timings: Timings
    image: ImageReceipt
    together: Count = Field(default=1, exclude_if=_alone)


class RunRecord(Versioned):
    """Plan and receipt of one image; what the PNG carries.

    Attributes:
        source_type: what the file's XMP says made the picture; None in a file without it.
        inherited: the marks of the reference images it was made from.
        producer: who the file's AIGC label names as its producer; None in a file without one.
        signer: number of the certificate that the file is signed with; None in one that is not.
    """

    plan_fingerprint: Sha256
    plan: RunPlan
    receipt: Receipt
    source_type: SourceType | None = added(since=2)
    inherited: tuple[InheritedMark, ...] = added(since=2, default=())
    producer: str | None = added(since=2)
    signer: str | None = added(since=2)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole record's canonical JSON."""
        return fingerprint(self.model_dump(mode="json"))

    @classmethod
    def of(
        cls,
        plan: RunPlan,
        receipt: Receipt,
        inherited: tuple[InheritedMark, ...] = (),
        producer: str | None = None,
        signer: str | None = None,
    ) -> "RunRecord":
        edited = plan.mode is Mode.REFERENCE_EDIT
        source = SourceType.EDITED if edited else SourceType.GENERATED
        return cls(
            plan_fingerprint=plan.fingerprint,
            plan=plan,
            receipt=receipt,
            source_type=None if plan.unmarked else source,
            inherited=inherited,
            producer=None if plan.unmarked else producer,
            signer=signer,
        )
