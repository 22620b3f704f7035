"""A rule that tells families apart by the names and widths of a file's layers."""

from collections.abc import Iterable
from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measure:
    """One layer as the rules see it: its flattened name and its widths."""

    name: str
    reads: int
    gives: int


@dataclass(frozen=True, slots=True)
class FingerprintRule:
    """What the layers are when all those that match ``pattern`` agree with it.

    Names are compared flattened (dots as underscores), so that kohya's and diffusers' spellings
    of one layer are one name.

    Attributes:
        architectures: one; or several, where the layers leave it open; or none, for layers
            that are recognised and belong to no family known here.
        pattern: searched in each flattened name; its group, if any, is a block number.
        says: the evidence; ``{reads}`` and ``{gives}`` are widths of the matching layers.
        reads, gives, pairs: widths allowed, of every layer that matches; None is any.
        blocks: the highest block number lies in this range, both ends included.
        never: no layer's name has this.
        needs: some layer's name has this.
        variants: the first matching layer's ``reads`` → variant.
        prefer: of several architectures, the one to take all the same, where the file changes
            every one of its blocks; the others are named beside it.
        depth: (pattern with a block number, how many blocks ``prefer`` has of them).
    """

    architectures: tuple[str, ...]
    pattern: str
    says: str
    reads: frozenset[int] | None = None
    gives: frozenset[int] | None = None
    pairs: frozenset[tuple[int, int]] | None = None
    blocks: tuple[int, int] | None = None
    never: str | None = None
    needs: str | None = None
    variants: tuple[tuple[int, str], ...] = ()
    prefer: str = UNKNOWN
    depth: tuple[tuple[str, int], ...] = ()

    def allows(self, layer: Measure) -> bool:
        """Whether the widths of one matching layer agree with the rule."""
        return (
            (self.reads is None or layer.reads in self.reads)
            and (self.gives is None or layer.gives in self.gives)
            and (self.pairs is None or (layer.reads, layer.gives) in self.pairs)
        )


def widths_of(*values: int) -> frozenset[int]:
    return frozenset(values)


def squares(hidden: Iterable[int], reads: int, gives: int) -> frozenset[tuple[int, int]]:
    """(reads, gives) of a layer that is ``reads`` × ``gives`` times the hidden width."""
    return frozenset((reads * width, gives * width) for width in hidden)
