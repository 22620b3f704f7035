"""How tools and a model's authors name its layers, beside how diffusers names them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

Rows = tuple[tuple[int, int], ...]
"""Ranges of a layer's output rows, end excluded, in the order in which the module has them."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One module of the base that a layer of a file changes.

    Attributes:
        module: as the base's weights spell it.
        rows: of the layer's output, which are the module's; empty means all, as they are.
    """

    module: str
    rows: Rows = ()


Shapes = Mapping[str, tuple[int, ...]]
"""Module name → the shape of its weight."""

Alias = tuple[str, tuple[Slot, ...]]
"""Another name of a layer, and the modules it stands for."""

LayerNames = Callable[[Shapes], Iterator[Alias]]
"""The modules that a component of a base has → their other names; none for another family's."""


@dataclass(frozen=True, slots=True)
class Same:
    """One layer under two names; ``#`` is a block number.

    Attributes:
        theirs: the authors' name, or that of several parts stacked in ``ours``' order.
        ours: the modules in diffusers; more than one where theirs is fused.
        swapped: the two halves of theirs lie in the other order in ours.
    """

    theirs: str
    ours: tuple[str, ...]
    swapped: bool = False


def same(theirs: str, *ours: str, swapped: bool = False) -> Same:
    return Same(theirs, ours, swapped)


@dataclass(frozen=True, slots=True)
class Layout:
    """One family's names; they hold for a base that has the module ``marker``."""

    marker: str
    names: tuple[Same, ...]

    def aliases(self, modules: Shapes) -> Iterator[Alias]:
        """The authors' names for what a base has; nothing for a base of another family."""
        if self.marker not in modules:
            return
        numbers = _numbers(modules)
        for line in self.names:
            container, mark, _ = line.ours[0].partition(".#")
            for number in numbers.get(container, ()) if mark else ("",):
                ours = [name.replace("#", number) for name in line.ours]
                if all(name in modules for name in ours):
                    yield line.theirs.replace("#", number), _slots(line, ours, modules)


FUSED = (
    same("to_qkv", "to_q", "to_k", "to_v"),
    same("to_kv", "to_k", "to_v"),
    same("to_added_qkv", "add_q_proj", "add_k_proj", "add_v_proj"),
)
"""What ``fuse_qkv_projections`` of diffusers makes of an attention's layers, whatever the family:
SimpleTuner trains and saves them so."""


def fused(modules: Shapes) -> Iterator[Alias]:
    """The names of fused attention layers, for a base that has them apart."""
    for name in modules:
        stem = name[: name.rfind(".") + 1]
        for line in FUSED:
            ours = [stem + part for part in line.ours]
            if name == ours[0] and all(part in modules for part in ours):
                yield stem + line.theirs, _slots(line, ours, modules)


def _slots(line: Same, ours: Sequence[str], modules: Shapes) -> tuple[Slot, ...]:
    if line.swapped:
        rows = modules[ours[0]][0]
        return (Slot(ours[0], ((rows // 2, rows), (0, rows // 2))),)
    if len(ours) == 1:
        return (Slot(ours[0]),)
    ends = accumulate((modules[name][0] for name in ours), initial=0)
    return tuple(Slot(name, (rows,)) for name, rows in zip(ours, pairwise(ends), strict=True))


def _numbers(modules: Shapes) -> dict[str, tuple[str, ...]]:
    """Container of blocks → its numbers, as they are written."""
    found: dict[str, set[str]] = {}
    for name in modules:
        match = re.match(r"(\w+)\.(\d+)\.", name)
        if match:
            found.setdefault(match[1], set()).add(match[2])
    return {container: tuple(sorted(numbers)) for container, numbers in found.items()}
