"""The weight files of one component: plain or of a variant, whole or in shards.

diffusers names a variant ``<stem>.fp16.safetensors`` and the index of its shards
``<stem>.safetensors.index.fp16.json``; a component without the variant asked for is read from
its plain weights (diffusers 0.42, ``_add_variant`` and ``_identify_model_variants``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.errors import WeightsError

_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
FETCH = "Fetch the model again, in diffusers layout with safetensors weights."

IsFile = Callable[[Path], bool]
ReadObject = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class WeightNames:
    """What of a component's folder is loaded.

    Attributes:
        names: weight files, and the index of shards.
        variant: of these names; None for the plain ones.
        others: variants that lie beside and are not loaded; an empty text is the plain one.
    """

    names: tuple[str, ...]
    variant: str | None
    others: tuple[str, ...]


def stem_of(library: str) -> str:
    """What the library that ``model_index.json`` names calls its weights."""
    return "diffusion_pytorch_model" if library == "diffusers" else "model"


def weight_names(
    folder: Path, stem: str, variant: str | None, is_file: IsFile, read_object: ReadObject
) -> WeightNames:
    """The files a component is loaded from.

    Raises:
        WeightsError: none, only pickled ones, only other variants, both whole and in shards,
            or a shard is missing.
    """
    there = _variants(folder, stem, is_file)
    chosen = variant if variant in there else None
    if chosen not in there:
        raise _no_weights(folder, stem, sorted(each for each in there if each))
    whole, index = _spelled(stem, chosen)
    named = [folder / name for name in (whole, index) if is_file(folder / name)]
    if len(named) > 1:
        raise WeightsError(
            f"{folder.name} has both {whole} and {index}: which is meant is not said.",
            "Delete the one that you do not want.",
            folder,
        )
    names = [named[0].name]
    if names == [index]:
        names += _shards(named[0], is_file, read_object)
    others = tuple(sorted(each or "" for each in there if each != chosen))
    return WeightNames(tuple(names), chosen, others)


def _spelled(stem: str, variant: str | None) -> tuple[str, str]:
    infix = f".{variant}" if variant else ""
    return f"{stem}{infix}.safetensors", f"{stem}.safetensors.index{infix}.json"


def _variants(folder: Path, stem: str, is_file: IsFile) -> set[str | None]:
    name = re.escape(stem)
    pattern = re.compile(
        rf"{name}(?:\.(\w+))?\.safetensors|{name}\.safetensors\.index(?:\.(\w+))?\.json"
    )
    found: set[str | None] = set()
    for entry in folder.iterdir():
        match = pattern.fullmatch(entry.name)
        if match and is_file(entry):
            found.add(match[1] or match[2])
    return found


def _shards(index: Path, is_file: IsFile, read_object: ReadObject) -> list[str]:
    mapping = read_object(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise WeightsError(f"{index.name} in {index.parent.name} names no file.", FETCH, index)
    shards = sorted({str(name) for name in mapping.values()})
    for shard in shards:
        if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(
                f"{index.name} names {shard!r}, which is no file beside it.", FETCH, index
            )
        if not is_file(index.parent / shard):
            raise WeightsError(f"{index.parent.name}/{shard} is missing.", FETCH, index)
    return shards


def _no_weights(folder: Path, stem: str, variants: list[str]) -> WeightsError:
    if variants:
        listed = " and ".join(variants)
        return WeightsError(
            f"{folder.name} has only {listed} weights, and the preset does not ask for them.",
            f"Write variant: {variants[0]} into the model's preset.",
            folder,
        )
    names = sorted(entry.name for entry in folder.iterdir())
    pickled = [name for name in names if Path(name).suffix in _PICKLES]
    if pickled:
        return WeightsError(
            f"{folder.name} has only {pickled[0]}, a pickle, which can run code when loaded.",
            FETCH,
            folder,
        )
    strange = [name for name in names if name.endswith(".safetensors")]
    if strange:
        return WeightsError(
            f"{folder.name} has {strange[0]}, not {stem}.safetensors.",
            "Rename the weights you want to use to the plain name.",
            folder,
        )
    return WeightsError(f"{folder.name} has no weights.", FETCH, folder)
