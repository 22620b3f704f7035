"""Reading text with a CLIP text encoder: natively or with Compel, with clip skip.

Clip skip follows CivitAI and A1111: 1 is the last layer, 2 the one before. Stable Diffusion
1.x normalises what it takes with the encoder's final layer norm, whichever layer it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from studio.architecture import TextEncoder
from studio.engine.probing import TOKENS, fixed_words
from studio.errors import ContractBroken, PromptRefused
from studio.prompt import Side
from studio.receipt import EncodingReceipt

_SYNTAX_WAY_OUT = "Correct its syntax (a blend needs one weight per text), or encode it natively."


@dataclass(frozen=True, slots=True)
class TextRead:
    """Embeddings of shape (1, tokens, width), both sides equally long.

    Attributes:
        negative: None where the pipeline reads no negative prompt.
        receipts: tokens really read, special tokens not counted.
    """

    prompt: torch.Tensor
    negative: torch.Tensor | None
    receipts: tuple[EncodingReceipt, ...]


def probe_ids(tokenizer: Any, vocabulary: int) -> torch.Tensor:
    """(1, TOKENS) int64: start, arbitrary but fixed words, end, as any vocabulary has them."""
    words = fixed_words(TOKENS - 2, vocabulary - 2)
    return torch.tensor([[tokenizer.bos_token_id, *words, tokenizer.eos_token_id]])


class SkippingEncoder:
    """A CLIP text encoder whose last hidden state is that of an earlier layer.

    Has what the native way and Compel ask of a text encoder: a call, ``device``, ``dtype``.
    """

    def __init__(self, encoder: Any, clip_skip: int) -> None:
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
        self._norm: nn.Module = inner.final_layer_norm

    @property
    def device(self) -> torch.device:
        device: torch.device = self._encoder.device
        return device

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
        """``last_hidden_state`` (batch, tokens, width) of the layer asked for, normalised."""
        if self.clip_skip == 1:
            return self._encoder(ids, attention_mask=attention_mask)
        states = self._encoder(
            ids, attention_mask=attention_mask, output_hidden_states=True
        ).hidden_states
        return SimpleNamespace(last_hidden_state=self._norm(states[-self.clip_skip]))


Texts = tuple[str, str | None]


def encode_native(
    encoder: SkippingEncoder, tokenizer: Any, traits: TextEncoder, texts: Texts
) -> TextRead:
    """One window, exactly as ``StableDiffusionPipeline.encode_prompt`` reads it."""
    window = int(tokenizer.model_max_length)
    embeddings: list[torch.Tensor] = []
    receipts: list[EncodingReceipt] = []
    for side, text in zip((Side.PROMPT, Side.NEGATIVE), texts, strict=True):
        if text is None:
            continue
        whole = tokenizer(text).input_ids
        if len(whole) > window:
            raise ContractBroken(
                f"The {side} has {len(whole)} tokens with its marks, and {window} fit.",
                "Shorten it, or encode it with Compel.",
            )
        padded = tokenizer(
            text, padding="max_length", max_length=window, truncation=True, return_tensors="pt"
        )
        masked = getattr(encoder.config, "use_attention_mask", False)
        mask = padded.attention_mask.to(encoder.device) if masked else None
        state = encoder(padded.input_ids.to(encoder.device), mask).last_hidden_state
        embeddings.append(state.to(encoder.dtype))
        read = len(whole) - tokenizer.num_special_tokens_to_add()
        receipts.append(EncodingReceipt(encoder=traits.component, side=side, tokens=read))
    negative = embeddings[1] if len(embeddings) > 1 else None
    return TextRead(embeddings[0], negative, tuple(receipts))


def encode_compel(
    encoder: SkippingEncoder, tokenizer: Any, traits: TextEncoder, texts: Texts
) -> TextRead:
    """Compel's syntax, in as many windows as the longer side needs."""
    from compel import Compel

    compel = Compel(tokenizer=tokenizer, text_encoder=encoder, truncate_long_prompts=False)
    embeddings: list[torch.Tensor] = []
    receipts: list[EncodingReceipt] = []
    for side, text in zip((Side.PROMPT, Side.NEGATIVE), texts, strict=True):
        if text is None:
            continue
        with _parser_errors(side):
            _refuse_what_compel_drops(compel, text, side)
            embedding, ids = compel.build_conditioning_tensor(text, return_tokenization=True)
        embeddings.append(embedding if embedding.ndim == 3 else embedding.unsqueeze(0))
        special = torch.tensor(tokenizer.all_special_ids, device=ids.device)
        read = int((~torch.isin(ids, special)).sum())
        receipts.append(EncodingReceipt(encoder=traits.component, side=side, tokens=read))
    if len(embeddings) == 1:
        return TextRead(embeddings[0], None, tuple(receipts))
    prompt, negative = compel.pad_conditioning_tensors_to_same_length(embeddings)
    return TextRead(prompt, negative, tuple(receipts))


@contextmanager
def _parser_errors(side: Side) -> Iterator[None]:
    """Compel reads through pyparsing, and turns weights into numbers as it goes."""
    from compel.prompt_parser import PromptParser
    from pyparsing import ParseBaseException

    try:
        yield
    except (
        PromptParser.ParsingException,
        ParseBaseException,
        ValueError,
        RecursionError,
    ) as error:
        raise PromptRefused(
            f"Compel cannot read the {side}: {str(error)[:300]}.", _SYNTAX_WAY_OUT
        ) from error


def _refuse_what_compel_drops(compel: Any, text: str, side: Side) -> None:
    """Compel parses ``.swap()`` and ``withLora()`` and hands nobody their meaning."""
    conjunction = compel.parse_prompt_string(text)
    if not conjunction.prompts:
        raise PromptRefused(f"Compel finds no text in the {side}.", _SYNTAX_WAY_OUT)
    swaps = any(
        getattr(prompt, "wants_cross_attention_control", False) for prompt in conjunction.prompts
    )
    if swaps or conjunction.lora_weights:
        word = ".swap()" if swaps else "withLora()"
        raise ContractBroken(
            f"The {side} uses Compel's {word}, which has no effect in this pipeline.",
            f"Take {word} out; LoRAs are chosen beside the prompt.",
        )
