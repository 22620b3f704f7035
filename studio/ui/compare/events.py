"""What happens on the left of the Compare tab: the plan, and the run."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

import gradio as gr

from studio.comparison.axes import ComparisonPlan, Question
from studio.comparison.differences import summary, uninvited
from studio.comparison.events import (
    CellDone,
    CellFailed,
    CellWorking,
    Compared,
    NothingCompared,
)
from studio.comparison.record import CellRecord, blank_cells, done, failed
from studio.contract.events import Cancelled, Failed, Queued
from studio.contract.origin import Origin
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
from studio.contract.settings import SETTINGS
from studio.contract.violations import Violation
from studio.errors import QueueFull, StudioError
from studio.presets import LoraPreset
from studio.ui.compare import lora_choice
from studio.ui.compare.form import KIND_HELP, CompareInput, ComparePanel
from studio.ui.compare.layout import CompareStage
from studio.ui.compare.viewer import CompareLook
from studio.ui.html import comparison as compare_html
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, div, join, tag
from studio.ui.pace import Pace
from studio.ui.sessions import Sessions
from studio.ui.studio import form
from studio.ui.studio.hints import problems_at
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.comparing import Comparing
from studio.workspace.line import AnyEvent
from studio.workspace.workspace import Workspace

ComparisonOutcome = list[ComparisonPlan] | tuple[Violation, ...]
_COMPARING = "This comparison is still being made. Wait for it or cancel it, then open the other."


class CompareEvents:
    """Handlers; each takes the values of Studio's form and of the panel."""

    def __init__(
        self,
        workspace: Workspace,
        sessions: Sessions,
        panel: ComparePanel,
        parts: CompareStage,
    ) -> None:
        self._workspace = workspace
        self._sessions = sessions
        self._comparing = Comparing(workspace)
        self.panel = panel
        self.parts = parts
        self.look = CompareLook(workspace, parts)

    def known(self, names: Sequence[str]) -> list[str]:
        """LoRAs and patterns among what was picked; the field can still have held another
        axis's values when they were picked."""
        loras = self._workspace.catalog.loras
        return [name for name in names if name in loras or "*" in name]

    def refresh(self, request_values: form.Values, asked: CompareInput, page: str) -> Updates:
        """After any edit: the cells and their cost, or everything in the way."""
        panel, kind = self.panel, Question(asked.kind)
        updates: Updates = {
            panel.hint: KIND_HELP[kind],
            panel.sweep: gr.Column(visible=kind in (Question.STRENGTHS, Question.SEEDS_STRENGTHS)),
            panel.duel: gr.Column(visible=kind is Question.LORA_AGAINST_LORA),
            panel.grid: gr.Column(visible=kind is Question.GRID),
        }
        if request_values["base"] is None:
            return updates | {panel.bar: compare_html.trouble("There is no base model.")}
        broken = (*form.not_whole(request_values), *asked.problems())
        if broken:
            return updates | self._refused(broken)
        request = form.read(request_values, self._workspace.catalog)
        other = lora_choice.suggested(request, asked.other, self._workspace)
        asked = replace(asked, other="" if other is None else other.slug)
        updates |= {panel.request: self._asked(request), **self._loras(request, asked, other)}
        try:
            outcome = self._plan(request, asked)
            if isinstance(outcome, tuple):
                return updates | self._refused(outcome)
            bar = self._bar(outcome)
        except StudioError as error:
            return updates | self._refused(()) | {panel.bar: compare_html.trouble(str(error))}
        ready = not self._sessions.is_running(page)
        return updates | {
            panel.seeds_hint: EMPTY,
            panel.bar: bar,
            panel.compare: gr.Button(interactive=ready),
        }

    def _refused(self, found: Sequence[Violation]) -> Updates:
        """Every problem beneath Compare, and that of the seeds beside its field."""
        problems = (tag("li", item.describe(), data_code=item.code) for item in found)
        return {
            self.panel.seeds_hint: problems_at("count", found),
            self.panel.bar: tag("ul", *problems, class_="ls-compare-problems"),
            self.panel.compare: gr.Button(interactive=False),
        }

    def must_hold(self, values: form.Values) -> bool:
        """Whether a LoRA's own wishes would differ along with it. Where none would, each arm may
        keep the contract that it has alone, so that a picture of the gallery is one of them."""
        plan = self._workspace.plan(form.read(values, self._workspace.catalog))
        if not isinstance(plan, RunPlan):
            return True
        said = (getattr(plan.settings, setting.name) for setting in SETTINGS)
        wishes = any(each is not None and each.origin is Origin.LORA for each in said)
        return wishes or any(part.slugs for part in plan.prompt.negative_parts)

    def _plan(self, request: GenerationRequest, asked: CompareInput) -> ComparisonOutcome:
        return self._comparing.plan_pages(asked.of(request), asked.prompts)

    def _asked(self, request: GenerationRequest) -> Html:
        """The request that every cell starts from, in two lines."""
        catalog = self._workspace.catalog
        names = [catalog.models[request.base].label, request.mode.label]
        for choice in request.loras:
            preset = catalog.loras.get(choice.slug)
            names.append(preset.label if preset else choice.slug)
        return div(
            "ls-asked-card",
            tag("p", request.prompt, class_="ls-strong"),
            tag("p", " · ".join([*names, f"seed {request.seed}"]), class_="ls-origin"),
        )

    def _loras(
        self, request: GenerationRequest, asked: CompareInput, other: LoraPreset | None
    ) -> Updates:
        """The other LoRA, and what opens the browser for it and for the axes."""
        panel, workspace = self.panel, self._workspace
        family = workspace.catalog.models[request.base].base_architecture
        taken = [choice.slug for choice in request.loras]
        along = lora_choice.along
        return {
            panel.other: asked.other,
            panel.choose: lora_choice.other(other, family, taken, workspace),
            panel.column_loras: along(asked.columns, asked.column_values, "columns", family),
            panel.row_loras: along(asked.rows, asked.row_values, "rows", family),
        }

    def _bar(self, plans: list[ComparisonPlan]) -> Html:
        first = plans[0]
        line = f"{summary(first)} {compare_html.forecast_line(self._comparing.forecast(*plans))}"
        if len(plans) > 1:
            line = f"{line} On {len(plans)} pages, each a comparison of its own."
        foreign = [side.difference for side in uninvited(first)]
        return join((tag("p", line), compare_html.not_asked_for(foreign)))

    def open(self, name: str, page: str) -> Updates:
        """Show a stored comparison, unless one is being made: the page holds one at a time."""
        if self._sessions.is_comparing(page):
            return {self.parts.notice: compare_html.trouble(_COMPARING)}
        return self.look.open(name)

    # The run

    def run(
        self, request_values: form.Values, asked: CompareInput, page: str
    ) -> Iterator[Updates]:
        """Make the cells, showing each as it comes, and then the verdict."""
        broken = form.not_whole(request_values) or asked.problems()
        request = form.read(request_values, self._workspace.catalog)
        outcome = broken or self._plan(request, asked)
        if isinstance(outcome, tuple):
            yield self.refresh(request_values, asked, page)
            return
        run_ids: list[str] = []
        try:
            for plan in outcome:
                run_ids.append(self._sessions.submit(page, plan, asked.fresh))
        except QueueFull as error:
            for run_id in run_ids:
                self._sessions.remove(page, run_id)
            yield {self.panel.bar: compare_html.trouble(str(error))}
            return
        yield from self._watch_all(page, zip(outcome, run_ids, strict=True))

    def resume(self, page: str) -> Iterator[Updates]:
        """The page opens while comparisons of its browser go on: watch them."""
        yield unchanged()  # to gradio a generator that gives nothing gives None for everything
        going = self._sessions.going(page, ComparisonPlan)
        if going:
            yield from self._watch_all(page, ((plan, each.run_id) for plan, each in going))
            yield {self.panel.cancel: gr.Button(interactive=False)}

    def _watch_all(
        self, page: str, runs: Iterable[tuple[ComparisonPlan, str]]
    ) -> Iterator[Updates]:
        """One after another; what was cancelled is the last that is shown."""
        for plan, run_id in runs:
            if (yield from self._watch(plan, self._sessions.watch(page, run_id))):
                return

    def _watch(
        self, plan: ComparisonPlan, events: Iterator[AnyEvent]
    ) -> Generator[Updates, None, bool]:
        """Returns whether it was cancelled."""
        parts, panel, outputs = self.parts, self.panel, self._workspace.gallery.outputs
        shown = compare_html.Grid(plan.rows, plan.columns, blank_cells(plan), outputs)
        foreign = [side.difference for side in uninvited(plan)]
        yield {
            parts.notice: EMPTY,
            parts.seal: compare_html.running(plan, foreign),
            parts.grid: compare_html.grid(shown),
            parts.look: gr.Column(visible=False),
            parts.kept: gr.Column(visible=False),
            parts.stored: "",
            panel.compare: gr.Button(interactive=False),
            panel.cancel: gr.Button(interactive=True),
        }
        pace, cancelled = Pace(), False
        for event in events:
            match event:
                case CellWorking(cell=cell) if cell in shown.working and not pace.is_due():
                    pass
                case CellWorking(cell=cell):
                    label = shown.cells[cell].label
                    left = pace.left(event.done + compare_html.within(event.event), event.total)
                    bar = compare_html.progress(label, event.done, event.total, event.event, left)
                    changes: Updates = {parts.progress: bar}
                    if cell not in shown.working:
                        shown = replace(shown, working=shown.working | {cell})
                        changes[parts.grid] = compare_html.grid(shown)
                    yield changes
                case CellDone() | CellFailed():
                    shown = self._with(shown, event)
                    yield {parts.grid: compare_html.grid(shown)}
                case Compared(path=path):
                    cancelled = event.cancelled
                    yield self.look.open(path.relative_to(outputs).as_posix())
                case NothingCompared() | Cancelled() | Failed():
                    cancelled = event == NothingCompared(True) or isinstance(event, Cancelled)
                    yield {
                        parts.seal: compare_html.trouble(_why_none(event)),
                        parts.progress: EMPTY,
                    }
                case Queued(ahead=ahead):
                    line = f"Waiting; {format.plural(ahead, 'run')} before this one."
                    yield {parts.progress: tag("p", line, class_="ls-origin")}
        return cancelled

    def _with(self, shown: compare_html.Grid, event: CellDone | CellFailed) -> compare_html.Grid:
        cell = shown.cells[event.cell]
        changed: CellRecord
        if isinstance(event, CellDone):
            name = event.path.relative_to(shown.outputs).as_posix()
            changed = done(cell, event.record, name, event.reused)
        else:
            changed = failed(cell, event.error)
        cells = list(shown.cells)
        cells[event.cell] = changed
        return replace(shown, cells=cells, working=shown.working - {event.cell})

    def after_run(self, request_values: form.Values, asked: CompareInput, page: str) -> Updates:
        return self.refresh(request_values, asked, page) | {
            self.parts.notice: EMPTY,
            self.panel.cancel: gr.Button(interactive=False),
        }

    def cancel(self, page: str) -> Updates:
        self._sessions.cancel(page, ComparisonPlan, every=True)
        return {self.panel.cancel: gr.Button(interactive=False)}


def _why_none(event: NothingCompared | Cancelled | Failed) -> str:
    match event:
        case Failed():
            return f"{event.message} {event.way_out}"
        case NothingCompared(cancelled=False):
            return "No cell could be made; each says why."
        case _:
            return "Cancelled before the first picture."
