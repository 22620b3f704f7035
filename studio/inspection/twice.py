"""Layers that a file has twice, under two namings: used once where their weights are equal.

Trainers and converters write a fused layer beside its parts, or one layer under two prefixes.
Which names mean one layer, only a base can say (``fit``); here is told which layers are equal.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.architecture.layer_names import FUSED, Rows
from studio.inspection.decompositions import Decomposition
from studio.inspection.header import SafetensorsHeader
from studio.inspection.lora_module import LoraModule
from studio.inspection.tensor_info import DTYPE_BITS, TensorInfo

Read = Callable[[TensorInfo, int], bytes]
"""(tensor, most bytes) → its first bytes, as the file holds them."""
Copies = Mapping[tuple[str, str], Rows]
"""(layer, another of the file) → the rows of the other's outputs that are the layer's; empty rows
are all of them."""

_HEAD = 64
"""Bytes of a layer that tell it from most others, so that few are read whole."""
_MOST = 16
"""Layers of one head that are compared: a fused one, its parts, and room."""
_FUSED = re.compile(r"(.*?[._])(to_qkv|qkv|to_kv|to_added_qkv)\Z")
_PARTS = {line.theirs: line.ours for line in FUSED} | {"qkv": FUSED[0].ours}
_STACKED = {Decomposition.LORA: "up", Decomposition.FULL: "diff"}
"""The part whose rows are the layer's outputs."""


