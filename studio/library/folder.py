"""A base model's folder in diffusers layout: which files are loaded."""

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.architecture import PIPELINES, GuidanceKind
from studio.architecture.diffusers_folder import (
    ADAPTER,
    INDEX,
    OPTIONAL,
    OTHER_TEMPLATE,
    RENAMED_WEIGHTS,
    Component,
    NoWeights,
    WeightNames,
    components,
    is_read,
    weights_of,
)
from studio.errors import WeightsError
from studio.library.files import unreadable

MAX_JSON = 16 * 1024 * 1024
"""Bytes; the largest JSON that is read whole, a sharded model's index of tensors."""
FETCH = "Fetch the model again, in diffusers layout with safetensors weights."


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """What loading a folder reads.

    Attributes:
        names: ``/``-separated, sorted.
        unused: component → variants of its weights that lie there and are not read; an empty
            text is the plain one.
    """

    names: tuple[str, ...]
    unused: Mapping[str, tuple[str, ...]]


def components_of(folder: Path) -> dict[str, str]:
    """Component → class name, of the components that are loaded.

    Raises:
        WeightsError: there is no readable ``model_index.json``.
    """
    return {each.name: each.class_name for each in _components(folder)}


def _components(folder: Path) -> list[Component]:
    found = [
        each
        for each in components(read_object(folder / INDEX))
        if each.name not in OPTIONAL or (folder / each.name).is_dir()
    ]
    if not found:
        raise WeightsError("Its model_index.json names no component.", FETCH, folder)
    return found


def ignores_guidance(folder: Path) -> bool:
    """Whether the folder's own configuration says that no guidance scale changes anything.

    FLUX.2 Klein says ``is_distilled``; FLUX.1 [schnell] has a transformer without the input
    that the scale would go into.

    Raises:
        WeightsError: a file that says so is not readable.
    """
    index = read_object(folder / INDEX)
    if index.get("is_distilled") is True:
        return True
    pipeline = PIPELINES.get(str(index.get("_class_name")))
    if pipeline is None or pipeline.guidance is not GuidanceKind.DISTILLED:
        return False
    return read_object(folder / "transformer" / "config.json").get("guidance_embeds") is False


def loaded_files(folder: Path, variant: str | None = None) -> FolderFiles:
    """Every file that loading the folder reads.

    Args:
        variant: of the weights, for example ``fp16``; components that lack it are read from
            their plain weights, as diffusers does.

    Raises:
        WeightsError: a component is missing, has only pickled weights, lacks a shard, or
            nothing has the variant.
    """
    names, unused, found = [INDEX], {}, False
    for component in _components(folder):
        place = folder / component.name
        names += [f"{component.name}/{name}" for name in component_files(place)]
        _refuse_aside(place, component)
        if component.has_weights:
            weights = _weights(place, component.stem, variant)
            names += [f"{component.name}/{name}" for name in _weight_files(place, weights)]
            found = found or weights.variant == variant
            if weights.others:
                unused[component.name] = weights.others
    if variant is not None and not found:
        raise WeightsError(
            f"No component of {folder.name} has {variant} weights.",
            "Correct the preset's variant, or leave it out.",
            folder,
        )
    return FolderFiles(tuple(sorted(set(names))), unused)


def _refuse_aside(folder: Path, component: Component) -> None:
    """What would be loaded beside the files that a base is known by, in its own way or theirs.

    Raises:
        WeightsError: naming what asks for it.
    """
    if component.library != "transformers":
        return
    asks = next((each for each in (ADAPTER, OTHER_TEMPLATE) if (folder / each).exists()), None)
    config = folder / "config.json"
    if asks is None and component.has_weights and _is_file(config):
        asks = (
            f"{RENAMED_WEIGHTS} of config.json" if RENAMED_WEIGHTS in read_object(config) else None
        )
    if asks is not None:
        raise WeightsError(
            f"{asks} in {folder.name} makes transformers read more than the base's own files, and "
            "no hash would hold that.",
            "Take it out of the folder, or merge what it adds into the base's weights.",
            folder,
        )


def _weights(folder: Path, stem: str, variant: str | None) -> WeightNames:
    """Of a component's folder.

    Raises:
        WeightsError: none, only pickled ones, only other variants, or both whole and in shards.
    """
    found = weights_of(stem, [entry.name for entry in folder.iterdir()], variant)
    if isinstance(found, NoWeights):
        raise _no_weights(folder, stem, found)
    if found.whole is not None and found.shards is not None:
        raise WeightsError(
            f"{folder.name} has both {found.whole} and {found.shards}: "
            "which is meant is not said.",
            "Delete the one that you do not want.",
            folder,
        )
    return found


def _weight_files(folder: Path, weights: WeightNames) -> list[str]:
    """Names of the files, each of which is there.

    Raises:
        WeightsError: a shard is missing, or what has a file's name is none.
    """
    if weights.whole is not None:
        names = [weights.whole]
    else:
        assert weights.shards is not None  # one of both
        names = [weights.shards, *_shards(folder / weights.shards)]
    for name in names:
        if not _is_file(folder / name):
            raise WeightsError(f"{folder.name}/{name} is missing.", FETCH, folder)
    return names


def _shards(index: Path) -> list[str]:
    mapping = read_object(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise WeightsError(f"{index.name} in {index.parent.name} names no file.", FETCH, index)
    shards = sorted({str(name) for name in mapping.values()})
    for shard in shards:
        if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(
                f"{index.name} names {shard!r}, which is not a file beside it.", FETCH, index
            )
    return shards


def _no_weights(folder: Path, stem: str, found: NoWeights) -> WeightsError:
    if found.variants:
        listed = " and ".join(found.variants)
        return WeightsError(
            f"{folder.name} has only {listed} weights, and the preset does not ask for them.",
            f"Write variant: {found.variants[0]} into the model's preset.",
            folder,
        )
    if found.pickle:
        return WeightsError(
            f"{folder.name} has only {found.pickle}, a pickle, which can run code when loaded.",
            FETCH,
            folder,
        )
    if found.strange:
        return WeightsError(
            f"{folder.name} has {found.strange}, not {stem}.safetensors.",
            "Rename the weights you want to use to the plain name.",
            folder,
        )
    return WeightsError(f"{folder.name} has no weights.", FETCH, folder)


def component_files(folder: Path) -> Iterator[str]:
    """Configuration and tokenizer files; a README or code is not loaded."""
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError as error:
        raise WeightsError(f"Its folder {folder.name} is missing.", FETCH, folder) from error
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in entries:
        if is_read(entry.name) and _is_file(entry):
            yield entry.name


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
    return WeightsError(f"{path.parent.name}/{path.name} is no file.", FETCH, path)


def read_object(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            raise _no_file(path)
        if status.st_size > MAX_JSON:
            raise WeightsError(f"{path.name} is too large.", FETCH, path)
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} is not valid JSON.", FETCH, path) from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path.name} is not a JSON object.", FETCH, path)
    return value
