"""Stable Diffusion 3 and 3.5: two CLIP encoders and T5 stand one after another.

Each CLIP gives the layer before its last, as it is, and a summary; T5 reads on to the plan's
length, so words beyond CLIP's window reach the picture through T5. There is no clip skip:
the pipeline's own holds for the prompt and not for the negative prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from studio.architecture import traits_of
from studio.contract.plan import RunPlan
from studio.contract.receipt import EncodingReceipt
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.families.family import Encoded, shifted_latents
from studio.engine.families.framed import PREFIXES, sequence_length, texts_of
from studio.engine.families.stable_diffusion import GuidedUnet
from studio.engine.lora.probe import TIMESTEP, TOKENS, fixed_noise, fixed_words
from studio.engine.text.clip import probe_both
from studio.engine.text.windows import read_window

if TYPE_CHECKING:
    from PIL.Image import Image

_PROBE_SIDE = 8
"""Latents of the probe's rows and columns."""


class StableDiffusion3(GuidedUnet):
    """``StableDiffusion3Pipeline``: guidance is CFG, off at 1.0 and below."""

    def probe(self, pipeline: Pipeline) -> tuple[torch.Tensor, ...]:
        transformer, t5 = pipeline.transformer, pipeline.text_encoder_3
        clips = probe_both(pipeline)
        words = torch.tensor([fixed_words(TOKENS, t5.config.vocab_size)])
        hidden, pooled = _joined(clips, t5(words.to(device_of(t5)))[0])
        shape = (1, transformer.config.in_channels, _PROBE_SIDE, _PROBE_SIDE)
        latents = fixed_noise(shape, transformer)
        (output,) = transformer(
            hidden_states=latents,
            timestep=torch.full((1,), float(TIMESTEP)).to(latents),
            encoder_hidden_states=hidden.to(latents),
            pooled_projections=pooled.to(latents),
            return_dict=False,
        )
        # The last layers too, though none but the summaries read them: LoRAs change them.
        return *(each.last_hidden_state for each in clips), hidden, pooled, output

    def encode(self, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]) -> Encoded:
        """As ``StableDiffusion3Pipeline.encode_prompt``."""
        del references
        length = sequence_length(plan)
        *clips, t5 = traits_of(plan.base.architecture).text_encoders
        window = int(pipeline.tokenizer_max_length)
        arguments: dict[str, Any] = {}
        receipts: list[EncodingReceipt] = []
        for side, text in texts_of(plan, plan.is_guided):
            read = [
                read_window(pipeline, plan, each, side, text, window, output_hidden_states=True)
                for each in clips
            ]
            words = read_window(pipeline, plan, t5, side, text, length)
            hidden, pooled = _joined([output for output, _ in read], words[0][0])
            arguments[f"{PREFIXES[side]}prompt_embeds"] = hidden
            arguments[f"{PREFIXES[side]}pooled_prompt_embeds"] = pooled
            receipts += (receipt for _, receipt in (*read, words))
        return Encoded(arguments, None, tuple(receipts), length)

    def latents_of(self, pipeline: Pipeline, pixels: torch.Tensor) -> torch.Tensor:
        return shifted_latents(pipeline.vae, pixels)


def _joined(clips: Sequence[Any], words: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, tokens, width): the CLIPs side by side and filled up to T5's width, then T5's; and
    the summaries side by side."""
    hidden = torch.cat([each.hidden_states[-2].to(words) for each in clips], dim=-1)
    filled = pad(hidden, (0, words.shape[-1] - hidden.shape[-1]))
    pooled = torch.cat([each.text_embeds.to(words.device) for each in clips], dim=-1)
    return torch.cat([filled, words], dim=-2), pooled
