"""A base model in one ``.safetensors`` file, in the original layout of SD 1.5 or SDXL.

Such a file holds weights alone. Configurations and tokenizers come from a layout: a folder in
diffusers layout, of which the weights are not read. The studio has one for each architecture.
"""

from pathlib import Path

from studio.architecture import TRAITS, Architecture
from studio.architecture.diffusers_folder import INDEX, OPTIONAL
from studio.errors import HeaderError, WeightsError
from studio.inspection.original import (
    Training,
    component_of,
    diffusers_shapes,
    missing_parts,
    single_file_architectures,
    training,
)
from studio.library.base_headers import BaseTensors, mostly
from studio.library.files import read_header
from studio.library.folder import component_files, components_of, read_object
from studio.settings import BUILT_IN_PRESETS

LAYOUTS = BUILT_IN_PRESETS / "layouts"
"""One folder for each architecture: the configurations of the published base."""

SCHEDULER = "scheduler/scheduler_config.json"

_FETCH = "Fetch the checkpoint again, or another one that is whole."


def built_in_layout(architecture: Architecture) -> Path:
    return LAYOUTS / architecture.value


def refuse_single_file(path: Path, architecture: Architecture) -> None:
    """Nothing, where the architecture's bases may be one file.

    Raises:
        WeightsError: naming those that may.
    """
    if architecture not in single_file_architectures():
        known = " and ".join(TRAITS[each].label for each in single_file_architectures())
        raise WeightsError(
            f"{path.name} is one file; single files are read for {known} only.",
            "Put the model there as a folder in diffusers layout.",
            path,
        )


def layout_components(layout: Path) -> dict[str, str]:
    """Component → class name, of what a checkpoint and its layout make together.

    Raises:
        WeightsError: the layout has no readable index.
    """
    # diffusers takes no safety checker from a single file, nor what belongs to one.
    found = components_of(layout)
    return {name: kind for name, kind in found.items() if name not in OPTIONAL}


def layout_files(layout: Path) -> tuple[str, ...]:
    """Names of the layout's files that loading reads, sorted; no weights among them.

    Raises:
        WeightsError: the layout is not there or lacks a component.
    """
    if not layout.is_dir():
        raise WeightsError(
            f"The folder of its configurations, {layout.name}, is not there.",
            "Put it there, or leave config out of the preset: the studio has one.",
            layout,
        )
    names = [INDEX]
    for component in layout_components(layout):
        names += [f"{component}/{name}" for name in component_files(layout / component)]
    return tuple(sorted(names))


def checkpoint_tensors(path: Path, layout: Path, architecture: Architecture) -> BaseTensors:
    """What the file's header says; nothing else of it is read.

    Raises:
        WeightsError: no safetensors file, another kind of file, one that lacks a part, or one
            that says it has to be sampled otherwise than its layout does.
    """
    try:
        header = read_header(path)
    except HeaderError as error:
        raise WeightsError(f"{path.name}: {error.reason}.", _FETCH, path) from error
    tensors = header.tensors
    missing = missing_parts(tensors, architecture)
    if missing:
        raise WeightsError(
            f"{path.name} holds no {' and no '.join(missing)} "
            f"of a {TRAITS[architecture].label} checkpoint.",
            "Use a checkpoint with all its parts, or a folder in diffusers layout.",
            path,
        )
    _refuse_other_training(path, layout, training(tensors, header.metadata))
    shapes = diffusers_shapes(
        {name: info.shape for name, info in tensors.items()},
        architecture,
        layers_per_block(layout),
    )
    parts = {name: component_of(name, architecture) for name in tensors}
    stored = {
        part: mostly(info for name, info in tensors.items() if parts[name] == part)
        for part in shapes
    }
    return BaseTensors(shapes, stored)


def _refuse_other_training(path: Path, layout: Path, said: Training) -> None:
    """Sampled for another prediction than it was trained for, a model gives noise."""
    if said.v_prediction is None and said.zero_snr is None:
        return
    config = read_object(layout / SCHEDULER)
    wanted = {}
    if said.v_prediction and config.get("prediction_type") != "v_prediction":
        wanted[said.v_prediction] = 'prediction_type "v_prediction"'
    if said.zero_snr and config.get("rescale_betas_zero_snr") is not True:
        wanted[said.zero_snr] = "rescale_betas_zero_snr true"
    if wanted:
        raise WeightsError(
            f"{path.name} says by {' and '.join(wanted)} how it was trained, and its "
            "configurations sample it otherwise: it would make noise.",
            "Give the preset a config, a folder in diffusers layout whose "
            f"{SCHEDULER} has {' and '.join(wanted.values())}.",
            path,
        )


def layers_per_block(layout: Path) -> int:
    """Of the UNet, from its configuration.

    Raises:
        WeightsError: it does not say.
    """
    config = layout / "unet" / "config.json"
    layers = read_object(config).get("layers_per_block")
    if not isinstance(layers, int) or layers < 1:
        raise WeightsError(
            f"{layout.name}/unet/config.json names no layers_per_block.",
            "Correct the preset's config, or leave it out: the studio has one.",
            layout,
        )
    return layers
