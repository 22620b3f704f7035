"""Which files of a repository in diffusers layout are fetched: those that are loaded."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from studio.architecture.diffusers_folder import (
    INDEX,
    OPTIONAL,
    Component,
    NoWeights,
    WeightNames,
    components,
    is_read,
    shards_of,
    weights_of,
)
from studio.library.downloads.errors import WrongFile


@dataclass(frozen=True, slots=True)
class HubFiles:
    """The files to fetch, sorted, and what is worth saying about the others."""

    files: tuple[str, ...]
    notes: tuple[str, ...]


def choose_layout(
    repository: str, names: Collection[str], index: Mapping[str, object], variant: str | None
) -> HubFiles:
    """The files of ``names`` that loading the model reads.

    Args:
        index: the content of its ``model_index.json``.
        variant: of the weights; a component that lacks it gives its plain ones.

    Raises:
        WrongFile: a component that is needed has no safetensors weights, or nothing has the
            variant.
    """
    chosen, left_out, met = {INDEX}, [], False
    inside: defaultdict[str, list[str]] = defaultdict(list)
    for path in names:
        folder, _, name = path.rpartition("/")
        inside[folder].append(name)
    for component in components(index):
        own = inside[component.name]
        files = {name for name in own if is_read(name)}
        if component.has_weights:
            found = weights_of(component.stem, own, variant)
            if isinstance(found, NoWeights):
                if component.name in OPTIONAL:
                    left_out.append(component.name)
                    continue
                raise _without(repository, component, found)
            met = met or found.variant == variant
            files.update(_files(component, found, own))
        chosen |= {f"{component.name}/{name}" for name in files}
    if variant and not met:
        raise WrongFile(f"{repository} has no {variant} weights.", "Correct the preset's variant.")
    notes = []
    if left_out:
        notes.append(f"Left out, since it has no safetensors: {', '.join(left_out)}.")
    rest = len(set(names) - chosen)
    if rest:
        notes.append(f"{rest} other files of the repository are not needed and not fetched.")
    return HubFiles(tuple(sorted(chosen)), tuple(notes))


def _files(component: Component, found: WeightNames, own: Collection[str]) -> Iterator[str]:
    """The shards where there is an index, as diffusers has it, else the whole file."""
    if found.shards is not None:
        yield found.shards
        yield from shards_of(component.stem, own, found.variant)
    elif found.whole is not None:
        yield found.whole


def _without(repository: str, component: Component, found: NoWeights) -> WrongFile:
    if found.variants:
        return WrongFile(
            f"{component.name} of {repository} has only {found.variants[0]} weights.",
            f"Write variant: {found.variants[0]} into the model's preset.",
        )
    what = f"only {found.pickle}, a pickle" if found.pickle else "no weights"
    return WrongFile(
        f"{component.name} of {repository} has {what}.",
        "Pickles can run code when they are read; choose a repository with safetensors.",
    )
