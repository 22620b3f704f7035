"""What a trial says so far, drawn for the page and kept for every page that shows it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from studio.errors import StudioError
from studio.trials.observations import TrialArm
from studio.trials.report.card import EpochCard
from studio.trials.report.page import pictures_of_sheet, sheet_part
from studio.trials.samples import in_order
from studio.trials.words import arm_name
from studio.ui.html.picture import file_url
from studio.ui.html.tags import Html
from studio.workspace.trial_desk import TrialDesk
from studio.workspace.trial_report import NO_CONTROLS, card_of
from studio.workspace.trial_voting import can_vote
from studio.workspace.workspace import Workspace

PATIENCE = 10.0
"""A report is drawn anew after so many times as long as drawing it took."""
_LEAST = 4.0
_KEPT = 8


@dataclass(frozen=True, slots=True)
class DrawnReport:
    """
    Attributes:
        of: pictures and choices of people that the trial had then, and whether it went on.
        votes: whether people can choose between pictures.
        arms: what can be taken, the best so far first; by their keys.
        took: seconds; ``at``: when it was done, of the monotonic clock.
    """

    html: Html
    of: tuple[int, int, bool]
    arms: Mapping[str, TrialArm]
    votes: bool
    took: float
    at: float


class TrialReports:
    """Draws reports, each as often as its cost allows."""

    def __init__(self, workspace: Workspace, desk: TrialDesk) -> None:
        self._workspace = workspace
        self._desk = desk
        self._drawn: dict[str, DrawnReport] = {}

    def of(self, name: str, pictures: int, going: bool) -> DrawnReport | None:
        """The report of a trial that has so many pictures; while it goes on, an earlier one until
        another is due. None where nothing was measured yet.

        Raises:
            StudioError: it cannot be read.
        """
        stored = self._desk.trying.store.open(name)
        duels = stored.duels()
        known, now = self._drawn.get(name), time.monotonic()
        now_of = (pictures, len(duels), going)
        if known is not None:
            early = now - known.at < max(_LEAST, PATIENCE * known.took)
            if known.of == now_of or (going and early):
                return known
        if not stored.observations():
            return None
        card = card_of(self._workspace, stored)
        if going:  # the last control comes last
            said = tuple(each for each in card.invalid if each != NO_CONTROLS)
            card = card.model_copy(update={"invalid": said})
        html = Html(sheet_part(card, self._sources(card), duels))
        end = time.monotonic()
        drawn = DrawnReport(html, now_of, _arms(card), can_vote(stored), end - now, end)
        self._drawn[name] = drawn
        while len(self._drawn) > _KEPT:
            self._drawn.pop(next(iter(self._drawn)))
        return drawn

    def arm(self, name: str, key: str) -> TrialArm:
        """
        Raises:
            StudioError: the report of the trial has none of this key.
        """
        drawn = self._drawn.get(name)
        if drawn is None or key not in drawn.arms:
            raise StudioError("Nothing was measured of that.", "Open the trial anew.")
        return drawn.arms[key]

    def _sources(self, card: EpochCard) -> Mapping[str, str]:
        gallery, found = self._workspace.gallery, {}
        for each in pictures_of_sheet(card):
            there = gallery.with_pixels(each.pixels)
            if there:
                found[each.pixels] = file_url(gallery.thumbnail(there[0]))
        return found


def _arms(card: EpochCard) -> Mapping[str, TrialArm]:
    leader = card.findings.leader
    best = None if leader is None else leader.arm
    arms = {each.arm for each in card.observations if each.arm.step or each.arm.strength}
    ordered = sorted(in_order(arms), key=lambda arm: arm != best)
    return {f"{arm_name(arm)}{' (best so far)' if arm == best else ''}": arm for arm in ordered}
