"""The weights on disk."""

from typing import Literal

from studio.architecture import Mode
from studio.contract.violations.rule import Rule


class WeightsMissing(Rule):
    FOUND = "The weights of {label} are not on disk; they belong at {expected_at}."
    EXPECTED = "the weights at {expected_at}"
    WAY_OUT = "{get}"
    code: Literal["weights_missing"] = "weights_missing"
    slug: str
    label: str
    expected_at: str
    get: str


class SameWeights(Rule):
    FOUND = "{label} and {other_label} are the same file, so its effect would count twice."
    EXPECTED = "each LoRA file once"
    WAY_OUT = "Remove one of them."
    code: Literal["same_weights"] = "same_weights"
    slug: str
    label: str
    other: str
    other_label: str


class WeightsUnusable(Rule):
    FOUND = "The weights of {label} cannot be used: {reason}"
    EXPECTED = "a readable safetensors file"
    WAY_OUT = "{remedy}"
    code: Literal["weights_unusable"] = "weights_unusable"
    slug: str
    label: str
    reason: str
    remedy: str


class HashMismatch(Rule):
    FOUND = "The weights of {label} have SHA-256 {found_sha256}, not {expected_sha256} ({basis})."
    EXPECTED = "SHA-256 {expected_sha256}"
    WAY_OUT = "{remedy}"
    code: Literal["hash_mismatch"] = "hash_mismatch"
    slug: str
    label: str
    found_sha256: str
    expected_sha256: str
    basis: str
    remedy: str


class LoraDoesNotFit(Rule):
    """
    Attributes:
        matched: modules of the base that the file does fit.
        unplaced: what of the file has no place, as a waiver would name it.
        waivable: whether the rest may be applied with the user's consent.
    """

    FOUND = "The file of {label} does not fit {base}. {reasons}"
    EXPECTED = "a file whose every layer is a layer of {base}"
    WAY_OUT = (
        "Choose a LoRA trained for {base_architecture}, or correct the preset's file.{waiver}"
    )
    code: Literal["lora_does_not_fit"] = "lora_does_not_fit"
    slug: str
    label: str
    base: str
    base_architecture: str
    evidence: tuple[str, ...]
    reasons: str
    matched: int
    unplaced: tuple[str, ...]
    waivable: bool
    waiver: str = ""


class PublishedConflict(Rule):
    FOUND = "What is published of {label} contradicts its preset or its tensors. {reasons}"
    EXPECTED = "a publisher, a preset and tensors that agree"
    WAY_OUT = (
        "Correct the preset's base_architecture, or put the right file there. If the published "
        "label is wrong, delete {facts}: preset and tensors then decide."
    )
    code: Literal["published_conflict"] = "published_conflict"
    slug: str
    label: str
    facts: str
    evidence: tuple[str, ...]
    reasons: str


class OriginConflict(Rule):
    FOUND = (
        "{file} of {label} was fetched from {fetched_from}, as {facts} beside it says; the preset "
        "names {named}."
    )
    EXPECTED = "weights from where the preset says"
    WAY_OUT = (
        "Move the file and {facts} away and download the weights again, or correct the preset. If "
        "{facts} is wrong, delete it."
    )
    code: Literal["origin_conflict"] = "origin_conflict"
    slug: str
    label: str
    file: str
    facts: str
    fetched_from: str
    named: str


class ReferenceRequired(Rule):
    FOUND = "The mode “{mode}” edits a reference image, and none is given."
    EXPECTED = "at least one reference image"
    WAY_OUT = "Give a reference image, or choose another mode."
    code: Literal["reference_required"] = "reference_required"
    field: str = "references"
    mode: Mode


class ReferenceForbidden(Rule):
    FOUND = "A reference image is given, and the mode “{mode}” uses none."
    EXPECTED = "no reference image"
    WAY_OUT = "Remove it, or choose the mode “Reference edit”."
    code: Literal["reference_forbidden"] = "reference_forbidden"
    field: str = "references"
    mode: Mode


class TooManyReferences(Rule):
    FOUND = "{count} reference images are given; {label} takes {limit}."
    EXPECTED = "at most {limit}"
    WAY_OUT = "Remove {surplus} of them."
    code: Literal["too_many_references"] = "too_many_references"
    field: str = "references"
    label: str
    count: int
    limit: int
    surplus: int


class ReferenceMissing(Rule):
    FOUND = "The reference image {sha256:.12} is no longer stored."
    EXPECTED = "the image whose pixels have this hash"
    WAY_OUT = "Give the image again."
    code: Literal["reference_missing"] = "reference_missing"
    field: str = "references"
    sha256: str


class ReferenceUnsuitable(Rule):
    FOUND = "The reference image has {width} x {height} pixels: {reason}."
    EXPECTED = "{low} pixels a side at least, and no side more than {ratio} times the other"
    WAY_OUT = "Crop or enlarge it, or give another one."
    code: Literal["reference_unsuitable"] = "reference_unsuitable"
    field: str = "references"
    sha256: str
    width: int
    height: int
    reason: str
    low: int
    ratio: int
