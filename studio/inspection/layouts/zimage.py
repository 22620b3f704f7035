"""Z-Image as its authors, ComfyUI and kohya-ss name its layers (diffusers'
``convert_z_image_transformer_checkpoint_to_diffusers``)."""

from studio.inspection.layouts.layout import Layout, Same, same

_CONTAINERS = ("layers", "noise_refiner", "context_refiner")


def _blocks(container: str) -> tuple[Same, ...]:
    ours = f"{container}.#.attention."
    return (
        same(f"{container}.#.attention.qkv", ours + "to_q", ours + "to_k", ours + "to_v"),
        same(f"{container}.#.attention.out", ours + "to_out.0"),
    )


ZIMAGE = Layout(
    marker="noise_refiner.0.attention.to_q",
    names=(
        *(line for container in _CONTAINERS for line in _blocks(container)),
        same("x_embedder", "all_x_embedder.2-1"),
        same("final_layer.linear", "all_final_layer.2-1.linear"),
        same("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
    ),
)
