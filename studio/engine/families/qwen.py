"""Qwen-Image, and its pipelines that edit pictures: Qwen2.5-VL reads, the template is dropped.

Guidance is ``true_cfg_scale``, with a second pass above 1 and only there. An empty negative
prompt is read as one blank, as the model's authors do: without any, the pipeline would turn
guidance off with a warning. Sizes and order of reference pictures are as in the pipelines' own
calls (diffusers 0.42), which resize the pictures again for the VAE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded
from studio.engine.families.framed import (
    PREFIXES,
    demand_passes,
    demand_prefix,
    read_framed,
    sequence_length,
    texts_of,
)
from studio.engine.lora.probe import TIMESTEP, TOKENS, TRAINED_STEPS, fixed_noise, fixed_words
from studio.errors import ContractBroken

if TYPE_CHECKING:
    from PIL.Image import Image


_NOTHING = " "
_BEFORE = "<|im_start|>user\n"
"""Where the part of the template that is taken off ends, in all three pipelines."""

_PROBE_SIDE = 4
"""Tokens of the probe's rows and columns."""


class QwenImage:
    """``QwenImagePipeline``, ``QwenImageEditPipeline`` and ``QwenImageEditPlusPipeline``."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        encoder, transformer = pipeline.text_encoder, pipeline.transformer
        words = fixed_words(TOKENS, pipeline.tokenizer.vocab_size)
        ids = torch.tensor([words], device=device_of(encoder))
        read = encoder(
            input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
        )
        hidden = read.hidden_states[-1]
        tokens = _PROBE_SIDE * _PROBE_SIDE
        latents = fixed_noise((1, tokens, transformer.config.in_channels), transformer)
        (output,) = transformer(
            hidden_states=latents,
            timestep=torch.tensor([TIMESTEP / TRAINED_STEPS]).to(latents),
            encoder_hidden_states=hidden.to(latents),
            img_shapes=[[(1, _PROBE_SIDE, _PROBE_SIDE)]],
            return_dict=False,
        )
        return hidden, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        _refuse_distilled(pipeline, plan)
        _refuse_one_step(pipeline, plan)
        dropped = pipeline.prompt_template_encode_start_idx
        template: str = pipeline.prompt_template_encode
        before = template[: template.index(_BEFORE) + len(_BEFORE)]
        demand_prefix(plan, pipeline.tokenizer, before, dropped)
        seen = pictures_seen(pipeline, plan, references)
        arguments: dict[str, Any] = {}
        receipts = []
        length = sequence_length(plan)
        for side, text in texts_of(plan, plan.is_guided):
            receipts.append(
                read_framed(plan, pipeline.tokenizer, template.format, text, side, dropped)
            )
            embeddings, mask = pipeline.encode_prompt(
                prompt=text or _NOTHING, max_sequence_length=length, **seen
            )
            arguments[f"{PREFIXES[side]}prompt_embeds"] = embeddings
            # None says that all is read, but given as None the pipeline warns of it.
            whole = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
            arguments[f"{PREFIXES[side]}prompt_embeds_mask"] = whole if mask is None else mask
        return Encoded(arguments, None, tuple(receipts), length)

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        return {
            "true_cfg_scale": plan.settings.guidance_scale.value,
            "max_sequence_length": sequence_length(plan),
            **reference_argument(plan, references),
        }

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        """No pipeline keeps ``true_cfg_scale``; that it was at work shows in the passes."""
        del pipeline
        scale = plan.settings.guidance_scale.value
        return demand_passes(scale, plan.is_guided, passes)

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        frames = pipeline._unpack_latents(latents[:1], height, width, pipeline.vae_scale_factor)
        first: torch.Tensor = frames[0, :, 0]
        return first

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        """Its VAE is one of videos: a picture is a video of one frame."""
        vae = pipeline.vae
        latents = vae.encode(pixels.to(device_of(vae), vae.dtype).unsqueeze(2)).latent_dist.mode()
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1).to(latents)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        normal: torch.Tensor = (latents.squeeze(2) - mean) / std
        return normal


def _refuse_distilled(pipeline: Pipeline, plan: RunPlan) -> None:
    if pipeline.transformer.config.guidance_embeds:
        raise ContractBroken(
            f"{plan.base.label} wants a second guidance number, which no plan has.",
            "Choose a base that is not distilled for guidance.",
        )


def _refuse_one_step(pipeline: Pipeline, plan: RunPlan) -> None:
    """The scheduler stretches its steps towards an end, and divides by nothing if one is all."""
    if plan.settings.steps.value == 1 and pipeline.scheduler.config.shift_terminal:
        raise ContractBroken(
            f"The schedule of {plan.base.label} has no single step.", "Set the steps to 2 or more."
        )


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
