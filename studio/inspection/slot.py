"""Where a layer of a file goes in a base: a module, and which of the layer's rows."""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Placement:
    """A layer of a file with its place in a base.

    Attributes:
        layer: ``component.name`` as the inspection of the file has it.
        component: of the base.
        slots: one; or several, where the file fuses what the base has apart (``qkv``).
    """

    layer: str
    component: str
    slots: tuple[Slot, ...]
