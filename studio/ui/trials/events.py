"""What happens on the Trials tab."""

from collections.abc import Iterator, Mapping

import gradio as gr

from studio.errors import StudioError
from studio.trials.design import TrialDesign
from studio.trials.training_run import TrainingRun
from studio.ui.html import comparison as compare_html
from studio.ui.html import trial_files
from studio.ui.html import trials as trial_html
from studio.ui.html.tags import EMPTY, Html
from studio.ui.studio.live import Updates, unchanged
from studio.ui.trials.form import NewTrial, TrialInput
from studio.ui.trials.layout import TrialParts
from studio.ui.trials.report import TrialReports
from studio.ui.trials.suggestion import suggested
from studio.workspace.trial_desk import TrialDesk, TrialStanding, TrialState
from studio.workspace.trial_files import the_run
from studio.workspace.trial_report import card_of, preset_of, write_card
from studio.workspace.trial_rounding import base_rows
from studio.workspace.workspace import Workspace


class TrialEvents:
    """Handlers; each takes plain values and returns what changes."""

    def __init__(
        self, workspace: Workspace, desk: TrialDesk, parts: TrialParts, asked: NewTrial
    ) -> None:
        self._workspace = workspace
        self.desk = desk
        self.parts = parts
        self.asked = asked
        self._reports = TrialReports(workspace, desk)

    # The list

    def enter(self, opened: str) -> Updates:
        """The tab is shown: the trials, and the runs that can be tried."""
        shown = self.look_again(opened, "") if opened else self.new()
        return shown | self._offered()

    def _offered(self) -> Updates:
        return {self.asked.runs: trial_html.offered(self.desk.offered())}

    def visit(self, named: Mapping[str, str], opened: str) -> Updates:
        """What an address names is shown."""
        name = named.get("trial", "")
        if name == opened and name:
            return unchanged()
        return (self.show(name) if name else self.new()) | self._offered()

    def _list(self, opened: str) -> Updates:
        trials, problems = self.desk.all()
        going = any(each.state.is_going for each in trials)
        return {
            self.parts.list: trial_html.listed(trials, problems, opened),
            self.parts.timer: gr.Timer(active=going),
        }

    # A new trial

    def new(self) -> Updates:
        """The page of a new trial."""
        parts = self.parts
        return self._list("") | {
            parts.opened: "",
            parts.seen: "",
            parts.view: gr.Column(visible=False),
            self.asked.view: gr.Column(visible=True),
        }

    def look(self, text: str) -> Iterator[Updates]:
        """Look into the files that somebody typed the place of."""
        try:
            run = the_run(self.desk.paths_of(text))
        except (StudioError, OSError, ValueError) as error:
            yield self._no_run(str(error))
            return
        yield from self.chosen(run)

    def pick(self, key: str) -> Iterator[Updates]:
        """One of the offered runs was picked."""
        found = [run for run in self.desk.offered() if str(run.checkpoints[0].path) == key]
        if not found:
            yield self._no_run("That run is not there any more.")
            return
        yield from self.chosen(found[0])

    def try_file(self, slug: str) -> Iterator[Updates]:
        """The run that a LoRA of the library is of."""
        run = self.run_of(slug)
        if run is None:
            yield self._no_run("No other file of this LoRA's run is in the library.")
            return
        yield self.new() | self._offered()
        yield from self.chosen(run)

    def run_of(self, slug: str) -> TrainingRun | None:
        """The training run that a LoRA preset's file is of, where there are others of it."""
        if slug not in self._workspace.catalog.loras:
            return None
        path = self._workspace.expected_at(slug)
        return self.desk.run_of(path) if path.is_file() else None

    def chosen(self, run: TrainingRun) -> Iterator[Updates]:
        """What the files say, then the design that they suggest and its cost."""
        asked = self.asked
        yield {asked.files: trial_files.reading(run, 0), asked.design: gr.Column(visible=False)}
        try:
            filled, found = suggested(self._workspace, run, asked)
            base = base_rows(self._workspace, run, filled[asked.base] or "")
            rows = None if isinstance(base, str) else base
            for told in self.desk.told(run, rows):
                if isinstance(told, int):
                    yield {asked.files: trial_files.reading(run, told)}
                else:
                    said = base if isinstance(base, str) else base.says
                    shown = trial_files.files(run, told, said)
        except StudioError as error:
            yield self._no_run(str(error))
            return
        sent = TrialInput(*(filled[each] for each in asked.inputs()))
        filled |= {asked.files: shown, asked.design: gr.Column(visible=True)}
        bases = gr.Dropdown(choices=[(each.label, each.slug) for each in found], value=sent.base)
        yield filled | {asked.base: bases} | self.cost(sent)

    def _no_run(self, said: str) -> Updates:
        return {
            self.asked.files: compare_html.trouble(said),
            self.asked.design: gr.Column(visible=False),
            self.asked.paths: [],
        }

    def cost(self, sent: TrialInput) -> Updates:
        """After any edit: what it would make and what that costs, or what is in the way."""
        asked = self.asked
        said, ready = self._cost(sent)
        return {asked.cost: said, asked.begin: gr.Button(interactive=ready), asked.costed: sent}

    def _cost(self, sent: TrialInput) -> tuple[Html, bool]:
        """And whether it may begin."""
        if not sent.paths:
            return EMPTY, False
        try:
            design = self._design(sent)
            found = self.desk.trying.violations(design)
            said = (
                trial_html.refused(found)
                if found
                else trial_html.cost(design, self.desk.trying.forecast(design))
            )
        except (StudioError, OSError) as error:
            return compare_html.trouble(str(error)), False
        return said, not found

    def _design(self, sent: TrialInput) -> TrialDesign:
        """
        Raises:
            StudioError: it lacks something.
        """
        wanted = sent.wanted()
        *_, told = self.desk.told(the_run(wanted.paths))
        assert not isinstance(told, int)
        return self.desk.trying.design(wanted, told)

    def begin(self, sent: TrialInput, costed: TrialInput | None) -> Updates:
        """Keep the trial, run it and show it; if the form asks for another than the one whose cost
        is shown, show that first."""
        if sent != costed:
            return self.cost(sent)
        try:
            design = self._design(sent)
            found = self.desk.trying.violations(design)
            if found:
                return {self.asked.cost: trial_html.refused(found)}
            name = self.desk.begin(design)
        except StudioError as error:
            return {self.asked.cost: compare_html.trouble(str(error))}
        return self.show(name)

    # One trial

    def show(self, name: str) -> Updates:
        """Open a trial: how it stands, and what it says."""
        parts = self.parts
        opened: Updates = {
            parts.opened: name,
            parts.view: gr.Column(visible=True),
            self.asked.view: gr.Column(visible=False),
            parts.said: EMPTY,
            parts.report: trial_html.nothing_yet(),
            parts.take_row: gr.Row(visible=False),
            parts.judge_row: gr.Row(visible=False),
        }
        return opened | self.look_again(name, "")

    def look_again(self, name: str, seen: str) -> Updates:
        """How the open trial stands; its report where it is another than ``seen``."""
        parts = self.parts
        # First the list: what ends after it is looked at again.
        listed = self._list(name)
        if not name:
            return listed
        try:
            standing = self.desk.standing(name)
            drawn = self._reports.of(name, standing.pictures, standing.state.is_going)
        except StudioError as error:
            return listed | {
                parts.head: compare_html.trouble(str(error)),
                parts.stop: gr.Button(visible=False),
                parts.go_on: gr.Button(visible=False),
            }
        now = f"{name} {0 if drawn is None else drawn.at}"
        updates = listed | self._standing(standing)
        if drawn is None or now == seen:
            return updates | {parts.seen: now}
        arms = list(drawn.arms)
        return updates | {
            parts.seen: now,
            parts.report: drawn.html,
            parts.sheet: trial_html.sheet_link(name),
            parts.take_row: gr.Row(visible=bool(arms)),
            parts.judge_row: gr.Row(visible=drawn.votes),
            parts.arm: gr.Dropdown(choices=arms, value=arms[0] if arms else None),
        }

    def _standing(self, standing: TrialStanding) -> Updates:
        parts, state = self.parts, standing.state
        trouble = None if state.is_going else self.desk.trouble(standing.name)
        return {
            parts.head: trial_html.trial(standing, "" if trouble is None else str(trouble)),
            parts.stop: gr.Button(visible=state.is_going),
            parts.go_on: gr.Button(visible=state is TrialState.STOPPED),
        }

    def stop(self, name: str) -> Updates:
        self.desk.stop(name)
        return self.look_again(name, f"{name} ")

    def go_on(self, name: str) -> Updates:
        try:
            design = self.desk.trying.store.open(name).design()
            found = self.desk.trying.violations(design)
            if found:
                return {self.parts.said: trial_html.refused(found)}
            self.desk.go_on(name)
        except StudioError as error:
            return {self.parts.said: compare_html.trouble(str(error))}
        return self.look_again(name, f"{name} ") | {self.parts.said: EMPTY}

    def take(self, name: str, key: str | None) -> Updates:
        """A preset of a checkpoint at its strength, with its card."""
        try:
            stored = self.desk.trying.store.open(name)
            arm = self._reports.arm(name, key or "")
            preset, _ = preset_of(self._workspace, stored, arm)
            card = card_of(self._workspace, stored, arm)
            paths = write_card(self._workspace, card, stored.folder, stored.duels())
        except StudioError as error:
            return {self.parts.said: compare_html.trouble(str(error))}
        cards = [path.name for path in paths]
        return {self.parts.said: trial_html.taken(preset.slug, name, cards)}
