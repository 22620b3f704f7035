"""Z-Image, Turbo and base: Qwen3 reads its chat template, and the VAE is FLUX.1's.

The plan's guidance scale is in CivitAI's convention, where 1 is off. The pipeline computes
``pos + g * (pos - neg)`` wherever g is above 0, so it gets one less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import GuidanceKind
from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.base.processors import render_chat
from studio.engine.families.family import Encoded, shifted_latents
from studio.engine.families.framed import (
    PREFIXES,
    demand_passes,
    read_framed,
    sequence_length,
    texts_of,
)
from studio.engine.lora.probe import TIMESTEP, TOKENS, TRAINED_STEPS, fixed_noise, fixed_words
from studio.errors import ContractBroken

if TYPE_CHECKING:
    from PIL.Image import Image

_PROBE_SIDE = 8
"""Latents of the probe's rows and columns."""


_scale = GuidanceKind.CFG_FROM_ZERO.in_pipeline
"""The plan's scale as ``ZImagePipeline`` counts it."""


class ZImage:
    """``ZImagePipeline``, with its own ``cfg_normalization`` and ``cfg_truncation``."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        encoder, transformer = pipeline.text_encoder, pipeline.transformer
        words = fixed_words(TOKENS, pipeline.tokenizer.vocab_size)
        ids = torch.tensor([words], device=device_of(encoder))
        read = encoder(
            input_ids=ids,
            attention_mask=torch.ones_like(ids, dtype=torch.bool),
            output_hidden_states=True,
        )
        hidden = read.hidden_states[-2]
        shape = (transformer.in_channels, 1, _PROBE_SIDE, _PROBE_SIDE)
        latents = fixed_noise(shape, transformer)
        time = torch.tensor([1 - TIMESTEP / TRAINED_STEPS]).to(latents)
        (outputs,) = transformer([latents], time, [hidden[0].to(latents)], return_dict=False)
        return hidden, outputs[0]

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """The embeddings are lists of one (tokens, width) each, without any padding."""
        del references
        tokenizer, length = pipeline.tokenizer, sequence_length(plan)

        def frame(text: str) -> str:
            chat = [{"role": "user", "content": text}]
            return render_chat(tokenizer, chat, add_generation_prompt=True, enable_thinking=True)

        arguments: dict[str, Any] = {"prompt_embeds": None, "negative_prompt_embeds": None}
        receipts = []
        for side, text in texts_of(plan, plan.is_guided):
            receipts.append(read_framed(plan, tokenizer, frame, text, side))
            embeddings, _ = pipeline.encode_prompt(
                prompt=text, do_classifier_free_guidance=False, max_sequence_length=length
            )
            arguments[f"{PREFIXES[side]}prompt_embeds"] = embeddings
        return Encoded(arguments, None, tuple(receipts), length)

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        del references
        return {
            "guidance_scale": _scale(plan.settings.guidance_scale.value),
            "max_sequence_length": sequence_length(plan),
        }

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        """Both sides go through the denoiser in one call, so its passes say nothing here."""
        planned = plan.settings.guidance_scale.value
        held = float(pipeline.guidance_scale)
        demand_passes(planned, False, passes)
        if held != _scale(planned):
            raise ContractBroken(
                f"The plan's guidance {planned:g} is {_scale(planned):g} to the "
                f"pipeline, and it holds {held:g}.",
                "The picture is not kept; report it with the plan's fingerprint.",
            )
        return planned

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        del pipeline, width, height
        return latents[0]

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        return shifted_latents(pipeline.vae, pixels)
