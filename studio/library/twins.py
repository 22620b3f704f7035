"""Files of the library that are the same, hold the same tensors, or go by nearly the same name."""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from studio.errors import HeaderError, WeightsError
from studio.library.catalogue import Holding
from studio.library.identify import Step, Stepwise, until
from studio.library.known_files import is_weights
from studio.library.store import WeightStore

Group = tuple[Holding, ...]

_ENDING = re.compile(
    r"(?:[\s._-]*(?:\(\d+\)|v\d+(?:[._]\d+)*)"
    r"|[\s._-]+(?:copy|\d{1,8}|e\d+|epoch\d+|s\d+|step\d+|fp16|bf16|fp8))$"
)
"""What a version, an epoch, a precision or a copy leaves at a name's end."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Groups of two and more.

    Attributes:
        same_file: of one SHA-256.
        same_tensors: of one AutoV3 (the tensors' own SHA-256), and more than one file's.
        near_names: of one architecture, whose names differ only in case, signs and what versions
            and copies put at the end; nothing is said of what they hold.
        problems: (path, sentence) of files that could not be read.
    """

    same_file: tuple[Group, ...]
    same_tensors: tuple[Group, ...]
    near_names: tuple[Group, ...]
    problems: tuple[tuple[str, str], ...] = ()


def find_twins(
    holdings: Sequence[Holding], store: WeightStore, cancel: threading.Event
) -> Stepwise[Twins]:
    """Compare every LoRA and base of the library.

    Only files whose tensors take the same number of bytes are read: no others can be the same.

    Raises:
        TransferCancelled: ``cancel`` was set.
    """
    files = [each for each in holdings if is_weights(each)]
    alike = [
        each for group in _groups(files, lambda file: file.held.verdict.data) for each in group
    ]
    whole: dict[str, str] = {}
    tensors: dict[str, str | None] = {}
    problems = []
    for number, each in enumerate(alike):
        yield Step(f"Comparing {each.held.path}", number, len(alike))
        try:
            hashes = store.hashes(each.held.place, until(cancel))
        except (HeaderError, WeightsError) as error:
            problems.append((each.held.path, str(error)))
            continue
        whole[each.held.key], tensors[each.held.key] = hashes.sha256, hashes.data_sha256
    read = [each for each in alike if each.held.key in whole]
    same_tensors = _groups(read, lambda file: tensors[file.held.key])
    return Twins(
        _groups(read, lambda file: whole[file.held.key]),
        tuple(group for group in same_tensors if len({whole[f.held.key] for f in group}) > 1),
        near_names(files),
        tuple(problems),
    )


def near_names(holdings: Iterable[Holding]) -> tuple[Group, ...]:
    """Groups of files that go by nearly one name; those of equal bytes are among them."""
    return _groups(holdings, lambda file: (file.held.verdict.architecture, plain(file.held.path)))


def plain(path: str) -> str:
    """What near names share; a name that is all ending keeps it."""
    name = path.rsplit("/", 1)[-1].casefold().removesuffix(".safetensors")
    while (shorter := _ENDING.sub("", name)) not in (name, ""):
        name = shorter
    return re.sub(r"[\W_]+", "", name) or name


def _groups(files: Iterable[Holding], key: Callable[[Holding], Hashable]) -> tuple[Group, ...]:
    found: defaultdict[Hashable, list[Holding]] = defaultdict(list)
    for each in files:
        found[key(each)].append(each)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)
