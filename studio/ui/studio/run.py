"""A run of the Studio tab while it goes."""

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress

import gradio as gr

from studio.contract.events import (
    Cancelled,
    Failed,
    Finished,
    Loading,
    Progress,
    Queued,
    Stalled,
)
from studio.contract.plan import RunPlan
from studio.errors import QueueFull, StudioError
from studio.gallery import Picture
from studio.library.downloads import Stopped
from studio.library.stock import MissingWeights
from studio.ui.html import contract as sheet
from studio.ui.html import download as download_html
from studio.ui.html import picture as stage
from studio.ui.html.bar import titled
from studio.ui.html.tags import EMPTY, Html, div, esc
from studio.ui.pace import Pace
from studio.ui.sessions import Sessions, Strip
from studio.ui.studio import live
from studio.ui.studio.events import StudioEvents
from studio.ui.studio.form import Values, draw_seed
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.standing import StageEvents
from studio.ui.studio.waiting import WaitingEvents
from studio.workspace.line import AnyEvent
from studio.workspace.workspace import Workspace


class RunEvents:
    """Handlers of Generate and Cancel; ``standing`` shows what comes of them."""

    def __init__(
        self,
        workspace: Workspace,
        sessions: Sessions,
        events: StudioEvents,
        standing: StageEvents,
        waiting: WaitingEvents,
    ) -> None:
        self._workspace = workspace
        self._sessions = sessions
        self._events = events
        self._standing = standing
        self._waiting = waiting
        self._panel = events.panel
        self._result = events.result

    # The run

    def generate(self, values: Values, shown: str, page: str) -> Iterator[Updates]:
        """Run exactly the plan that is shown; if the form says another, show that first."""
        outcome = live.resolve(values, self._workspace)
        if isinstance(outcome, live.ToFetch) and outcome.may_run:
            yield from self._fetch_and_run(outcome, values, page)
            return
        if not isinstance(outcome, RunPlan):
            yield self._events.refresh(values, page)
            return
        if outcome.fingerprint != shown:
            refreshed = self._events.refresh(values, page)
            yield refreshed | {self._result.sheet: sheet.changed(outcome)}
            return
        yield from self._run(outcome, values, page)

    def _run(self, plan: RunPlan, values: Values, page: str) -> Iterator[Updates]:
        """Put it in the line of the page's owner, and watch the line if nothing does."""
        going = self._sessions.going(page, RunPlan)
        if any(each.fingerprint == plan.fingerprint for each, _ in going):
            yield unchanged()  # a second click on one button
            return
        try:
            self._sessions.submit(page, plan)
        except QueueFull as error:
            yield {self._panel.bar: div("ls-problem", esc(str(error)), role="alert")}
            return
        yield self._next_plan(values) | self._waiting.list(page)
        if self._sessions.start_watching(page):
            yield from self._line(page)

    def _line(self, page: str) -> Iterator[Updates]:
        """Watch what goes on, one run after another."""
        try:
            while going := self._sessions.going(page, RunPlan):
                plan, standing = going[0]
                yield from self._watch(plan, self._sessions.watch(page, standing.run_id), page)
        finally:
            self._sessions.end_watching(page)

    def _next_plan(self, values: Values) -> Updates:
        """A new seed where the field is blank, so that another click is another picture."""
        values = {**values, "drawn": draw_seed()}
        shown = live.fingerprint(live.resolve(values, self._workspace))
        return {self._panel.form.drawn: values["drawn"], self._result.shown: shown}

    def resume(self, values: Values, page: str) -> Iterator[Updates]:
        """The page opens: what its browser's earlier pages made, and what still goes on."""
        strip = self._sessions.strip(page)
        for made in self._sessions.made_before(page):
            with suppress(StopIteration):  # it was deleted meanwhile
                strip.add(self._row(made))
        strip.looked = None  # nothing of it belongs to the plan on the page
        yield {self._result.strip: self._standing.strip(strip)}
        if self._sessions.going(page, RunPlan) and self._sessions.start_watching(page):
            yield from self._line(page)
            yield self.after_run(values, page)

    def _fetch_and_run(
        self, outcome: live.ToFetch, values: Values, page: str
    ) -> Iterator[Updates]:
        """Fetch what is missing, resolve anew, and run the plan that comes of it."""
        cancel = self._sessions.start_fetching(page)
        if cancel is None:
            return
        try:
            ended = yield from self._fetch(outcome, cancel)
        finally:
            self._sessions.end_fetching(page, cancel)
        if ended is not None:
            yield ended
            return
        plan = live.resolve(values, self._workspace)
        if isinstance(plan, RunPlan):
            yield from self._run(plan, values, page)
        else:
            yield self._idle() | {self._result.sheet: live.sheet_of(plan)}

    def _fetch(
        self, outcome: live.ToFetch, cancel: threading.Event
    ) -> Generator[Updates, None, Updates | None]:
        """Show each download; what the page ends with where one did not come, else None."""
        stock, result = self._workspace.stock, self._result
        yield {
            result.sheet: sheet.fetching(outcome.items),
            result.stage: stage.waiting("Looking up the files…"),
            result.earlier: EMPTY,
            self._panel.generate: gr.Button(interactive=False),
            self._panel.cancel: gr.Button(interactive=True),
        }
        for item in outcome.items:
            try:
                for event in stock.download(item.preset.slug, cancel):
                    if isinstance(event, Stopped):
                        return self._not_fetched(outcome, esc(download_html.line(event)))
                    yield {
                        result.stage: stage.fetching(event, item.preset.label),
                        self._panel.bar: download_html.progress(event),
                    }
            except StudioError as error:
                return self._not_fetched(outcome, download_html.failed(error))
        return None

    def _not_fetched(self, outcome: live.ToFetch, line: Html) -> Updates:
        stock = self._workspace.stock
        items = [
            MissingWeights(item.preset, stock.known(item.preset.slug)) for item in outcome.items
        ]
        if any(isinstance(item.known, StudioError) for item in items):
            line = EMPTY  # it stands beside what it is about
        return self._idle() | {self._result.sheet: sheet.to_fetch(items, outcome.known, line)}

    def _idle(self) -> Updates:
        return {
            self._result.stage: stage.idle(),
            self._panel.cancel: gr.Button(interactive=False),
        }

    def _watch(self, plan: RunPlan, events: Iterator[AnyEvent], page: str) -> Iterator[Updates]:
        strip = self._sessions.strip(page)
        strip.start(plan)
        running = sheet.running(plan)
        yield {
            self._result.sheet: running,
            self._result.earlier: EMPTY,
            self._result.stage: stage.waiting("Starting"),
            self._panel.compact: sheet.compact("Running", running),
            self._panel.generate: gr.Button("Add to the queue", interactive=True),
            self._panel.cancel: gr.Button(interactive=True),
            **self._waiting.list(page),
        }
        preview, pace, made = EMPTY, Pace(), False
        try:
            for event in events:
                match event:
                    case Queued():
                        line = stage.queue_line(event.ahead)
                        yield self._working(strip, stage.waiting(line), titled(line))
                    case Loading():
                        bar = titled(event.stage)
                        yield self._working(strip, stage.waiting(event.stage), bar)
                    case Stalled():
                        bar = titled(event.line)
                        yield self._working(strip, stage.waiting(event.line), bar)
                    case Progress():
                        if event.preview is not None:
                            preview = stage.preview_of(event.preview)
                        yield from self._step(strip, event, preview, pace)
                    case Finished():
                        preview, made = EMPTY, True
                        strip.add(self._row(event))
                        yield {self._result.strip: self._standing.strip(strip)}
                    case Cancelled() | Failed():
                        yield self._ended(plan, strip, event, made)
                        return
            yield {self._panel.cancel: gr.Button(interactive=False)} | self._standing.stand(strip)
        finally:
            strip.end()

    def _step(self, strip: Strip, event: Progress, preview: Html, pace: Pace) -> Iterator[Updates]:
        """How far the run is, where that is due to be drawn."""
        done = event.index * event.steps + event.step
        left = pace.left(done, event.count * event.steps)
        if pace.is_due():
            bar = stage.progress_bar(event, left)
            yield self._working(strip, stage.progress(event, preview, left), bar)

    def _working(self, strip: Strip, drawn: Html, bar: Html) -> Updates:
        """What a run says while it goes: beneath Generate always, on the stage unless the reader
        looks at another picture."""
        updates: Updates = {self._panel.bar: bar}
        return updates if strip.chosen else updates | {self._result.stage: drawn}

    def _row(self, event: Finished) -> Picture:
        """The gallery's row of a picture that was just saved."""
        made = self._workspace.gallery.made_by(event.record.plan)
        return next(each for each in made if each.path == event.path)

    def _ended(
        self, plan: RunPlan, strip: Strip, event: Cancelled | Failed, made: bool
    ) -> Updates:
        if isinstance(event, Cancelled):
            contract, line, bad = sheet.cancelled(plan), "Cancelled", False
        else:
            contract = sheet.failed(plan, event.message, event.way_out)
            line, bad = f"{event.message} {event.way_out}", True
        updates = {
            self._result.sheet: contract,
            self._panel.compact: sheet.compact(line, contract, bad),
            self._panel.cancel: gr.Button(interactive=False),
        }
        if strip.looked is None or not (made or strip.chosen):
            strip.looked = None
            return updates | {self._result.stage: stage.stopped(line, bad)}
        shown = self._standing.stand(strip)
        del shown[self._result.sheet], shown[self._panel.compact]
        return shown | updates

    def after_run(self, values: Values, page: str) -> Updates:
        """The next plan: a new seed where the field is blank. The sheet keeps the run's."""
        if self._sessions.is_running(page):
            return unchanged()
        values = {**values, "drawn": draw_seed()}
        outcome = live.resolve(values, self._workspace)
        updates = live.around_form(self._panel, values, outcome, self._workspace)
        del updates[self._panel.compact]  # like the sheet
        ready = live.can_run(outcome)
        return updates | {
            self._panel.bar: live.bar(outcome, values, self._sessions.strip(page).looked),
            self._panel.form.drawn: values["drawn"],
            self._result.shown: live.fingerprint(outcome),
            self._panel.generate: gr.Button(live.generate_label(outcome), interactive=ready),
            self._panel.cancel: gr.Button(interactive=False),
            **self._waiting.list(page),
        }

    def cancel(self, page: str) -> Updates:
        """Ask the run to stop; its own last event says that it did."""
        if not self._sessions.cancel(page, RunPlan):
            return unchanged()
        return {self._panel.cancel: gr.Button(interactive=False)}
