"""Reading text with Compel: its syntax, in as many windows as the longer side needs.

Each window of an encoder is read on its own. What has no weights is read bit for bit as
``CompelForSDXL`` and ``CompelForSD`` read it, but for one thing: they take SDXL's pooled
embedding from the raw text, ``++`` and brackets included. Here it is that of the words alone,
unweighted (as A1111 and ComfyUI take it), of the first window and, with ``.and()``, of the
first prompt; of a ``.blend()`` it is the blend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

import studio.resolve.compel_parser  # noqa: F401  # Compel's parser in linear time
from studio.contract.prompt import Side
from studio.contract.receipt import EncodingReceipt
from studio.engine.text.clip import ClipEncoder, TextRead, Texts
from studio.errors import ContractBroken, PromptRefused

_SYNTAX_WAY_OUT = "Correct its syntax (a blend needs one weight per text), or encode it natively."


@dataclass(frozen=True, slots=True)
class _SideRead:
    """One side by one encoder: (1, windows * tokens, width), and (1, projection width)."""

    state: torch.Tensor
    pooled: torch.Tensor | None
    receipt: EncodingReceipt


class _CompelReader:
    """Compel around one encoder."""

    def __init__(self, reader: ClipEncoder) -> None:
        from compel import Compel

        self._reader = reader
        self._compel = Compel(
            tokenizer=reader.tokenizer, text_encoder=reader.encoder, truncate_long_prompts=False
        )

    def read(self, text: str, side: Side) -> _SideRead:
        with _parser_errors(side):
            conjunction = self._compel.parse_prompt_string(text)
            _refuse_what_compel_drops(conjunction, side)
            state, ids, _ = self._compel.build_conditioning_tensor_for_conjunction(
                conjunction, return_tokenization=True
            )
        receipt = EncodingReceipt(
            encoder=self._reader.traits.component, side=side, tokens=self._count(ids)
        )
        state = state if state.ndim == 3 else state.unsqueeze(0)
        return _SideRead(state, self._pooled(conjunction.prompts[0]), receipt)

    def lengthened(self, state: torch.Tensor, tokens: int) -> torch.Tensor:
        """``state`` with windows of nothing after it, as Compel pads the shorter side."""
        missing = (tokens - state.shape[1]) // self._reader.window
        return torch.cat([state, *([self._nothing] * missing)], dim=1)

    @cached_property
    def _nothing(self) -> torch.Tensor:
        state: torch.Tensor = self._compel.build_conditioning_tensor("")
        return state if state.ndim == 3 else state.unsqueeze(0)

    def _count(self, ids: torch.Tensor) -> int:
        """Tokens between the start and the end of each window; a pad token may be a word."""
        end = self._reader.tokenizer.eos_token_id
        windows = ids.reshape(-1, self._reader.window).tolist()
        return sum(window.index(end) - 1 for window in windows)

    def _pooled(self, prompt: Any) -> torch.Tensor | None:
        from compel.prompt_parser import Blend

        if not isinstance(prompt, Blend):
            words = " ".join(fragment.text for fragment in prompt.children)
            pooled: torch.Tensor | None = self._reader.encode_window(words).pooled
            return pooled
        weights = torch.tensor(prompt.weights)
        if prompt.normalize_weights:
            weights = weights / weights.sum()
        parts = [part for part in map(self._pooled, prompt.prompts) if part is not None]
        if not parts:
            return None
        return torch.stack([part * float(w) for part, w in zip(parts, weights, strict=True)]).sum(
            0
        )


def encode_compel(readers: Sequence[ClipEncoder], texts: Texts) -> tuple[TextRead, ...]:
    """Both sides by every encoder, all equally long.

    Raises:
        PromptRefused: Compel cannot read a side.
        ContractBroken: a side uses syntax that would have no effect.
    """
    compels = [_CompelReader(reader) for reader in readers]
    sides = [
        [
            None if text is None else compel.read(text, side)
            for side, text in zip((Side.PROMPT, Side.NEGATIVE), texts, strict=True)
        ]
        for compel in compels
    ]
    tokens = max(read.state.shape[1] for pair in sides for read in pair if read is not None)
    return tuple(
        _joined(compel, prompt, negative, tokens)
        for compel, (prompt, negative) in zip(compels, sides, strict=True)
    )


def _joined(
    compel: _CompelReader, prompt: _SideRead | None, negative: _SideRead | None, tokens: int
) -> TextRead:
    assert prompt is not None  # there is always a prompt
    state = compel.lengthened(prompt.state, tokens)
    if negative is None:
        return TextRead(state, None, prompt.pooled, None, (prompt.receipt,))
    return TextRead(
        state,
        compel.lengthened(negative.state, tokens),
        prompt.pooled,
        negative.pooled,
        (prompt.receipt, negative.receipt),
    )


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
        ArithmeticError,
        RecursionError,
    ) as error:
        raise PromptRefused(
            f"Compel cannot read the {side}: {str(error)[:300]}.", _SYNTAX_WAY_OUT
        ) from error


def _refuse_what_compel_drops(conjunction: Any, side: Side) -> None:
    """Compel parses ``.swap()`` and ``withLora()`` and hands nobody their meaning."""
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
