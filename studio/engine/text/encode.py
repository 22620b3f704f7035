"""Prompt and negative prompt → embeddings, after the LoRAs (they may alter text encoders)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.families import Encoded, EngineFamily
from studio.engine.run.numbers import demand_finite, raw_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

_WEIGHTS_WAY_OUT = (
    "Correct the weights in the text (those of a blend must not add up to 0), "
    "or lower the LoRAs' strengths."
)


@torch.no_grad()
def encode(
    family: EngineFamily, pipeline: Pipeline, plan: RunPlan, references: Sequence[Image]
) -> Encoded:
    """Encode ``plan.prompt.text`` and ``.negative_text`` to the letter.

    Raises:
        ContractBroken: the encoder would leave out words that the plan says are read.
        NotFinite: the embeddings are no numbers, as of a blend whose weights add up to 0.
        PromptRefused: the text cannot be read.
    """
    encoded = family.encode(pipeline, plan, references)
    digest = hashlib.sha256()
    for name, value in sorted(encoded.arguments.items()):
        side = "negative" if name.startswith("negative") else "prompt"
        for embeddings in _tensors(value):
            demand_finite(embeddings, f"The embeddings of the {side}", _WEIGHTS_WAY_OUT)
            digest.update(f"{name} {embeddings.dtype} {tuple(embeddings.shape)}\n".encode())
            digest.update(raw_bytes(embeddings))
    return replace(encoded, sha256=digest.hexdigest())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of an argument: itself, or those of a list (Z-Image's, one per picture)."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, torch.Tensor))
