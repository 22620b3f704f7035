"""The tensors of a base as the headers of its weight files tell them: shapes and dtypes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from studio.errors import HeaderError, WeightsError
from studio.inspection.tensor_info import TensorInfo
from studio.library.files import read_header
from studio.library.folder import FETCH
from studio.resolve.inventory import TensorShapes


@dataclass(frozen=True, slots=True)
class BaseTensors:
    """What the headers of a base's weight files say.

    Attributes:
        shapes: component → tensor name in diffusers → shape.
        stored: component → the dtype of most of its numbers, as headers name it.
    """

    shapes: Mapping[str, TensorShapes] = field(repr=False)
    stored: Mapping[str, str]


def component_tensors(folder: Path, names: tuple[str, ...]) -> BaseTensors:
    """What the headers of ``names`` say; nothing else of the files is read.

    Raises:
        WeightsError: a file is no safetensors or cannot be read.
    """
    found: defaultdict[str, dict[str, TensorInfo]] = defaultdict(dict)
    for name in names:
        if name.endswith(".safetensors"):
            try:
                tensors = read_header(folder / name).tensors
            except HeaderError as error:
                raise WeightsError(f"{name}: {error.reason}.", FETCH, folder) from error
            found[name.split("/", 1)[0]].update(tensors)
    return BaseTensors(
        shapes={
            component: {name: info.shape for name, info in tensors.items()}
            for component, tensors in found.items()
        },
        stored={component: mostly(tensors.values()) for component, tensors in found.items()},
    )


def mostly(tensors: Iterable[TensorInfo]) -> str:
    """The dtype of most of the numbers; of an empty component, that of nothing: ``""``."""
    numbers: Counter[str] = Counter({"": 0})
    for info in tensors:
        numbers[info.dtype] += prod(info.shape)
    return numbers.most_common(1)[0][0]
