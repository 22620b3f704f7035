"""Where each weight of a base lies in its files, for whoever wants some rows of it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.architecture import Architecture
from studio.errors import HeaderError, WeightsError
from studio.inspection.original import stored_as
from studio.library.checkpoint import layers_per_block
from studio.library.files import read_header
from studio.library.folder import FETCH, loaded_files
from studio.presets import ModelPreset


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a base by its diffusers name.

    Attributes:
        file, name: where it lies and what it is called there.
        first: the row of that at which it begins; others may be stacked with it.
        shape: its own.
    """

    file: Path
    name: str
    first: int
    shape: tuple[int, ...]


BaseTensorPlaces = Mapping[str, Mapping[str, StoredTensor]]
"""Component → tensor name in diffusers → where it lies."""


def tensors_of(preset: ModelPreset, path: Path, layout: Path | None) -> BaseTensorPlaces:
    """Where the weights of a base's modules lie; headers are read, and nothing is hashed.

    Args:
        path: where the base lies; ``layout``: of one file, the folder that says its components.

    Raises:
        WeightsError: it is not there, or cannot be read.
    """
    if layout is None:
        return _folder_tensors(path, preset.variant)
    return _checkpoint_tensors(path, layout, preset.base_architecture)


def _folder_tensors(folder: Path, variant: str | None) -> BaseTensorPlaces:
    """Of a folder in diffusers layout.

    Raises:
        WeightsError: a part is missing or cannot be read.
    """
    found: defaultdict[str, dict[str, StoredTensor]] = defaultdict(dict)
    for name in loaded_files(folder, variant).names:
        if name.endswith(".safetensors"):
            place = folder / name
            for tensor, shape in _shapes(place).items():
                found[name.partition("/")[0]][tensor] = StoredTensor(place, tensor, 0, shape)
    return found


def _checkpoint_tensors(path: Path, layout: Path, architecture: Architecture) -> BaseTensorPlaces:
    """Of one file in the original layout.

    Raises:
        WeightsError: it, or its layout, cannot be read.
    """
    places = stored_as(_shapes(path), architecture, layers_per_block(layout))
    return {
        component: {
            ours: StoredTensor(path, theirs, first, shape)
            for ours, (theirs, first, shape) in tensors.items()
        }
        for component, tensors in places.items()
    }


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        tensors = read_header(path).tensors
    except HeaderError as error:
        raise WeightsError(f"{path.name}: {error.reason}.", FETCH, path) from error
    return {name: info.shape for name, info in tensors.items()}
