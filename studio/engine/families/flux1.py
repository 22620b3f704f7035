"""FLUX.1: dev and schnell, and Kontext, which can read a picture beside the text.

CLIP sums the text up in one vector (77 tokens), T5 reads it to the plan's length. The
guidance scale is an input of dev's transformer; schnell has none, and takes any number
without reading it. True classifier-free guidance beside it costs a second pass, and only
then is a negative prompt read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import traits_of
from studio.contract.plan import PlanSettings, RunPlan
from studio.contract.receipt import EncodingReceipt
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded, shifted_latents
from studio.engine.families.framed import PREFIXES, sequence_length, texts_of
from studio.engine.lora.probe import TIMESTEP, TOKENS, TRAINED_STEPS, fixed_noise, fixed_words
from studio.engine.text.clip import probe_ids
from studio.engine.text.windows import read_window

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS = 4
"""Tokens of the probe's side; four latents each."""


class Flux1:
    """``FluxPipeline`` and ``FluxKontextPipeline``."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        clip, t5, transformer = (
            pipeline.text_encoder,
            pipeline.text_encoder_2,
            pipeline.transformer,
        )
        summary = clip(probe_ids(pipeline.tokenizer, clip.config.vocab_size).to(device_of(clip)))
        words = torch.tensor([fixed_words(TOKENS, t5.config.vocab_size)])
        text = t5(words.to(device_of(t5)))[0]
        noise = fixed_noise((1, _ROWS**2, transformer.config.in_channels), transformer)
        places = pipeline._prepare_latent_image_ids(1, _ROWS, _ROWS, noise.device, noise.dtype)
        scale = torch.ones(1, device=noise.device)
        output = transformer(
            hidden_states=noise,
            timestep=torch.full((1,), TIMESTEP / TRAINED_STEPS).to(noise),
            guidance=scale if transformer.config.guidance_embeds else None,
            pooled_projections=summary.pooler_output.to(noise),
            encoder_hidden_states=text.to(noise),
            txt_ids=torch.zeros(text.shape[1], 3).to(noise),
            img_ids=places,
            return_dict=False,
        )[0]
        return summary.last_hidden_state, summary.pooler_output, text, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """As ``FluxPipeline.encode_prompt``; the pictures are read by the VAE alone."""
        del references
        length = sequence_length(plan)
        summary, reader = traits_of(plan.base.architecture).text_encoders
        summary_window = int(pipeline.tokenizer_max_length)
        arguments: dict[str, torch.Tensor] = {}
        receipts: list[EncodingReceipt] = []
        for side, text in texts_of(plan, plan.has_true_cfg):
            prefix = PREFIXES[side]
            pooled, read = read_window(pipeline, plan, summary, side, text, summary_window)
            arguments[f"{prefix}pooled_prompt_embeds"] = pooled.pooler_output.to(
                pipeline.text_encoder.dtype
            )
            receipts.append(read)
            hidden, read = read_window(pipeline, plan, reader, side, text, length)
            arguments[f"{prefix}prompt_embeds"] = hidden[0].to(pipeline.text_encoder_2.dtype)
            receipts.append(read)
        found = int(arguments["prompt_embeds"].shape[1])
        return Encoded(arguments, None, tuple(receipts), max_sequence_length=found)

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        given: dict[str, Any] = {"guidance_scale": plan.settings.guidance_scale.value}
        if plan.settings.true_cfg_scale is not None:
            given["true_cfg_scale"] = plan.settings.true_cfg_scale.value
        if plan.base.pipeline == "FluxKontextPipeline":
            given |= _kontext(plan.settings, references)
        return given

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        del plan, passes
        return float(pipeline.guidance_scale)

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        unpacked: torch.Tensor = pipeline._unpack_latents(
            latents[:1], height, width, pipeline.vae_scale_factor
        )
        return unpacked[0]

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        return shifted_latents(pipeline.vae, pixels)


def _kontext(settings: PlanSettings, references: Sequence[Image]) -> dict[str, Any]:
    """The picture gets the planned size, and the reference keeps its own.

    Kontext would scale every picture to ``max_area``, and the reference to one of the
    sizes it was trained with; here the area is the plan's, and what becomes of the reference
    is said in the plan's notices.
    """
    given: dict[str, Any] = {"max_area": settings.width.value * settings.height.value}
    if references:
        (given["image"],) = references
    return given
