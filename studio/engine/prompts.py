"""Prompt and negative prompt → embeddings, after the LoRAs (they may alter text encoders).

Clip skip follows CivitAI and A1111: 1 is the last layer, 2 the one before. Stable Diffusion
1.x normalises what it takes with the encoder's final layer norm, whichever layer it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from studio.architecture import Architecture, TextEncoder, traits_of
from studio.engine.finite import demand_finite
from studio.engine.loaders import Pipeline
from studio.errors import ContractBroken, PromptRefused, UnsupportedArchitecture
from studio.plan import RunPlan
from studio.prompt import Side
from studio.receipt import EncodingReceipt
from studio.request import PromptEncoder

_WEIGHTS_WAY_OUT = (
    "Correct the weights in the text (those of a blend must not add up to 0), "
    "or lower the LoRAs' strengths."
)
_SYNTAX_WAY_OUT = "Correct its syntax (a blend needs one weight per text), or encode it natively."


@dataclass(frozen=True, slots=True)
class Encoded:
    """Embeddings of shape (1, tokens, width), both sides equally long.

    Attributes:
        negative: None where guidance is off and the pipeline reads no negative prompt.
        clip_skip: of the encoder that made them.
        receipts: tokens really read, special tokens not counted.
    """

    prompt: torch.Tensor
    negative: torch.Tensor | None
    clip_skip: int
    receipts: tuple[EncodingReceipt, ...]


@torch.no_grad()
def encode(pipeline: Pipeline, plan: RunPlan) -> Encoded:
    """Encode ``plan.prompt.text`` and ``.negative_text`` to the letter.

    Raises:
        ContractBroken: the encoder would leave out words that the plan says are read.
        NotFinite: the embeddings are no numbers, as of a blend whose weights add up to 0.
        PromptRefused: Compel cannot read the text.
        UnsupportedArchitecture: no encoding is known for the architecture.
    """
    if plan.base.architecture not in (Architecture.MINI, Architecture.SD15):
        raise UnsupportedArchitecture(
            f"Prompts for {plan.base.architecture} cannot be encoded.", "Choose another base."
        )
    (traits,) = traits_of(plan.base.architecture).text_encoders
    skip = plan.settings.clip_skip.value if plan.settings.clip_skip else 1
    encoder = SkippingEncoder(getattr(pipeline, traits.component), skip)
    tokenizer = getattr(pipeline, traits.tokenizer)
    ways = {PromptEncoder.NATIVE: _encode_native, PromptEncoder.COMPEL: _encode_compel}
    # Stable Diffusion reads the negative prompt where guidance is above 1, and only there.
    guided = plan.settings.guidance_scale.value > 1
    texts = (plan.prompt.text, plan.prompt.negative_text if guided else None)
    encoded = ways[plan.prompt_encoder](encoder, tokenizer, traits, texts)
    for side, embeddings in zip(Side, (encoded.prompt, encoded.negative), strict=True):
        if embeddings is not None:
            demand_finite(embeddings, f"The embeddings of the {side}", _WEIGHTS_WAY_OUT)
    return encoded


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
Encode = Callable[[SkippingEncoder, Any, TextEncoder, Texts], Encoded]


def _encode_native(
    encoder: SkippingEncoder, tokenizer: Any, traits: TextEncoder, texts: Texts
) -> Encoded:
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
    return Encoded(embeddings[0], negative, encoder.clip_skip, tuple(receipts))


def _encode_compel(
    encoder: SkippingEncoder, tokenizer: Any, traits: TextEncoder, texts: Texts
) -> Encoded:
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
        return Encoded(embeddings[0], None, encoder.clip_skip, tuple(receipts))
    prompt, negative = compel.pad_conditioning_tensors_to_same_length(embeddings)
    return Encoded(prompt, negative, encoder.clip_skip, tuple(receipts))


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
