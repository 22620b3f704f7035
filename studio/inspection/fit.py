"""Whether a LoRA file fits a base's own modules, name by name and width by width.

The one place that decides where a layer goes: the plan is made with it from headers, and the
engine with it from the modules in memory, so the two cannot disagree.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.architecture import LABELS
from studio.architecture.layer_names import FUSED, Rows, Shapes, Slot, same
from studio.inspection.decompositions import TENSORS, Decomposition, widths
from studio.inspection.lora import LoraInspection
from studio.inspection.lora_module import LoraModule
from studio.inspection.places import LayerTarget, Places, component_of
from studio.inspection.twice import Copies
from studio.inspection.verdict import UNKNOWN

NAMED = 3
"""How many layers a sentence names; all of them stand in the fields."""

_SINGLE_STREAM = same("to_qkv_mlp_proj", "to_q", "to_k", "to_v", "proj_mlp")
"""What FLUX.2 has fused and FLUX.1 apart."""
_WIDTH_EVIDENCE = (
    (re.compile(r"attn2[._]to_[kv]\Z"), "cross-attention"),
    (re.compile(r"encoder[._]layers[._]\d+[._]self_attn[._][qkv]_proj\Z"), "text encoder"),
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A layer that both have, in different widths: (in, out, kernel height, kernel width)."""

    component: str
    module: str
    file: tuple[int, int, int, int]
    base: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """What of a file finds its place in a base.

    Attributes:
        placements: every layer that fits.
        missing: ``component.module`` of layers in the file that the base does not have.
        mismatched: layers that both have, in different widths.
        norms: ``component.module`` of the norms that the file changes, which have no place: a
            LoRA's layers go around linear and convolution layers.
        unplaced: ``component.module`` of missing and mismatched layers and of norms, and the
            tensors that belong to no layer: what a waiver has to name.
        doubled: base modules that more than one layer of the file claims, and layers that the
            file has twice under one ``path``; with the same weights they are used once.
        repeated: whether the file has layers twice with the same weights, which are used once.
        unaccounted: tensors of the file that belong to no layer.
        foreign: whether the tensors say that the file was made for another family: of such a
            one layers may fit by their names and widths alone.
        evidence: sentences with both sides; empty when the file fits.
    """

    placements: tuple[LayerTarget, ...]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    norms: tuple[str, ...]
    unplaced: frozenset[str]
    doubled: tuple[str, ...]
    repeated: bool
    unaccounted: tuple[str, ...]
    foreign: bool
    evidence: tuple[str, ...]

    @property
    def matched(self) -> dict[str, int]:
        """Component → modules of the base that the file changes."""
        counts: dict[str, int] = {}
        for placement in self.placements:
            known = counts.get(placement.component, 0)
            counts[placement.component] = known + len(placement.slots)
        return counts

    @property
    def fits(self) -> bool:
        """Whether every tensor of the file has its place in the base, and there is one."""
        return bool(self.placements) and not (self.unplaced or self.doubled or self.foreign)


def check_fit(
    inspection: LoraInspection,
    shapes: Mapping[str, Shapes],
    base_label: str = "the base",
    architecture: str | None = None,
) -> Fit:
    """Compare every layer of the file with ``<module>.weight`` of the base.

    Args:
        shapes: component → tensor name → shape, as in ``BaseWeights.shapes``.
        base_label: what the evidence calls the base, for example ``Mini``.
        architecture: the base's, to be held against the verdict on the file; None is not.
    """
    places = {component: Places.of(tensors) for component, tensors in shapes.items()}
    named = Counter(module.path for module in inspection.modules)
    found = _Found(inspection.copies, doubled=[path for path, times in named.items() if times > 1])
    fitting: list[tuple[str, LoraModule, tuple[Slot, ...]]] = []
    for module in inspection.modules:
        component = component_of(module.component, places)
        known = places.get(component)
        slots = known.find(module.name) if known else ()
        if module.decomposition is Decomposition.NORM:
            found.norms.append(module.path)
        elif known is None or not slots:
            found.missing.append((component, module))
        elif not _same(module, slots, known.shapes):
            found.mismatched.append((component, module, *_whole(slots, known.shapes)))
        else:
            fitting.append((component, module, slots))
    if inspection.copies:  # what is fused stands for its parts
        fitting.sort(key=lambda each: -len(each[2]))
    for each in fitting:
        found.place(*each)
    missing = tuple(module.path for _, module in found.missing)
    wrong = (clash[1].path for clash in found.mismatched)
    return Fit(
        placements=tuple(found.placements),
        missing=missing,
        mismatched=tuple(_mismatch(*item) for item in found.mismatched),
        norms=tuple(found.norms),
        unplaced=frozenset((*missing, *wrong, *found.norms, *inspection.unaccounted)),
        doubled=tuple(dict.fromkeys(found.doubled)),
        repeated=found.repeated or bool(inspection.repeated),
        unaccounted=inspection.unaccounted,
        foreign=_foreign(inspection, architecture),
        evidence=(
            *_evidence(inspection, found, shapes, base_label),
            *_foreign_evidence(inspection, architecture, base_label),
        ),
    )


