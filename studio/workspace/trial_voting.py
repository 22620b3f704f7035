"""The blind tournament of a trial: which pair comes next, and what was chosen of it."""

from dataclasses import dataclass
from pathlib import Path

from studio.trials.design import CellRole
from studio.trials.observations import TrialArm
from studio.trials.report.people import KIND
from studio.trials.samples import in_order
from studio.trials.store import CellResult, StoredTrial
from studio.trials.tournament import Duel, next_duels, ranking

LONGEST_NAME = 80
"""Characters of a reviewer's name that are kept."""


@dataclass(frozen=True, slots=True)
class NextDuel:
    """A pair to be judged, as a tie until it is.

    Attributes:
        first, second: the pictures' files in the order in which they are shown.
        prompt: what both were asked for.
        number: of the choice among those of the trial, from 1.
        open: pairs of arms whose order is not sure yet.
    """

    duel: Duel
    first: Path
    second: Path
    prompt: str
    number: int
    open: int


def can_vote(stored: StoredTrial) -> bool:
    """Whether two arms have pictures of one prompt and seed."""
    pictures = _pictures(stored)
    places = [place for each in pictures.values() for place in each]
    return len(places) > len(set(places))


def next_duel(stored: StoredTrial, by: str) -> NextDuel | None:
    """The pair that tells most of the order as it stands; None where the order is sure, or
    ``by`` has judged everything.

    Raises:
        TrialError: it cannot be read.
    """
    design, duels, pictures = stored.design(), stored.duels(), _pictures(stored)
    arms = in_order(pictures)
    known = [each for each in duels if each.left in pictures and each.right in pictures]
    ranked = ranking(arms, known)
    pixels = {
        arm: {place: str(each.pixels) for place, each in of.items()}
        for arm, of in pictures.items()
    }
    by = by.strip()[:LONGEST_NAME]
    for duel in next_duels(ranked, pixels, known, by, design.rule.resampling.seed):
        left, right = (
            stored.outputs / str(pictures[arm][duel.prompt, duel.seed].picture)
            for arm in (duel.left, duel.right)
        )
        if left.is_file() and right.is_file():
            shown = (right, left) if duel.swapped else (left, right)
            prompt = design.prompt(duel.prompt, KIND).text
            return NextDuel(duel, *shown, prompt, len(duels) + 1, len(ranked.open))
    return None


def _pictures(stored: StoredTrial) -> dict[TrialArm, dict[tuple[str, int], CellResult]]:
    """Arm → prompt and seed → its picture, of the prompts that the tournament is about."""
    found: dict[TrialArm, dict[tuple[str, int], CellResult]] = {}
    for each in stored.results().values():
        cell = each.cell
        if cell.role is CellRole.ARM and cell.kind is KIND and each.pixels is not None:
            found.setdefault(cell.arm, {})[cell.prompt, cell.seed] = each
    return found
