"""The reference images of an edit."""

from typing import Literal

from studio.architecture import Mode
from studio.contract.violations.rule import Rule


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