def _foreign(inspection: LoraInspection, architecture: str | None) -> bool:
    families = inspection.candidates or (inspection.architecture,)
    return architecture is not None and not {architecture, UNKNOWN}.intersection(families)


def _foreign_evidence(
    inspection: LoraInspection, architecture: str | None, base: str
) -> tuple[str, ...]:
    if architecture is None or not _foreign(inspection, architecture):
        return ()
    return (f"Such layers are not of {LABELS[architecture]}, which {base} is.",)


_Clash = tuple[str, LoraModule, str, tuple[int, ...]]


@dataclass(slots=True)
class _Found:
    copies: Copies
    placements: list[LayerTarget] = field(default_factory=list)
    missing: list[tuple[str, LoraModule]] = field(default_factory=list)
    mismatched: list[_Clash] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    taken: dict[tuple[str, str], tuple[str, Rows]] = field(default_factory=dict)
    repeated: bool = False

    def place(self, component: str, module: LoraModule, slots: tuple[Slot, ...]) -> None:
        wanted = {(component, slot.module): (module.path, slot.rows) for slot in slots}
        twice = [place for place in wanted if place in self.taken]
        if len(twice) == len(wanted) and all(
            self._same(self.taken[place], mine) for place, mine in wanted.items()
        ):
            self.repeated = True
            return
        self.doubled.extend(sorted(f"{part}.{name}" for part, name in twice))
        if not twice:
            self.taken |= wanted
            self.placements.append(LayerTarget(module.path, component, slots))

    def _same(self, one: tuple[str, Rows], other: tuple[str, Rows]) -> bool:
        """Whether two layers' rows for one module are equal: one is the other, or all of it is
        among the other's."""
        (path, rows), (other_path, other_rows) = one, other
        return (not rows and self.copies.get((path, other_path)) == other_rows) or (
            not other_rows and self.copies.get((other_path, path)) == rows
        )


def _whole(slots: tuple[Slot, ...], shapes: Shapes) -> tuple[str, tuple[int, ...]]:
    """The name and the shape of what the slots make up together."""
    first = shapes[slots[0].module]
    rows = sum(shapes[slot.module][0] for slot in slots)
    return " + ".join(slot.module for slot in slots), (rows, *first[1:])


def _same(module: LoraModule, slots: tuple[Slot, ...], shapes: Shapes) -> bool:
    """Whether the widths agree; LyCORIS folds a convolution's kernel into its inputs."""
    if len({shapes[slot.module][1:] for slot in slots}) != 1:
        return False
    inputs, outputs, kernel = widths(_whole(slots, shapes)[1])
    if module.out_features != outputs:
        return False
    if module.in_features == inputs and module.kernel == kernel:
        return True
    folded = TENSORS[module.decomposition].folds_kernel and module.kernel == (1, 1)
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
    there = [module for component, module in found.missing if component in shapes]
    apart = dict.fromkeys(
        whole
        for component, module in found.missing
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
    if found.norms:
        what = "a norm" if len(found.norms) == 1 else f"{len(found.norms)} norms"
        only = "only linear and convolution layers can be changed here"
        sentences.append(f"The file changes {what}, and {only}: {_some(found.norms)}.")
    if found.doubled:
        sentences.append(
            f"The file changes one layer twice: {_some(tuple(dict.fromkeys(found.doubled)))}."
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
