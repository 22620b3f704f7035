"""What a base is computed in: the user says it, else the studio, else the preset, else nobody."""

from studio.contract.origin import Origin, Precision
from studio.contract.placement import Dtype
from studio.presets import ModelPreset
from studio.resolve.memory import MemoryRules, StoredWeights, automatic_dtype


def choose_precision(
    asked: Dtype | None,
    memory: MemoryRules | None,
    model: ModelPreset,
    weights: StoredWeights,
    *,
    held: bool = False,
) -> Precision:
    """The dtype with its origin. It depends on no LoRA, so that a base runs in one dtype with
    and without them.

    Args:
        asked: by the request.
        held: by a comparison, which asks in the user's place.
        memory: with what the studio's settings say; None where nobody could look at the device.
    """
    if asked is not None and held:
        said = "The comparison holds it."
        return Precision(value=asked, origin=Origin.COMPARISON, reason=said)
    if asked is not None:
        return Precision(value=asked, origin=Origin.USER, reason="You chose it.")
    if memory is not None and memory.dtype is not None:
        said = f"DTYPE is set to {memory.dtype}."
        return Precision(value=memory.dtype, origin=Origin.STUDIO, reason=said)
    if model.settings.dtype is not None:
        said = "The model's preset names it."
        own = model.settings.dtype
        return Precision(value=own, origin=Origin.MODEL, slug=model.slug, reason=said)
    value, why = automatic_dtype(memory, weights)
    return Precision(value=value, origin=Origin.AUTOMATIC, reason=why)
