"""What no base can make good: headers that rule out that the layers are computed exactly.

Found from the header, so that a plan names it; the engine asks again before it reads a weight.
"""

from collections.abc import Iterator, Mapping, Sequence

from studio.inspection.adapter_config import config_problems
from studio.inspection.header import SafetensorsHeader
from studio.inspection.lora_module import LoraModule

WEIGHT_DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
ALPHA_DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32")
"""Some trainers write it as a whole number."""


def problems(
    header: SafetensorsHeader,
    modules: Sequence[LoraModule],
    style: str,
    alphas: Mapping[str, float] | None,
) -> tuple[str, ...]:
    """Why the file of these layers cannot be used, in sentences; empty when it can.

    Args:
        style: whose names the file has, as ``LoraInspection.format``.
        alphas: as ``inspect`` has them; None where nobody has read them.
    """
    return (
        *_first(_dtypes(header, modules)),
        *_first(_alphas(modules, alphas is not None)),
        *_first(_magnitudes(header, modules)),
        *_first(_biases(modules)),
        *config_problems(modules, style, header.metadata),
    )


def _first(found: Iterator[str]) -> Iterator[str]:
    """The first sentence, and how many more of its kind there are."""
    sentence = next(found, None)
    if sentence is not None:
        yield sentence
        more = sum(1 for _ in found)
        if more:
            yield f"The same is so {more} more times." if more > 1 else "The same is so once more."


def _dtypes(header: SafetensorsHeader, modules: Sequence[LoraModule]) -> Iterator[str]:
    for module in modules:
        for part, name in module.tensors.items():
            alpha = part == "alpha"
            dtype = header.tensors[name].dtype
            if dtype not in (ALPHA_DTYPES if alpha else WEIGHT_DTYPES):
                what = "alpha is" if alpha else "LoRA weights are"
                yield f"Its tensor {name!r} is {dtype}, which no {what}."


def _alphas(modules: Sequence[LoraModule], read: bool) -> Iterator[str]:
    for module in modules:
        tensor = module.tensors.get("alpha")
        if module.scale is None and tensor is None:
            yield f"The alpha of {module.path} cannot be read from its header."
        elif module.scale is None and read:
            yield f"{tensor} is not a finite number."


def _magnitudes(header: SafetensorsHeader, modules: Sequence[LoraModule]) -> Iterator[str]:
    for module in modules:
        if module.dora:
            shape = header.tensors[module.tensors["dora"]].shape
            if module.magnitudes_of_inputs(shape) is None:
                yield f"{module.path} has DoRA magnitudes of shape {shape}, which fit no axis."


def _biases(modules: Sequence[LoraModule]) -> Iterator[str]:
    for module in modules:
        if module.bias and not module.bias_is_scaled and module.scale == 0 and not module.dora:
            yield f"{module.path} has a bias beside an alpha of 0."
