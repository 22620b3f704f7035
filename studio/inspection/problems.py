"""What no base can make good: headers that rule out that the layers are computed exactly.

Found from the header, so that a plan names it; the engine asks again before it reads a weight.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from studio.inspection.adapter_config import config_problems
from studio.inspection.header import SafetensorsHeader
from studio.inspection.lora_module import LoraModule
from studio.inspection.lora_tensors import Layer, Shape

WEIGHT_DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
ALPHA_DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32")
"""Some trainers write it as a whole number."""

Pair = tuple[Layer, LoraModule]


def problems(
    header: SafetensorsHeader,
    modules: Sequence[Pair],
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
        *_first(_magnitudes(modules)),
        *_first(_biases(modules)),
        *config_problems([module for _, module in modules], style, header.metadata),
    )


def per_input(module: LoraModule, name: str, shape: Shape) -> bool | None:
    """Whether DoRA magnitudes are of a layer's inputs or of its outputs; None is neither.

    LyCORIS writes (1, in, …) or (out, 1, …); peft (out,), or (1, out, 1, 1).

    Args:
        name: the magnitudes' in the file.
    """
    count = prod(shape)
    first = shape[0] if shape else 1
    of_outputs = first == module.out_features or "lora_magnitude_vector" in name
    if count == module.out_features and of_outputs:
        return False
    if len(shape) > 1 and first == 1 and count == module.in_features:
        return True
    return None


def _first(found: Iterator[str]) -> Iterator[str]:
    """The first sentence, and how many more of its kind there are."""
    sentence = next(found, None)
    if sentence is not None:
        yield sentence
        more = sum(1 for _ in found)
        if more:
            yield f"The same is so {more} more times." if more > 1 else "The same is so once more."


def _dtypes(header: SafetensorsHeader, modules: Sequence[Pair]) -> Iterator[str]:
    for layer, _ in modules:
        for part, name in layer.tensors.items():
            alpha = part == "alpha"
            dtype = header.tensors[name].dtype
            if dtype not in (ALPHA_DTYPES if alpha else WEIGHT_DTYPES):
                what = "alpha is" if alpha else "LoRA weights are"
                yield f"Its tensor {name!r} is {dtype}, which no {what}."


def _alphas(modules: Sequence[Pair], read: bool) -> Iterator[str]:
    for layer, module in modules:
        tensor = layer.tensors.get("alpha")
        if module.scale is None and tensor is None:
            yield f"The alpha of {module.path} cannot be read from its header."
        elif module.scale is None and read:
            yield f"{tensor} is no finite number."


def _magnitudes(modules: Sequence[Pair]) -> Iterator[str]:
    for layer, module in modules:
        if module.dora:
            shape = layer.shapes["dora"]
            if per_input(module, layer.tensors["dora"], shape) is None:
                yield f"{module.path} has DoRA magnitudes of shape {shape}, which fit no axis."


def _biases(modules: Sequence[Pair]) -> Iterator[str]:
    for layer, module in modules:
        unscaled = layer.tensors.get("bias", "").endswith(".diff_b")
        if unscaled and module.scale == 0 and not module.dora:
            yield f"{module.path} has a bias beside an alpha of 0."
