"""How the first rule that holds becomes a verdict."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.architecture.fingerprint import UNKNOWN, FingerprintRule, Measure

__all__ = ["UNKNOWN", "FamilyVerdict", "Measure", "judge"]


@dataclass(frozen=True, slots=True)
class FamilyVerdict:
    """What a table says; ``open_to`` lists the families it could not choose between."""

    architecture: str
    variant: str | None
    sentence: str
    open_to: tuple[str, ...] = ()

    @property
    def families(self) -> frozenset[str]:
        """Every family it may be; empty where none is known."""
        return frozenset(self.open_to or (self.architecture,)) - {UNKNOWN}


def judge(rules: Sequence[FingerprintRule], layers: Sequence[Measure]) -> FamilyVerdict | None:
    """The verdict of the first rule that holds, or None."""
    for rule in rules:
        found = _matching(rule, layers)
        if found:
            return _verdict(rule, found, layers)
    return None


def _matching(rule: FingerprintRule, layers: Sequence[Measure]) -> list[Measure]:
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


def _verdict(
    rule: FingerprintRule, found: Sequence[Measure], layers: Sequence[Measure]
) -> FamilyVerdict:
    sentence = rule.says.format(
        reads=_spread(found, lambda layer: layer.reads),
        gives=_spread(found, lambda layer: layer.gives),
    )
    variant = dict(rule.variants).get(found[0].reads)
    if len(rule.architectures) == 1:
        return FamilyVerdict(rule.architectures[0], variant, sentence)
    if rule.prefer == UNKNOWN or not _whole(rule, layers):
        return FamilyVerdict(UNKNOWN, None, sentence, rule.architectures)
    return FamilyVerdict(rule.prefer, variant, sentence, rule.architectures)


def _whole(rule: FingerprintRule, layers: Sequence[Measure]) -> bool:
    """Whether there is a layer of every block that the preferred architecture has."""
    for pattern, blocks in rule.depth:
        found = (re.match(pattern, layer.name) for layer in layers)
        if {int(match[1]) for match in found if match} != set(range(blocks)):
            return False
    return True


def _spread(found: Sequence[Measure], width: Callable[[Measure], int]) -> str:
    """The widths in words: ``768``, ``64 or 128``; of pairs, the first layer's."""
    widths = sorted({width(layer) for layer in found})
    return " or ".join(map(str, widths[:3]))
