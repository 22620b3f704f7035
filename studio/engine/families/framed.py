"""Prompts inside a template: what is read of them, and that nothing of them is cut.

Counted are the tokens that the text adds to the template around it, so the receipt says what
the encoder really got; special tokens and the template's own words are not the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from studio.architecture import traits_of
from studio.contract.plan import RunPlan
from studio.contract.prompt import Side
from studio.contract.receipt import EncodingReceipt
from studio.errors import ContractBroken

Frame = Callable[[str], str]
"""A text → what the tokenizer gets: the text with its template around it."""

PREFIXES: Mapping[Side, str] = {Side.PROMPT: "", Side.NEGATIVE: "negative_"}
"""How the pipelines' arguments for a side begin."""

_BROKEN_WAY_OUT = "Fetch the base model again, with all files of its tokenizer."


def texts_of(plan: RunPlan, guided: bool) -> Iterator[tuple[Side, str]]:
    """The prompt, and the negative prompt where guidance has a second pass to read it."""
    yield Side.PROMPT, plan.prompt.text
    if guided:
        yield Side.NEGATIVE, plan.prompt.negative_text


def sequence_length(plan: RunPlan) -> int:
    """The plan's ``max_sequence_length``.

    Raises:
        ContractBroken: it has none, so that the pipeline would choose.
    """
    length = plan.settings.max_sequence_length
    if length is None:
        raise ContractBroken(
            f"The plan does not say how many tokens {plan.base.label} reads.",
            "Make the plan again.",
        )
    return length.value


def read_framed(
    plan: RunPlan, tokenizer: Any, frame: Frame, text: str, side: Side, dropped: int = 0
) -> EncodingReceipt:
    """What is read of ``text``, when all of it is.

    Args:
        tokenizer: called as the pipeline calls it, but without a limit.
        dropped: tokens of the template that the pipeline takes off again.

    Raises:
        ContractBroken: the template changes the text, or the window is too short for both.
    """
    whole = frame(text)
    if text not in whole:
        raise ContractBroken(
            f"The template of {plan.base.label} changes the {side}.", _BROKEN_WAY_OUT
        )
    needed = _count(tokenizer, whole) - dropped
    window = sequence_length(plan)
    if needed > window:
        raise ContractBroken(
            f"The {side} has {needed} tokens with its template, and {window} fit.",
            "Shorten it, or allow a longer sequence.",
        )
    (encoder,) = traits_of(plan.base.architecture).text_encoders
    alone = _count(tokenizer, frame("")) - dropped
    return EncodingReceipt(encoder=encoder.component, side=side, tokens=needed - alone)


def demand_prefix(plan: RunPlan, tokenizer: Any, prefix: str, dropped: int) -> None:
    """Let a template pass of whose beginning the pipeline takes off exactly ``prefix``.

    Raises:
        ContractBroken: with this tokenizer it would take off more, or less.
    """
    tokens = _count(tokenizer, prefix)
    if tokens != dropped:
        raise ContractBroken(
            f"The template before the prompt has {tokens} tokens with the tokenizer of "
            f"{plan.base.label}, and the pipeline takes {dropped} off.",
            _BROKEN_WAY_OUT,
        )


def demand_passes(scale: float, second: bool, passes: int) -> float:
    """``scale``, when the denoiser was called as often as it asks for.

    Args:
        second: whether there is a second, negative pass at this scale.
        passes: the denoiser's calls in each step, as counted.

    Raises:
        ContractBroken: guidance was on where it should be off, or the reverse.
    """
    expected = 2 if second else 1
    if passes != expected:
        raise ContractBroken(
            f"At guidance {scale:g} the denoiser runs {expected} times a step; it ran {passes}.",
            "The picture is not kept; report it with the plan's fingerprint.",
        )
    return scale


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text).input_ids)
