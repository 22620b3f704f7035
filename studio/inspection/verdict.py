"""A rule about layers, and how the first rule that holds becomes a verdict."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measure:
    """One layer as the rules see it: its flattened name and its widths."""

    name: str
    reads: int
    gives: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What the layers are when all those that match ``pattern`` agree with it.

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
        prefer: of several architectures, the one to take all the same; the evidence says so.
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

    def allows(self, layer: Measure) -> bool:
        """Whether the widths of one matching layer agree with the rule."""
        return (
            (self.reads is None or layer.reads in self.reads)
            and (self.gives is None or layer.gives in self.gives)
            and (self.pairs is None or (layer.reads, layer.gives) in self.pairs)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a table says; ``open_to`` lists the families it could not choose between."""

    architecture: str
    variant: str | None
    sentence: str
    open_to: tuple[str, ...] = ()

    @property
    def families(self) -> frozenset[str]:
        """Every family it may be; empty where none is known."""
        return frozenset(self.open_to or (self.architecture,)) - {UNKNOWN}


def widths_of(*values: int) -> frozenset[int]:
    return frozenset(values)


def squares(hidden: Iterable[int], reads: int, gives: int) -> frozenset[tuple[int, int]]:
    """(reads, gives) of a layer that is ``reads`` × ``gives`` times the hidden width."""
    return frozenset((reads * width, gives * width) for width in hidden)


def judge(rules: Sequence[Rule], layers: Sequence[Measure]) -> Verdict | None:
    """The verdict of the first rule that holds, or None."""
    for rule in rules:
        found = _matching(rule, layers)
        if found:
            return _verdict(rule, found)
    return None


def _matching(rule: Rule, layers: Sequence[Measure]) -> list[Measure]:
    """The layers a rule is about; none of them when one contradicts it."""
    pattern = re.compile(rule.pattern)
    found: list[Measure] = []
    highest = -1
    for layer in layers:
        match = pattern.search(layer.name)
        if match is None:
            continue
        if not rule.allows(layer):
            return []
        found.append(layer)
        numbers = [int(group) for group in match.groups() if group and len(group) < 6]
        highest = max(highest, *numbers) if numbers else highest
    if rule.blocks and not rule.blocks[0] <= highest <= rule.blocks[1]:
        return []
    if rule.never and _any(rule.never, layers):
        return []
    if rule.needs and not _any(rule.needs, layers):
        return []
    return found


def _any(pattern: str, layers: Sequence[Measure]) -> bool:
    return any(re.search(pattern, layer.name) for layer in layers)


def _verdict(rule: Rule, found: Sequence[Measure]) -> Verdict:
    sentence = rule.says.format(
        reads=_spread(found, lambda layer: layer.reads),
        gives=_spread(found, lambda layer: layer.gives),
    )
    variant = dict(rule.variants).get(found[0].reads)
    if len(rule.architectures) == 1:
        return Verdict(rule.architectures[0], variant, sentence)
    preferred = rule.prefer != UNKNOWN
    return Verdict(rule.prefer, variant if preferred else None, sentence, rule.architectures)


def _spread(found: Sequence[Measure], width: Callable[[Measure], int]) -> str:
    """The widths in words: ``768``, ``64 or 128``; of pairs, the first layer's."""
    widths = sorted({width(layer) for layer in found})
    return " or ".join(map(str, widths[:3]))