@dataclass(frozen=True, slots=True)
class Twice:
    """What a file has twice.

    Attributes:
        modules: its layers, those that are equal under one ``path`` once.
        equal: paths of layers that others of the file say again.
        unequal: of layers that others of the file contradict.
        unread: of those of which only the header is known.
        leftovers: of parts beside what they are fused into, which were never trained.
    """

    modules: tuple[LoraModule, ...]
    copies: Copies
    equal: tuple[str, ...] = ()
    unequal: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def evidence(self) -> tuple[str, ...]:
        """What is said of them beside the verdict."""
        said = []
        if self.equal:
            said.append(f"{_some(self.equal)} twice, with the same weights: they are used once.")
        if self.leftovers:
            said.append(
                f"{_some(self.leftovers)} beside what they are fused into: they add nothing, "
                "and are left out."
            )
        if self.unread:
            said.append(f"{_some(self.unread)} twice; its header does not tell whether equal.")
        return tuple(said)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why no base can take the file."""
        return (f"{_some(self.unequal)} twice, with other weights.",) if self.unequal else ()


def find_twice(
    modules: Sequence[LoraModule], header: SafetensorsHeader, read: Read | None, mixed: bool
) -> Twice:
    """What of a file's layers stands there twice.

    Args:
        read: None where only the header is there.
        mixed: whether the file has the namings of several tools.
    """
    of = None if read is None else _Bytes(header, read)
    modules, leftovers = _without_leftovers(modules, of)
    times = Counter(module.path for module in modules)
    doubled = [path for path, count in times.items() if count > 1]
    fused = {path: parts for path in times if (parts := _parts_of(path, times))}
    if not (doubled or fused or mixed):
        return Twice(tuple(modules), {}, leftovers=leftovers)
    if of is None:
        return Twice(tuple(modules), {}, unread=(*doubled, *fused))
    first = {module.path: module for module in reversed(modules)}
    unlike = {
        each.path
        for each in modules
        if times[each.path] > 1 and of.rows(each, first[each.path]) != ()
    }
    equal = set(doubled) - unlike
    copies = dict(_copies(list(first.values()), of))
    for path, parts in fused.items():
        rows = [copies.get((part, path)) for part in parts]
        if None not in rows and rows == sorted(set(rows)):  # type: ignore[type-var]  # none is None
            equal.add(path)
    return Twice(
        modules=tuple(m for m in modules if m is first[m.path] or m.path not in equal),
        copies=copies,
        equal=tuple(sorted(equal)),
        unequal=tuple(path for path in (*doubled, *fused) if path not in equal),
        leftovers=leftovers,
    )


def _parts_of(path: str, known: Container[str]) -> tuple[str, ...]:
    """The layers of the file that a fused one of it stands for."""
    match = _FUSED.match(path)
    parts = [match[1] + part for part in _PARTS[match[2]]] if match else []
    return tuple(part for part in parts if part in known)


def _without_leftovers(
    modules: Sequence[LoraModule], of: "_Bytes | None"
) -> tuple[Sequence[LoraModule], tuple[str, ...]]:
    """Without the parts of a fused layer that were never trained, and their paths: diffusers
    leaves them in the model that it fuses, and trainers save them, which add nothing."""
    paths = {module.path for module in modules}
    beside = {part for path in paths for part in _parts_of(path, paths)}
    if of is None or not beside:
        return modules, ()
    kept, leftovers = [], []
    for each in modules:
        is_left = each.path in beside and of.adds_nothing(each)
        leftovers.append(each.path) if is_left else kept.append(each)
    return kept, tuple(leftovers)


def _copies(modules: Sequence[LoraModule], of: "_Bytes") -> Iterator[tuple[tuple[str, str], Rows]]:
    alike: dict[object, list[LoraModule]] = defaultdict(list)
    for module in modules:
        alike[of.head(module)].append(module)
    for group in alike.values():
        pairs = [(a, b) for a in group[:_MOST] for b in group[:_MOST] if a is not b]
        for one, other in pairs:
            rows = of.rows(one, other)
            if rows is not None:
                yield (one.path, other.path), rows


class _Bytes:
    """What layers hold, byte by byte."""

    def __init__(self, header: SafetensorsHeader, read: Read) -> None:
        self._header = header
        self._read = read

    def head(self, module: LoraModule) -> object:
        """What equal layers, and those fused of them, have in common."""
        stacked = _STACKED.get(module.decomposition)
        own = sorted(part for part in module.tensors if part not in ("alpha", stacked))
        first = self._part(module, own[0], _HEAD) if own else b""
        return _kind(module), first

    def adds_nothing(self, module: LoraModule) -> bool:
        """Whether a plain LoRA multiplies to zero by its last factor."""
        if module.decomposition is not Decomposition.LORA or module.dora or module.bias:
            return False
        data, size = self._part(module, "up"), DTYPE_BITS[self._dtype(module, "up")] // 8
        low = (data[place::size] for place in range(size - 1))
        # A zero may have a sign, the highest bit.
        return not any(part.strip(b"\0") for part in low) and not data[size - 1 :: size].strip(
            b"\0\x80"
        )

    def rows(self, one: LoraModule, other: LoraModule) -> Rows | None:
        """The rows of ``other`` that are ``one``; empty for all, None where it is not in it."""
        parts = one.tensors.keys() - {"alpha"}
        stacked = _STACKED.get(one.decomposition, "")
        if _kind(one) != _kind(other) or parts != other.tensors.keys() - {"alpha"}:
            return None
        if one.out_features > other.out_features or any(
            self._dtype(one, part) != self._dtype(other, part)
            or (part != stacked and self._part(one, part) != self._part(other, part))
            for part in parts
        ):
            return None
        if one.out_features == other.out_features:
            same = not stacked or self._part(one, stacked) == self._part(other, stacked)
            return () if same else None
        return None if not stacked or one.dora or one.bias else self._within(one, other, stacked)

    def _within(self, one: LoraModule, other: LoraModule, part: str) -> Rows | None:
        small, large = self._part(one, part), self._part(other, part)
        row = len(small) // one.out_features
        place = large.find(small) if row else -1
        while place > 0 and place % row:
            place = large.find(small, place + 1)
        return None if place < 0 else ((place // row, place // row + one.out_features),)

    def _dtype(self, module: LoraModule, part: str) -> str:
        return self._header.tensors[module.tensors[part]].dtype

    def _part(self, module: LoraModule, part: str, most: int = 1 << 40) -> bytes:
        return self._read(self._header.tensors[module.tensors[part]], most)


def _kind(module: LoraModule) -> tuple[object, ...]:
    return (
        module.decomposition,
        module.scale,
        module.rank,
        module.in_features,
        module.kernel,
        module.dora,
    )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"It has {paths[0]}{more}"
