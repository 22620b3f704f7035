"""Other names of a base's layers, derived from the modules it really has."""

from collections.abc import Iterator

from studio.inspection.layouts.clip import old_attention
from studio.inspection.layouts.flux import FLUX1, FLUX2
from studio.inspection.layouts.layout import Alias, Shapes
from studio.inspection.layouts.unet import stability_blocks
from studio.inspection.layouts.zimage import ZIMAGE

__all__ = ["aliases"]

_LAYOUTS = (FLUX1.aliases, FLUX2.aliases, ZIMAGE.aliases, stability_blocks, old_attention)


def aliases(modules: Shapes) -> Iterator[Alias]:
    """Every name by which tools call the layers of a component, beside diffusers' own.

    Args:
        modules: module name → shape of its weight, of one component.
    """
    for layout in _LAYOUTS:
        yield from layout(modules)
