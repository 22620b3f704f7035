"""What people chose in the blind tournament, reckoned from their choices and the trial's card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from studio.comparison.review import Agreement
from studio.trials.observations import PromptKind, TrialArm
from studio.trials.report.card import EpochCard
from studio.trials.report.rows import told_of
from studio.trials.samples import in_order
from studio.trials.tournament import (
    Correlation,
    Duel,
    Ranking,
    ranking,
    reviewers_agreement,
    with_people,
)
from studio.trials.words import ON, measure_name, naming, number

KIND = PromptKind.TRIGGER
"""Of the prompts that a tournament is about: what the LoRA is for."""
_SAID = 0.667
"""Krippendorff's lowest bound for tentative conclusions (Content Analysis, 2004, chapter 11)."""


@dataclass(frozen=True, slots=True)
class PeopleSaid:
    """A tournament's outcome.

    Attributes:
        measures: what each is called → how far it orders the arms as people do.
    """

    ranking: Ranking
    duels: int
    agreement: Agreement
    measures: Mapping[str, Correlation]

    @property
    def met(self) -> int:
        """Arms that stood in a duel."""
        return sum(rank.duels > 0 for rank in self.ranking.ranks)


def pictures_of(card: EpochCard) -> dict[TrialArm, dict[tuple[str, int], str]]:
    """Arm → prompt and seed → SHA-256 of the pixels, of the prompts that are shown."""
    found: dict[TrialArm, dict[tuple[str, int], str]] = {}
    for each in card.pictures:
        if each.arm is not None and each.kind is KIND:
            found.setdefault(each.arm, {})[each.prompt, each.seed] = each.pixels
    return {arm: found[arm] for arm in in_order(found)}


def people_said(card: EpochCard, duels: Sequence[Duel]) -> PeopleSaid | None:
    """None before the first choice. Choices on arms that the card has no picture of are left
    out."""
    arms = list(pictures_of(card))
    known = [each for each in duels if each.left in arms and each.right in arms]
    if not known:
        return None
    ranked = ranking(arms, known)
    measures = {
        f"{measure_name(measure)}, {ON[kind]}": with_people(
            measure,
            {arm: each.median for arm, each in card.findings.numbers(measure, kind).items()},
            ranked,
        )
        for measure, kind in told_of(card.findings)
    }
    return PeopleSaid(ranked, len(known), reviewers_agreement(known), measures)


def sentences(card: EpochCard, said: PeopleSaid) -> Iterator[str]:
    """What it says, most important first."""
    name, ranks = naming(card.findings), said.ranking.ranks
    choices = "1 choice" if said.duels == 1 else f"{said.duels} choices"
    first = ranks[0]
    open_ = [name(ranks[other].arm) for one, other in said.ranking.open if one == 0]
    if not open_:
        yield f"People prefer {name(first.arm)} to every other, surely, after {choices}."
    elif len(open_) == len(ranks) - 1:
        yield f"After {choices} nothing is sure of what people prefer."
    else:
        yield (
            f"After {choices} people prefer {name(first.arm)}; whether to "
            f"{', '.join(open_)} is not sure yet."
        )
    yield agreed(said.agreement)


def agreed(found: Agreement) -> str:
    """The reviewers' agreement, a sentence."""
    if found.alpha is None:
        return "How far reviewers agree cannot be told: no pair was judged by two of them."
    enough = "" if found.alpha >= _SAID else ", which is too little to conclude anything"
    return (
        f"{found.reviewers} reviewers agree on {found.pictures} pairs by Krippendorff's alpha "
        f"{number(found.alpha)}{enough}."
    )


def ranks(card: EpochCard, said: PeopleSaid) -> Iterator[tuple[str, str, str]]:
    """Arm, strength with its interval, duels."""
    name = naming(card.findings)
    for rank in said.ranking.ranks:
        strength = f"{rank.strength:+.2f} ({rank.low:+.2f} to {rank.high:+.2f})"
        yield name(rank.arm), strength, str(rank.duels)


def correlations(said: PeopleSaid) -> Iterator[tuple[str, str]]:
    """Measure, and Spearman's rho with its interval."""
    for name, each in said.measures.items():
        if each.rho is None:
            yield name, "cannot be told"
        elif each.low is None or each.high is None:
            yield name, f"{each.rho:+.2f} (too few arms for an interval)"
        else:
            yield name, f"{each.rho:+.2f} ({each.low:+.2f} to {each.high:+.2f})"
