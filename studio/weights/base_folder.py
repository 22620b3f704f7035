"""A base model's folder in diffusers layout: which files are loaded, and what they hold."""

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studio.errors import HeaderError, WeightsError
from studio.inventory import Shapes
from studio.weights.files import read_header, unreadable

INDEX = "model_index.json"
MAX_JSON = 16 * 1024 * 1024
"""Bytes; the largest JSON that is read whole, a sharded model's index of tensors."""

OPTIONAL = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components a pipeline runs without; where the folder is not there they are not loaded."""

_READ_SUFFIXES = frozenset({".json", ".txt", ".model", ".jinja"})
_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
_STEMS = ("diffusion_pytorch_model", "model")
_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "Processor", "FeatureExtractor")

_FETCH = "Fetch the model again, in diffusers layout with safetensors weights."


def components_of(folder: Path) -> dict[str, str]:
    """Component → class name, of the components that are loaded.

    Raises:
        WeightsError: there is no readable ``model_index.json``.
    """
    index = _read_object(folder / INDEX)
    found = {}
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        if not isinstance(entry[1], str) or not name.isidentifier():
            continue
        if name in OPTIONAL and not (folder / name).is_dir():
            continue
        found[name] = entry[1]
    if not found:
        raise WeightsError("Its model_index.json names no component.", _FETCH, folder)
    return found


def loaded_files(folder: Path) -> tuple[str, ...]:
    """Names (``/``-separated) of every file that loading the folder reads, sorted.

    Raises:
        WeightsError: a component is missing, has only pickled weights, or lacks a shard.
    """
    names = [INDEX]
    for component, class_name in components_of(folder).items():
        names += [f"{component}/{name}" for name in _component_files(folder / component)]
        if not any(kind in class_name for kind in _WITHOUT_WEIGHTS):
            names += [f"{component}/{name}" for name in _weight_names(folder / component)]
    return tuple(sorted(set(names)))


def component_shapes(folder: Path, names: tuple[str, ...]) -> Mapping[str, Shapes]:
    """Component → tensor name → shape, from the headers of ``names``.

    Raises:
        WeightsError: a file is no safetensors or cannot be read.
    """
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in names:
        if name.endswith(".safetensors"):
            try:
                tensors = read_header(folder / name).tensors
            except HeaderError as error:
                raise WeightsError(f"{name}: {error.reason}.", _FETCH, folder) from error
            own = shapes.setdefault(name.split("/", 1)[0], {})
            own.update({tensor: info.shape for tensor, info in tensors.items()})
    return shapes


def _component_files(folder: Path) -> Iterator[str]:
    """Configuration and tokenizer files; a README or code is not loaded."""
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError as error:
        raise WeightsError(f"Its folder {folder.name} is missing.", _FETCH, folder) from error
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in entries:
        sharded = entry.name.endswith(".index.json")
        if entry.suffix in _READ_SUFFIXES and not sharded and _is_file(entry):
            yield entry.name


def _weight_names(folder: Path) -> Iterator[str]:
    found = False
    for stem in _STEMS:
        if _is_file(folder / f"{stem}.safetensors"):
            found = True
            yield f"{stem}.safetensors"
        index = folder / f"{stem}.safetensors.index.json"
        if _is_file(index):
            found = True
            yield index.name
            yield from _shards(index)
    if not found:
        raise _no_weights(folder)


def _shards(index: Path) -> list[str]:
    mapping = _read_object(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise WeightsError(f"{index.name} in {index.parent.name} names no file.", _FETCH, index)
    shards = sorted({str(name) for name in mapping.values()})
    for shard in shards:
        if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(
                f"{index.name} names {shard!r}, which is no file beside it.", _FETCH, index
            )
        if not _is_file(index.parent / shard):
            raise WeightsError(f"{index.parent.name}/{shard} is missing.", _FETCH, index)
    return shards


def _is_file(path: Path) -> bool:
    """Whether there is a file; what has its name and is none is refused, not passed over."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise unreadable(path, error) from error
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    if not regular:
        raise _no_file(path)
    return True


def _no_file(path: Path) -> WeightsError:
    return WeightsError(f"{path.parent.name}/{path.name} is no file.", _FETCH, path)


def _no_weights(folder: Path) -> WeightsError:
    names = sorted(entry.name for entry in folder.iterdir())
    pickled = [name for name in names if Path(name).suffix in _PICKLES]
    if pickled:
        return WeightsError(
            f"{folder.name} has only {pickled[0]}, a pickle, which can run code when loaded.",
            _FETCH,
            folder,
        )
    variants = [name for name in names if name.endswith(".safetensors")]
    if variants:
        return WeightsError(
            f"{folder.name} has {variants[0]}, not {' or '.join(_STEMS)}.safetensors.",
            "Rename the weights you want to use to the plain name.",
            folder,
        )
    return WeightsError(f"{folder.name} has no weights.", _FETCH, folder)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            raise _no_file(path)
        if status.st_size > MAX_JSON:
            raise WeightsError(f"{path.name} is too large.", _FETCH, path)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} is no valid JSON.", _FETCH, path) from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path.name} is no JSON object.", _FETCH, path)
    return value
