"""Whether a LoRA file fits a base's own modules, name by name and width by width."""

from collections.abc import Mapping

from studio.contract import Contract
from studio.inspection import LoraInspection

Shapes = Mapping[str, tuple[int, ...]]


class Mismatch(Contract):
    """A layer that both have, in different widths: (in, out, kernel height, kernel width)."""

    component: str
    module: str
    file: tuple[int, int, int, int]
    base: tuple[int, int, int, int]


class Fit(Contract):
    """What of a file finds its place in a base.

    Attributes:
        targets: component → {the layer as the file spells it: the base's module name}; only
            layers whose widths agree.
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
    raise NotImplementedError
