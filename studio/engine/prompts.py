"""Prompt and negative prompt → embeddings, after the LoRAs (they may alter text encoders)."""

from __future__ import annotations

import torch

from studio.engine.families import Encoded, Family
from studio.engine.finite import demand_finite
from studio.engine.folder import Pipeline
from studio.plan import RunPlan

_WEIGHTS_WAY_OUT = (
    "Correct the weights in the text (those of a blend must not add up to 0), "
    "or lower the LoRAs' strengths."
)


@torch.no_grad()
def encode(family: Family, pipeline: Pipeline, plan: RunPlan) -> Encoded:
    """Encode ``plan.prompt.text`` and ``.negative_text`` to the letter.

    Raises:
        ContractBroken: the encoder would leave out words that the plan says are read.
        NotFinite: the embeddings are no numbers, as of a blend whose weights add up to 0.
        PromptRefused: the text cannot be read.
    """
    encoded = family.encode(pipeline, plan)
    for name, embeddings in encoded.arguments.items():
        if embeddings is not None:
            side = "negative" if name.startswith("negative") else "prompt"
            demand_finite(embeddings, f"The embeddings of the {side}", _WEIGHTS_WAY_OUT)
    return encoded
