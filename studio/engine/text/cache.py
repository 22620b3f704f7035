"""Equal prompts encoded once: what was read is kept with the base it was read by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.contract.base import fingerprint
from studio.contract.plan import RunPlan
from studio.engine.base.library_logs import listen
from studio.engine.base.resident import ResidentBase
from studio.engine.device import named_errors
from studio.engine.families import Encoded
from studio.engine.lora.prove import lora_state, survey
from studio.engine.lora.switch import LoraSet
from studio.engine.text.encode import encode

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT = 16
"""Encodings a base keeps; the one that was not asked for the longest goes."""

_NOT_READ = frozenset({"steps", "scheduler", "width", "height", "dtype"})
"""Settings that no encoder reads."""


def encode_once(
    base: ResidentBase, loras: LoraSet, plan: RunPlan, references: Sequence[Image]
) -> Encoded:
    """As ``prompts.encode``, or what it gave before for the same words in the same state.

    What the libraries said is kept with it: it holds for every run that uses the reading.

    Raises:
        As ``prompts.encode``; OutOfMemory, DeviceError.
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
