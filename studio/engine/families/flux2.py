"""FLUX.2: dev reads with Mistral and takes guidance as an input; Klein reads with Qwen3.

Klein has classifier-free guidance above 1, against the embedding of nothing, unless it is
distilled: then its pipeline would ignore the number with a warning. All take references.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from studio.architecture import guides
from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.base.processors import render_chat
from studio.engine.families.family import Encoded
from studio.engine.families.framed import (
    PREFIXES,
    Frame,
    demand_passes,
    read_framed,
    sequence_length,
    texts_of,
)
from studio.engine.lora.probe import TIMESTEP, TOKENS, TRAINED_STEPS, fixed_noise, fixed_words
from studio.errors import ContractBroken, PromptRefused, UnusableReference

if TYPE_CHECKING:
    from PIL.Image import Image


_PICTURE = "[IMG]"


def chat_frame(pipeline: Pipeline) -> tuple[Any, Frame]:
    """The tokenizer as the pipeline calls it on a whole chat, and that chat around a text."""
    ways = {"Flux2Pipeline": _mistral, "Flux2KleinPipeline": _qwen}
    return ways[type(pipeline).__name__](pipeline)


def _qwen(pipeline: Pipeline) -> tuple[Any, Frame]:
    tokenizer = pipeline.tokenizer

    def frame(text: str) -> str:
        chat = [{"role": "user", "content": text}]
        return render_chat(tokenizer, chat, add_generation_prompt=True, enable_thinking=False)

    return tokenizer, frame


def _mistral(pipeline: Pipeline) -> tuple[Any, Frame]:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    tokenizer = pipeline.tokenizer

    def frame(text: str) -> str:
        if _PICTURE in text:
            raise PromptRefused(
                f"FLUX.2's pipeline takes {_PICTURE} out of the prompt.",
                "Leave it out; reference images are chosen beside the prompt.",
            )
        (chat,) = format_input([text], system_message=pipeline.system_message)
        return render_chat(tokenizer, chat, add_generation_prompt=False)

    def without_marks(text: str) -> Any:
        # The template writes the start token itself.
        return tokenizer(text, add_special_tokens=False)

    return without_marks, frame


_PROBE_SIDE = 4
"""Tokens of the probe's rows and columns."""
_PROBE_GUIDANCE = 4.0


class Flux2:
    """``Flux2Pipeline`` and ``Flux2KleinPipeline``."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        transformer = pipeline.transformer
        hidden = _probe_text(pipeline)
        shape = (1, transformer.config.in_channels, _PROBE_SIDE, _PROBE_SIDE)
        latents = fixed_noise(shape, transformer)
        guidance = torch.tensor([_PROBE_GUIDANCE]).to(latents)
        (output,) = transformer(
            hidden_states=pipeline._pack_latents(latents),
            timestep=torch.tensor([TIMESTEP / TRAINED_STEPS]).to(latents),
            guidance=guidance if transformer.config.guidance_embeds else None,
            encoder_hidden_states=hidden.to(latents),
            txt_ids=pipeline._prepare_text_ids(hidden).to(latents.device),
            img_ids=pipeline._prepare_latent_ids(latents).to(latents.device),
            return_dict=False,
        )
        return hidden, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """The window is filled up with padding, which the transformer reads too."""
        _refuse_ignored_guidance(pipeline, plan)
        _check_references(pipeline, references)
        tokenizer, frame = chat_frame(pipeline)
        length = sequence_length(plan)
        arguments: dict[str, Any] = {}
        receipts = []
        for side, text in texts_of(plan, _has_second_pass(pipeline, plan)):
            receipts.append(read_framed(plan, tokenizer, frame, text, side))
            embeddings, _ = pipeline.encode_prompt(prompt=text, max_sequence_length=length)
            arguments[f"{PREFIXES[side]}prompt_embeds"] = embeddings
        return Encoded(arguments, None, tuple(receipts), length)

    def arguments(self, plan: RunPlan, references: Sequence[Image]) -> dict[str, Any]:
        return {
            "guidance_scale": plan.settings.guidance_scale.value,
            "max_sequence_length": sequence_length(plan),
            "image": list(references) or None,
        }

    def guidance_used(self, pipeline: Pipeline, plan: RunPlan, passes: int) -> float:
        scale = float(pipeline.guidance_scale)
        return demand_passes(scale, _has_second_pass(pipeline, plan), passes)

    def latents_by_place(
        self, pipeline: Pipeline, latents: torch.Tensor, width: int, height: int
    ) -> torch.Tensor:
        """Two by two latents of the VAE are the channels of one place."""
        pixels = 2 * pipeline.vae_scale_factor
        first = latents[0]
        return first.T.reshape(first.shape[1], height // pixels, width // pixels)

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        vae = pipeline.vae
        latents: torch.Tensor = pipeline._encode_vae_image(
            pixels.to(device_of(vae), vae.dtype), generator=None
        )
        return latents


def _probe_text(pipeline: Pipeline) -> torch.Tensor:
    """(1, TOKENS, layers * width): the layers that the pipeline reads, side by side."""
    encoder = pipeline.text_encoder
    words = fixed_words(TOKENS, pipeline.tokenizer.vocab_size)
    ids = torch.tensor([words], device=device_of(encoder))
    states = encoder(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        output_hidden_states=True,
        use_cache=False,
    ).hidden_states
    signature = inspect.signature(pipeline.encode_prompt)
    layers = signature.parameters["text_encoder_out_layers"].default
    return torch.cat([states[layer] for layer in layers], dim=-1)


def _has_second_pass(pipeline: Pipeline, plan: RunPlan) -> bool:
    """Klein's ``do_classifier_free_guidance``; dev never has one."""
    klein = type(pipeline).__name__ == "Flux2KleinPipeline"
    return klein and plan.is_guided and not pipeline.config.is_distilled


def _refuse_ignored_guidance(pipeline: Pipeline, plan: RunPlan) -> None:
    scale = plan.settings.guidance_scale.value
    if guides(scale) and getattr(pipeline.config, "is_distilled", False):
        raise ContractBroken(
            f"{plan.base.label} is distilled and has no guidance; the plan says {scale:g}.",
            "Set the guidance scale to 1, or choose a base that is not distilled.",
        )


def _check_references(pipeline: Pipeline, references: Sequence[Image]) -> None:
    """What the pipeline itself asks of them, before anything has run."""
    for image in references:
        try:
            pipeline.image_processor.check_image_input(image)
        except ValueError as error:
            raise UnusableReference(str(error), "Give a larger one, not so long.") from error
