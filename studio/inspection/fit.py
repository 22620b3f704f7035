"""Whether a LoRA file fits a base's own modules, name by name and width by width.

The one place that decides where a layer goes: the plan is made with it from headers, and the
engine with it from the modules in memory, so the two cannot disagree.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.architecture import LABELS
from studio.architecture.layer_names import Rows, Shapes, Slot
from studio.inspection.decompositions import TENSORS, Decomposition, widths
from studio.inspection.fit_evidence import Unplaced, evidence_of
from studio.inspection.lora import LoraInspection
from studio.inspection.lora_module import LoraModule
from studio.inspection.places import LayerTarget, Places, component_of
from studio.inspection.twice import Copies
from studio.inspection.verdict import UNKNOWN


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
    rest = Unplaced(doubled=[path for path, times in named.items() if times > 1])
    found = _Found(inspection.copies, rest)
    fitting: list[tuple[str, LoraModule, tuple[Slot, ...]]] = []
    for module in inspection.modules:
        component = component_of(module.component, places)
        known = places.get(component)
        slots = known.find(module.name) if known else ()
        if module.decomposition is Decomposition.NORM:
            rest.norms.append(module.path)
        elif known is None or not slots:
            rest.missing.append((component, module))
        elif not _same(module, slots, known.shapes):
            rest.mismatched.append((component, module, *_whole(slots, known.shapes)))
        else:
            fitting.append((component, module, slots))
    if inspection.copies:  # what is fused stands for its parts
        fitting.sort(key=lambda each: -len(each[2]))
    for each in fitting:
        found.place(*each)
    missing = tuple(module.path for _, module in rest.missing)
    wrong = (clash[1].path for clash in rest.mismatched)
    return Fit(
        placements=tuple(found.placements),
        missing=missing,
        mismatched=tuple(_mismatch(*item) for item in rest.mismatched),
        norms=tuple(rest.norms),
        unplaced=frozenset((*missing, *wrong, *rest.norms, *inspection.unaccounted)),
        doubled=tuple(dict.fromkeys(rest.doubled)),
        repeated=found.repeated or bool(inspection.repeated),
        unaccounted=inspection.unaccounted,
        foreign=_foreign(inspection, architecture),
        evidence=(
            *evidence_of(inspection, rest, shapes, base_label),
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


@dataclass(slots=True)
class _Found:
    copies: Copies
    rest: Unplaced
    placements: list[LayerTarget] = field(default_factory=list)
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
        self.rest.doubled.extend(sorted(f"{part}.{name}" for part, name in twice))
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
