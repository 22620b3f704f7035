"""The reference pictures of Qwen-Image's edit pipelines, as their text encoder sees them.

Sizes and order as in the pipelines' own calls (diffusers 0.42), which resize the pictures
again for the VAE; what comes out has the plan's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.errors import ContractBroken

if TYPE_CHECKING:
    from PIL.Image import Image

_MEGAPIXEL = 1024 * 1024


def pictures_seen(
    pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]
) -> dict[str, Any]:
    """``encode_prompt``'s argument for the pictures; empty for the pipeline that takes none.

    Raises:
        ContractBroken: the pipeline takes another number of pictures.
    """
    kind = plan.base.pipeline
    if kind == "QwenImagePipeline":
        _demand(not references, plan, "takes no reference images")
        return {}
    if kind == "QwenImageEditPipeline":
        _demand(len(references) == 1, plan, "edits one reference image")
        return {"image": _seen_alone(pipeline, references[0])}
    _demand(bool(references), plan, "edits reference images")
    return {"image": [_seen_among_others(pipeline, image) for image in references]}


def reference_argument(plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
    """The pipeline call's argument for the pictures."""
    if not references:
        return {}
    alone = plan.base.pipeline == "QwenImageEditPipeline"
    return {"image": references[0] if alone else list(references)}


def _seen_alone(pipeline: Pipeline, image: Image) -> Image:
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import calculate_dimensions

    width, height, _ = calculate_dimensions(_MEGAPIXEL, image.width / image.height)
    seen: Image = pipeline.image_processor.resize(image, height, width)
    return seen


def _seen_among_others(pipeline: Pipeline, image: Image) -> Image:
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import (
        CONDITION_IMAGE_SIZE,
        calculate_dimensions,
    )

    width, height = calculate_dimensions(CONDITION_IMAGE_SIZE, image.width / image.height)
    seen: Image = pipeline.image_processor.resize(image, height, width)
    return seen


def _demand(holds: bool, plan: RunPlan, what: str) -> None:
    if not holds:
        raise ContractBroken(
            f"{plan.base.label} {what}, and the plan has {len(plan.references)}.",
            "Make the plan again with as many as it takes.",
        )
