"""Why a LoRA file does not fit a base, in sentences with both sides."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.architecture.layer_names import FUSED, Shapes, same
from studio.inspection.decompositions import widths
from studio.inspection.lora import LoraInspection
from studio.inspection.lora_module import LoraModule

NAMED = 3
"""How many layers a sentence names; all of them stand in the fields."""

_SINGLE_STREAM = same("to_qkv_mlp_proj", "to_q", "to_k", "to_v", "proj_mlp")
"""What FLUX.2 has fused and FLUX.1 apart."""
_WIDTH_EVIDENCE = (
    (re.compile(r"attn2[._]to_[kv]\Z"), "cross-attention"),
    (re.compile(r"encoder[._]layers[._]\d+[._]self_attn[._][qkv]_proj\Z"), "text encoder"),
)

Clash = tuple[str, LoraModule, str, tuple[int, ...]]
"""A layer in two widths: the base's component, the layer, and the name and the shape of what it
meets there."""


@dataclass(slots=True)
class Unplaced:
    """What of a file has no place of its own in a base.

    Attributes:
        missing: the base's component with each layer that is not in it.
        mismatched: layers that both have, in different widths.
        norms, doubled: as ``Fit`` has them; of ``doubled`` some may be there twice.
    """

    missing: list[tuple[str, LoraModule]] = field(default_factory=list)
    mismatched: list[Clash] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


def evidence_of(
    inspection: LoraInspection, rest: Unplaced, shapes: Mapping[str, Shapes], base: str
) -> list[str]:
    """Both sides of what keeps a file from fitting; empty where nothing does.

    Args:
        base: what the sentences call it.
    """
    if not inspection.modules:
        return [f"The file has no LoRA layers for {base}."]
    sentences = _width_evidence(inspection.modules, shapes, base) if rest.mismatched else []
    if rest.mismatched and not sentences:
        sentences.append(_mismatch_sentence(rest.mismatched, base))
    sentences += _absent_components(rest.missing, shapes, base)
    there = [module for component, module in rest.missing if component in shapes]
    apart = dict.fromkeys(
        whole
        for component, module in rest.missing
        if component in shapes and (whole := _fused_in(module.name, shapes[component]))
    )
    if apart:
        sentences.append(
            f"The file has apart what {base} has fused ({_some(list(apart))}); parts are not put "
            "together here."
        )
    if there:
        names = _some([module.name for module in there])
        do_not = "does not" if len(there) == 1 else "do not"
        sentences.append(f"{_layers(len(there))} of the file {do_not} exist in {base}: {names}.")
    if rest.norms:
        what = "a norm" if len(rest.norms) == 1 else f"{len(rest.norms)} norms"
        only = "only linear and convolution layers can be changed here"
        sentences.append(f"The file changes {what}, and {only}: {_some(rest.norms)}.")
    if rest.doubled:
        sentences.append(
            f"The file changes one layer twice: {_some(tuple(dict.fromkeys(rest.doubled)))}."
        )
    if inspection.unaccounted:
        names = _some(inspection.unaccounted)
        sentences.append(f"Tensors of the file belong to no whole layer: {names}.")
    return sentences


def _fused_in(name: str, shapes: Shapes) -> str | None:
    """The fused layer of a base that a layer of a file is a part of."""
    stem, _, part = name.rpartition(".")
    stems = (stem, f"{stem}.attn") if part == "proj_mlp" else (stem,)
    fused = ((line.theirs, line.ours) for line in (*FUSED, _SINGLE_STREAM))
    names = (f"{at}.{whole}" for whole, parts in fused if part in parts for at in stems)
    return next((each for each in names if f"{each}.weight" in shapes), None)


def _width_evidence(
    modules: Sequence[LoraModule], shapes: Mapping[str, Shapes], base: str
) -> list[str]:
    """Both sides' widths of the layers that tell families apart, where they differ."""
    sentences = []
    for pattern, name in _WIDTH_EVIDENCE:
        theirs = {module.in_features for module in modules if pattern.search(module.name)}
        ours = {
            shape[1]
            for tensors in shapes.values()
            for tensor, shape in tensors.items()
            if pattern.search(tensor.removesuffix(".weight")) and len(shape) == 2
        }
        if theirs and ours and not theirs <= ours:
            sentences.append(
                f"The file's {name} reads {_numbers(theirs)} features; "
                f"{base}'s reads {_numbers(ours)}."
            )
    return sentences


def _absent_components(
    missing: Sequence[tuple[str, LoraModule]], shapes: Mapping[str, Shapes], base: str
) -> list[str]:
    absent = sorted({component for component, _ in missing} - set(shapes))
    has = ", ".join(sorted(shapes)) or "none"
    return [
        f"The file changes {name}, which {base} does not have (it has {has})." for name in absent
    ]


def _mismatch_sentence(clashes: Sequence[Clash], base: str) -> str:
    _, module, target, shape = clashes[0]
    inputs, outputs, kernel = widths(shape)
    file_kernel, base_kernel = (
        f", kernel {k[0]}×{k[1]}" if module.kernel != kernel else ""
        for k in (module.kernel, kernel)
    )
    return (
        f"{_layers(len(clashes))} of another width: {target} takes {module.in_features} and gives "
        f"{module.out_features} features{file_kernel} in the file, {inputs} and {outputs}"
        f"{base_kernel} in {base}."
    )


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def _numbers(values: set[int]) -> str:
    return " or ".join(map(str, sorted(values)))
