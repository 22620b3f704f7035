"""Whether a LoRA file fits a base's own modules, name by name and width by width."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.contract import Contract
from studio.inspection.lora import LoraInspection
from studio.inspection.lora_module import LoraModule, widths

Shapes = Mapping[str, tuple[int, ...]]

NAMED = 3
"""How many layers a sentence names; all of them stand in the fields."""

_DENOISERS = ("unet", "transformer")
_WIDTH_EVIDENCE = (
    (re.compile(r"attn2[._]to_[kv]\Z"), "cross-attention"),
    (re.compile(r"encoder[._]layers[._]\d+[._]self_attn[._][qkv]_proj\Z"), "text encoder"),
)


class Mismatch(Contract):
    """A layer that both have, in different widths: (in, out, kernel height, kernel width)."""

    component: str
    module: str
    file: tuple[int, int, int, int]
    base: tuple[int, int, int, int]


class Fit(Contract):
    """What of a file finds its place in a base.

    Attributes:
        targets: component → {the layer as the file spells it: the base's module, spelled as
            in its weights}; only layers whose widths agree.
        missing: ``component.module`` of layers in the file that the base does not have.
        mismatched: layers that both have, in different widths.
        doubled: base modules that more than one layer of the file claims.
        unaccounted: tensors of the file that belong to no layer.
        evidence: sentences with both sides; empty when the file fits.
    """

    targets: dict[str, dict[str, str]]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    doubled: tuple[str, ...]
    unaccounted: tuple[str, ...]
    evidence: tuple[str, ...]

    @property
    def matched(self) -> dict[str, int]:
        """Component → layers that fit."""
        return {component: len(names) for component, names in self.targets.items()}

    @property
    def fits(self) -> bool:
        """Whether every tensor of the file has its place in the base, and there is one."""
        return bool(self.targets) and not (
            self.missing or self.mismatched or self.doubled or self.unaccounted
        )


def check_fit(
    inspection: LoraInspection, shapes: Mapping[str, Shapes], base_label: str = "the base"
) -> Fit:
    """Compare every layer of the file with ``<module>.weight`` of the base.

    Args:
        shapes: component → tensor name → shape, as in ``BaseWeights.shapes``.
        base_label: what the evidence calls the base, for example ``Mini``.
    """
    indexes = {component: _Index.of(tensors) for component, tensors in shapes.items()}
    found = _Found()
    for module in inspection.modules:
        component = _component(module.component, indexes)
        index = indexes.get(component)
        target = index.find(module.name) if index else None
        if index is None or target is None:
            found.missing.append(module)
        elif not _same(module, index.shapes[target]):
            found.mismatched.append((component, module, target, index.shapes[target]))
        else:
            found.place(component, module, target)
    return Fit(
        targets=found.targets,
        missing=tuple(f"{module.component}.{module.name}" for module in found.missing),
        mismatched=tuple(_mismatch(*item) for item in found.mismatched),
        doubled=tuple(found.doubled),
        unaccounted=inspection.unaccounted,
        evidence=tuple(_evidence(inspection, found, shapes, base_label)),
    )


_Clash = tuple[str, LoraModule, str, tuple[int, ...]]


@dataclass(slots=True)
class _Found:
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: list[LoraModule] = field(default_factory=list)
    mismatched: list[_Clash] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    taken: set[tuple[str, str]] = field(default_factory=set)

    def place(self, component: str, module: LoraModule, target: str) -> None:
        if (component, target) in self.taken:
            self.doubled.append(f"{component}.{target}")
            return
        self.taken.add((component, target))
        self.targets.setdefault(component, {})[module.name] = target


@dataclass(frozen=True, slots=True)
class _Index:
    """A component's modules by plain name (see ``_plain``) and by flattened plain name."""

    shapes: Mapping[str, tuple[int, ...]]
    plain: Mapping[str, str]
    flat: Mapping[str, str]

    @classmethod
    def of(cls, tensors: Shapes) -> "_Index":
        shapes = {
            name.removesuffix(".weight"): shape
            for name, shape in tensors.items()
            if name.endswith(".weight")
        }
        plain = {_plain(name): name for name in shapes}
        flat = {name.replace(".", "_"): module for name, module in plain.items()}
        return cls(shapes, plain, flat)

    def find(self, name: str) -> str | None:
        """The base's module for a layer as the file spells it."""
        plain = _plain(name)
        return self.plain.get(plain) or (None if "." in name else self.flat.get(plain))


def _plain(name: str) -> str:
    """A module's name without what differs between releases of the libraries.

    transformers 5 drops ``text_model.`` from CLIPTextModel, older files have it, and
    CLIPTextModelWithProjection keeps it; the first diffusers LoRAs went through attention
    processors (``attn1.processor.to_q_lora``).
    """
    name = name.removeprefix("text_model.").removeprefix("text_model_")
    if ".processor.to_" in name:
        name = name.replace(".processor.", ".")
        name = name + ".0" if name.endswith(".to_out") else name
    return name


def _component(component: str, indexes: Mapping[str, object]) -> str:
    """The base's own denoiser, where the file does not say which kind it is for."""
    if component in indexes or component != "denoiser":
        return component
    return next((name for name in _DENOISERS if name in indexes), component)


def _same(module: LoraModule, shape: tuple[int, ...]) -> bool:
    """Whether the widths agree; LyCORIS folds a convolution's kernel into its inputs."""
    inputs, outputs, kernel = widths(shape)
    if module.out_features != outputs:
        return False
    if module.in_features == inputs and module.kernel == kernel:
        return True
    folded = module.decomposition in ("loha", "lokr") and module.kernel == (1, 1)
    return folded and module.in_features == inputs * kernel[0] * kernel[1]


def _mismatch(component: str, module: LoraModule, target: str, shape: tuple[int, ...]) -> Mismatch:
    inputs, outputs, kernel = widths(shape)
    return Mismatch(
        component=component,
        module=target,
        file=(module.in_features, module.out_features, *module.kernel),
        base=(inputs, outputs, *kernel),
    )


def _evidence(
    inspection: LoraInspection, found: _Found, shapes: Mapping[str, Shapes], base: str
) -> list[str]:
    if not inspection.modules:
        return [f"The file has no LoRA layers for {base}."]
    sentences = _width_evidence(inspection.modules, shapes, base) if found.mismatched else []
    if found.mismatched and not sentences:
        sentences.append(_mismatch_sentence(found.mismatched, base))
    sentences += _absent_components(found.missing, shapes, base)
    there = [module for module in found.missing if module.component in shapes]
    if there:
        names = _some([module.name for module in there])
        do_not = "does not" if len(there) == 1 else "do not"
        sentences.append(f"{_layers(len(there))} of the file {do_not} exist in {base}: {names}.")
    if found.doubled:
        sentences.append(f"The file changes one layer twice: {_some(found.doubled)}.")
    if inspection.unaccounted:
        names = _some(inspection.unaccounted)
        sentences.append(f"Tensors of the file belong to no layer: {names}.")
    return sentences


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
    missing: Sequence[LoraModule], shapes: Mapping[str, Shapes], base: str
) -> list[str]:
    absent = sorted({module.component for module in missing} - set(shapes))
    has = ", ".join(sorted(shapes)) or "none"
    return [
        f"The file changes {name}, which {base} does not have (it has {has})." for name in absent
    ]


def _mismatch_sentence(clashes: Sequence[_Clash], base: str) -> str:
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
