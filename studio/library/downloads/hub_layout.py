"""Which files of a repository in diffusers layout are loaded, and so fetched. Pure.

The same choice as the store makes when it lists a base's files: ``model_index.json``, each
component's configuration and tokenizer files, and its weights as safetensors under their plain
names or the preset's variant. Pickles, other formats and whatever lies beside are left out,
and said.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from studio.errors import WrongFile

INDEX = "model_index.json"
OPTIONAL = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
_READ = frozenset({".json", ".txt", ".model", ".jinja"})
_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "Processor", "FeatureExtractor")


@dataclass(frozen=True, slots=True)
class Layout:
    """The files to fetch, sorted, and what is worth saying about the others."""

    files: tuple[str, ...]
    notes: tuple[str, ...]


def choose_layout(
    repository: str, names: Collection[str], index: Mapping[str, object], variant: str | None
) -> Layout:
    """The files of ``names`` that loading the model reads.

    Args:
        index: the content of its ``model_index.json``.
        variant: of the weights; a component that lacks it gives its plain ones.

    Raises:
        WrongFile: a component that is needed has no safetensors weights, or nothing has the
            variant.
    """
    chosen, left_out, met = [INDEX], [], False
    for component, library, class_name in _components(index):
        own = sorted(n for n in names if str(PurePosixPath(n).parent) == component)
        needs = not any(kind in class_name for kind in _WITHOUT_WEIGHTS)
        stem = "diffusion_pytorch_model" if library == "diffusers" else "model"
        wanted = _weights(component, stem, own, variant) if variant else []
        met = met or bool(wanted)
        weights = wanted or _weights(component, stem, own, None)
        if needs and not weights:
            if component in OPTIONAL:
                left_out.append(component)
                continue
            raise _without(repository, component, stem, own)
        chosen += [n for n in own if _is_read(n)]
        chosen += weights if needs else []
    if variant and not met:
        raise WrongFile(f"{repository} has no {variant} weights.", "Correct the preset's variant.")
    notes = []
    if left_out:
        notes.append(f"Left out, since it has no safetensors: {', '.join(left_out)}.")
    rest = len(set(names) - set(chosen))
    if rest:
        notes.append(f"{rest} other files of the repository are not needed and not fetched.")
    return Layout(tuple(sorted(set(chosen))), tuple(notes))


def _components(index: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        if isinstance(entry[1], str) and name.isidentifier():
            yield name, str(entry[0]), entry[1]


def _is_read(name: str) -> bool:
    return PurePosixPath(name).suffix in _READ and ".index." not in name


def _weights(component: str, stem: str, own: Collection[str], variant: str | None) -> list[str]:
    """The shards where there is an index, as diffusers has it, else the whole file."""
    infix = f".{variant}" if variant else ""
    start = f"{component}/{stem}"
    index = f"{start}.safetensors.index{infix}.json"
    if index in own:
        shard = re.compile(
            re.escape(start) + rf"(?:{re.escape(infix)}-\d+-of-\d+|-\d+-of-\d+{re.escape(infix)})"
            r"\.safetensors"
        )
        return [index, *(name for name in own if shard.fullmatch(name))]
    whole = f"{start}{infix}.safetensors"
    return [whole] if whole in own else []


def _without(repository: str, component: str, stem: str, own: Collection[str]) -> WrongFile:
    names = [PurePosixPath(name).name for name in own]
    variants = [match[1] for n in names if (match := re.match(rf"{stem}\.(\w+)\.safetens", n))]
    if variants:
        return WrongFile(
            f"{component} of {repository} has only {variants[0]} weights.",
            f"Write variant: {variants[0]} into the model's preset.",
        )
    pickles = [name for name in names if name.endswith((".bin", ".pt", ".ckpt"))]
    what = f"only {pickles[0]}, a pickle" if pickles else "no weights"
    return WrongFile(
        f"{component} of {repository} has {what}.",
        "Pickles can run code when they are read; choose a repository with safetensors.",
    )
