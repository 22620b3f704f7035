"""Reading text with CLIP text encoders in one window, with clip skip.

Clip skip follows CivitAI and A1111: 1 is the last layer, 2 the one before. Stable Diffusion
1.x normalises what it takes with the encoder's final layer norm, whichever layer it is; SDXL
takes it as it is, from both its encoders, and was trained with 2 (diffusers counts from
there: its ``clip_skip`` n is n + 2 here, and None is 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from studio.architecture import TextEncoder
from studio.contract.prompt import Side
from studio.contract.receipt import EncodingReceipt
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.engine.lora.probe import TOKENS, fixed_words
from studio.errors import ContractBroken

Texts = tuple[str, str | None]
"""The prompt and the negative prompt; None where the pipeline reads none."""


@dataclass(frozen=True, slots=True)
class TextRead:
    """What one encoder makes of both sides: (1, tokens, width), equally long.

    Attributes:
        negative: None where the pipeline reads no negative prompt.
        pooled, negative_pooled: (1, projection width); None of an encoder without projection.
        receipts: tokens really read, special tokens not counted.
    """

    prompt: torch.Tensor
    negative: torch.Tensor | None
    pooled: torch.Tensor | None
    negative_pooled: torch.Tensor | None
    receipts: tuple[EncodingReceipt, ...]


def probe_ids(tokenizer: Any, vocabulary: int) -> torch.Tensor:
    """(1, TOKENS) int64: start, arbitrary but fixed words, end, as any vocabulary has them."""
    words = fixed_words(TOKENS - 2, vocabulary - 2)
    return torch.tensor([[tokenizer.bos_token_id, *words, tokenizer.eos_token_id]])


def probe_both(pipeline: Pipeline) -> list[Any]:
    """What the two CLIPs of SDXL and Stable Diffusion 3 give for ``probe_ids``, every layer."""
    pairs = (
        (pipeline.tokenizer, pipeline.text_encoder),
        (pipeline.tokenizer_2, pipeline.text_encoder_2),
    )
    return [
        encoder(
            probe_ids(tokenizer, encoder.config.vocab_size).to(device_of(encoder)),
            output_hidden_states=True,
        )
        for tokenizer, encoder in pairs
    ]


class SkippingEncoder:
    """A CLIP text encoder whose last hidden state is that of the layer asked for.

    Has what the native way and Compel ask of a text encoder: a call, ``device``, ``dtype``.
    """

    def __init__(self, encoder: Any, clip_skip: int, normalised: bool = True) -> None:
        layers = int(encoder.config.num_hidden_layers)
        if not 1 <= clip_skip <= layers:
            raise ContractBroken(
                f"Clip skip {clip_skip} was planned, and the text encoder has {layers} layers.",
                f"Choose a clip skip from 1 to {layers}.",
            )
        self._encoder = encoder
        self.clip_skip = clip_skip
        # transformers 5.6 took the ``text_model`` level out of CLIPTextModel.
        inner = getattr(encoder, "text_model", encoder)
        self._norm: nn.Module | None = inner.final_layer_norm if normalised else None

    @property
    def device(self) -> torch.device:
        return device_of(self._encoder)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self._encoder.dtype
        return dtype

    @property
    def config(self) -> Any:
        return self._encoder.config

    def __call__(
        self, ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> Any:
        """``last_hidden_state`` (batch, tokens, width) of the layer asked for, and ``pooled``
        (batch, projection width), None of an encoder without a projection."""
        whole = self._encoder(ids, attention_mask=attention_mask, output_hidden_states=True)
        state = whole.hidden_states[-self.clip_skip]
        if self._norm is not None:
            state = self._norm(state) if self.clip_skip > 1 else whole.last_hidden_state
        return SimpleNamespace(last_hidden_state=state, pooled=getattr(whole, "text_embeds", None))


@dataclass(frozen=True, slots=True)
class ClipEncoder:
    """One text encoder of a pipeline with its tokenizer."""

    encoder: SkippingEncoder
    tokenizer: Any
    traits: TextEncoder

    @classmethod
    def of(
        cls, pipeline: Any, traits: TextEncoder, clip_skip: int, normalised: bool = True
    ) -> ClipEncoder:
        """The encoder that ``traits`` names.

        Raises:
            ContractBroken: it has fewer layers than ``clip_skip``.
        """
        encoder = SkippingEncoder(getattr(pipeline, traits.component), clip_skip, normalised)
        return cls(encoder, getattr(pipeline, traits.tokenizer), traits)

    @property
    def window(self) -> int:
        """Tokens it reads at once, the start and end tokens counted."""
        return int(self.tokenizer.model_max_length)

    def encode_window(self, text: str) -> Any:
        """``last_hidden_state`` and ``pooled`` of the first window of ``text``, padded."""
        padded = self.tokenizer(
            text,
            padding="max_length",
            max_length=self.window,
            truncation=True,
            return_tensors="pt",
        )
        masked = getattr(self.encoder.config, "use_attention_mask", False)
        mask = padded.attention_mask.to(self.encoder.device) if masked else None
        return self.encoder(padded.input_ids.to(self.encoder.device), mask)


def encode_native(readers: Sequence[ClipEncoder], texts: Texts) -> tuple[TextRead, ...]:
    """One window, exactly as the pipelines' own ``encode_prompt`` reads it.

    Raises:
        ContractBroken: a side is longer than the window.
    """
    return tuple(_read(reader, texts) for reader in readers)


def _read(reader: ClipEncoder, texts: Texts) -> TextRead:
    dtype = reader.encoder.dtype
    states: list[torch.Tensor | None] = []
    pooled: list[torch.Tensor | None] = []
    receipts: list[EncodingReceipt] = []
    for side, text in zip((Side.PROMPT, Side.NEGATIVE), texts, strict=True):
        if text is None:
            states.append(None)
            pooled.append(None)
            continue
        tokens = _demand_window(reader, text, side)
        read = reader.encode_window(text)
        states.append(read.last_hidden_state.to(dtype))
        pooled.append(read.pooled)
        receipts.append(EncodingReceipt(encoder=reader.traits.component, side=side, tokens=tokens))
    assert states[0] is not None  # there is always a prompt
    return TextRead(states[0], states[1], pooled[0], pooled[1], tuple(receipts))


def _demand_window(reader: ClipEncoder, text: str, side: Side) -> int:
    """The text's tokens without the start and end tokens, when they fit."""
    whole = len(reader.tokenizer(text).input_ids)
    if whole > reader.window:
        raise ContractBroken(
            f"The {side} has {whole} tokens with its marks, and {reader.window} fit.",
            "Shorten it, or encode it with Compel.",
        )
    return whole - int(reader.tokenizer.num_special_tokens_to_add())
