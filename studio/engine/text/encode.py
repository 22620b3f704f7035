"""Prompt and negative prompt → embeddings, after the LoRAs (they may alter text encoders).

Equal prompts are encoded once: what was read is kept with the base it was read by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from studio.contract.base import fingerprint
from studio.contract.plan import RunPlan
from studio.engine.base.folder import Pipeline
from studio.engine.base.library_logs import listen
from studio.engine.base.resident import ResidentBase
from studio.engine.device import named_errors
from studio.engine.families import Encoded, EngineFamily
from studio.engine.lora.prove import lora_state, survey
from studio.engine.lora.switch import LoraSet
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


KEPT = 16
"""Encodings a base keeps; the one that was not asked for the longest goes."""

_NOT_READ = frozenset({"steps", "scheduler", "width", "height", "dtype"})
"""Settings that no encoder reads."""


def encode_once(
    base: ResidentBase, loras: LoraSet, plan: RunPlan, references: Sequence[Image]
) -> Encoded:
    """As ``encode``, or what it gave before for the same words in the same state.

    What the libraries said is kept with it: it holds for every run that uses the reading.

    Raises:
        As ``encode``; OutOfMemory, DeviceError.
    """
    key = _key(base, loras, plan)
    encoded = base.encodings.pop(key, None)
    if encoded is None:
        with (
            named_errors(base.device, "the prompt"),
            listen(base.places, python_warnings=False) as heard,
        ):
            encoded = encode(base.family, base.pipeline, plan, references)
        encoded = replace(encoded, said=tuple(heard))
        if len(base.encodings) >= KEPT:
            base.encodings.pop(next(iter(base.encodings)))
    base.encodings[key] = encoded
    # The pipeline gets lists of its own, whatever it does with them.
    own = {
        name: list(value) if isinstance(value, list) else value
        for name, value in encoded.arguments.items()
    }
    return replace(encoded, arguments=own)


def _key(base: ResidentBase, loras: LoraSet, plan: RunPlan) -> str:
    """Changes with the words, what shapes their reading, and every weight they pass."""
    read_by_lora = any(place.component != base.denoiser for place in loras.settings)
    settings = plan.settings.model_dump(mode="json", exclude=set(_NOT_READ))
    found = survey(base.pipeline)
    return fingerprint(
        {
            "state": found.base,
            "loras": lora_state(found.slots) if read_by_lora else "",
            "texts": [plan.prompt.text, plan.prompt.negative_text],
            "encoder": plan.prompt_encoder.value,
            "mode": plan.mode.value if plan.references else "",
            "references": [each.sha256 for each in plan.references],
            "size": _size(plan) if plan.references else [],
            "settings": {
                name: value.get("value") if isinstance(value, dict) else value
                for name, value in settings.items()
            },
        }
    )


def _size(plan: RunPlan) -> list[int]:
    return [plan.settings.width.value, plan.settings.height.value]
