"""The blind tournament on the page: two pictures, no names, three buttons and their keys."""

import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.comparison.votes import ShownSide
from studio.errors import StudioError
from studio.gallery.record_png import decode
from studio.trials.tournament import Duel
from studio.ui.compare.blind_vote import bare_pixels
from studio.ui.html import comparison as compare_html
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, address, div, join, tag
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.trial_desk import TrialDesk
from studio.workspace.trial_voting import NextDuel, next_duel


@dataclass(frozen=True, slots=True)
class VotingParts:
    """The components; ``duel`` holds what is hidden, and stays on the server."""

    view: gr.Column
    pair: gr.HTML
    first: gr.Button
    equal: gr.Button
    second: gr.Button
    stop: gr.Button
    duel: gr.State

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def build() -> VotingParts:
    """Lay it out inside the current column."""
    with gr.Column(visible=False, elem_classes="ls-look ls-first", elem_id="trial-blind") as view:
        pair = gr.HTML("", apply_default_css=False, elem_id="duel")
        with gr.Row(elem_classes="ls-tight"):
            first = gr.Button("The first is better", elem_id="duel-first")
            equal = gr.Button("Equal", elem_id="duel-equal")
            second = gr.Button("The second is better", elem_id="duel-second")
        stop = gr.Button(
            "Stop and see the order", size="sm", elem_classes="ls-quiet", elem_id="duel-stop"
        )
    return VotingParts(view, pair, first, equal, second, stop, gr.State(None))


class TrialVotes:
    """Handlers of the tournament.

    Args:
        rest: the columns that are hidden while it goes on: they name the arms.
        said: where it is told why it cannot begin or has ended.
    """

    def __init__(
        self, desk: TrialDesk, parts: VotingParts, rest: tuple[gr.Column, ...], said: gr.HTML
    ) -> None:
        self._desk = desk
        self.parts = parts
        self._rest = rest
        self._said = said

    def start(self, name: str, by: str | None) -> Updates:
        """Hide everything but the first pair."""
        who = (by or "").strip() or f"sitting {secrets.token_hex(4)}"
        return self._next(name, who)

    def choose(self, name: str, duel: Duel | None, side: ShownSide) -> Updates:
        """Keep a choice, and show the next pair or the end."""
        if duel is None or not name:
            return unchanged()
        try:
            self._desk.trying.store.open(name).add_duel(duel.chosen(side))
        except StudioError as error:
            return self.end() | {self._said: compare_html.trouble(str(error))}
        return self._next(name, duel.by)

    def end(self) -> Updates:
        """Uncover the page."""
        return self._hide(False) | {self.parts.duel: None, self.parts.pair: EMPTY}

    def _next(self, name: str, by: str) -> Updates:
        try:
            found = next_duel(self._desk.trying.store.open(name), by)
            shown = EMPTY if found is None else _pair(name, found)
        except (StudioError, OSError) as error:
            return self.end() | {self._said: compare_html.trouble(str(error))}
        if found is None:
            line = "Nothing more to judge: the order is sure, or you have seen every pair."
            return self.end() | {self._said: tag("p", line, class_="ls-said")}
        return self._hide(True) | {
            self.parts.pair: shown,
            self.parts.duel: found.duel,
            self._said: EMPTY,
        }

    def _hide(self, hidden: bool) -> Updates:
        updates: Updates = {column: gr.Column(visible=not hidden) for column in self._rest}
        return updates | {self.parts.view: gr.Column(visible=hidden)}


def _pair(name: str, found: NextDuel) -> Html:
    """The two pictures as nothing but pixels: no file name and no record tells them apart."""
    figures = [
        tag(
            "figure",
            tag("img", src=bare_pixels(decode(path.read_bytes())), alt=f"The {which} picture"),
        )
        for path, which in ((found.first, "first"), (found.second, "second"))
    ]
    open_ = format.plural(found.open, "pair of arms is", "pairs of arms are")
    line = f"Choice {found.number}. Which is better? {open_} open."
    return join(
        (
            tag("p", line, class_="ls-origin"),
            tag("p", found.prompt, class_="ls-of-prompt"),
            div("ls-sides ls-unlabelled", *figures, data_address=address(trial=name)),
        )
    )
