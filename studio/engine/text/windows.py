"""A text encoder's window: what it leaves out is what the plan says it leaves out."""

from __future__ import annotations

from typing import Any

from studio.architecture import TextEncoder
from studio.contract.plan import RunPlan
from studio.contract.prompt import Side
from studio.contract.receipt import EncodingReceipt
from studio.engine.base.folder import Pipeline
from studio.engine.base.offload import device_of
from studio.errors import ContractBroken


def tokens_read(plan: RunPlan, encoder: TextEncoder, side: Side, tokens: int, room: int) -> int:
    """How many of a text's ``tokens`` the encoder reads natively, when ``room`` fit.

    All of them, but for an encoder that only sums the text up beside one that reads on: that
    one stops at its window's end, when the plan's ledger has named the rest.

    Args:
        tokens, room: special tokens, and what a template puts around the text, not counted.

    Raises:
        ContractBroken: words would be left out that the plan says are read.
    """
    if tokens <= room:
        return tokens
    planned = sum(
        entry.cut
        for entry in plan.prompt.ledger
        if (entry.encoder, entry.side) == (encoder.component, side)
    )
    if encoder.summary and planned == tokens - room:
        return room
    raise ContractBroken(
        f"The {side} has {tokens} tokens, and {room} fit into {encoder.component}.",
        "Shorten the text, or plan it again.",
    )


def read_window(
    pipeline: Pipeline,
    plan: RunPlan,
    traits: TextEncoder,
    side: Side,
    text: str,
    length: int,
    **asked: Any,
) -> tuple[Any, EncodingReceipt]:
    """The encoder's output on one window of ``length`` tokens, the special ones included.

    Args:
        asked: what else the encoder's call is given.

    Raises:
        ContractBroken: as ``tokens_read``.
    """
    encoder, tokenizer = getattr(pipeline, traits.component), getattr(pipeline, traits.tokenizer)
    special = int(tokenizer.num_special_tokens_to_add())
    whole = len(tokenizer(text, verbose=False).input_ids)
    tokens = tokens_read(plan, traits, side, whole - special, length - special)
    ids = tokenizer(
        text, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    receipt = EncodingReceipt(encoder=traits.component, side=side, tokens=tokens)
    return encoder(ids.to(device_of(encoder)), **asked), receipt
