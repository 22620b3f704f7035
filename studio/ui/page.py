"""The whole page: header, tabs, and what happens when it opens and closes."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from studio.ui import api, own_api, tools, uploads
from studio.ui.address import PageAddress
from studio.ui.assets import ADDRESS, ENDING, KEYS, picked
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.clients import client_of, page_of, visitor_now
from studio.ui.compare import tab as compare_tab
from studio.ui.compare.tab import CompareTab
from studio.ui.gallery import review
from studio.ui.gallery import tab as gallery_tab
from studio.ui.html import format as words
from studio.ui.html import icons
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag
from studio.ui.models import tab as models_tab
from studio.ui.sessions import Sessions
from studio.ui.studio import tab as studio_tab
from studio.ui.studio.live import Updates
from studio.ui.studio.tab import StudioTab, quick
from studio.ui.trials import tab as trials_tab
from studio.ui.trials.tab import TrialsTab
from studio.ui.warm_up import WarmUp
from studio.workspace.expiry import keep_sweeping
from studio.workspace.runs import Runs
from studio.workspace.workspace import WorkerStatus, Workspace

TITLE = "LoRA Studio"
TABS = ("studio", "compare", "trials", "gallery", "models")
HEARTBEAT = 3.0
"""Seconds between two looks at the device and its queue."""


def build(workspace: Workspace) -> gr.Blocks:
    """The page over ``workspace``; theme and style are given to ``launch``."""
    uploads.folder()
    runs = Runs(workspace)
    sessions = Sessions(runs)
    if workspace.settings.is_public:
        workspace.visitors.ask(lambda: visitor_now(sessions))
        keep_sweeping(workspace, sessions.here, runs.limits.alone)
    warming = WarmUp(workspace)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as demo:
        # First, because gradio gives the second of two functions of one name another one.
        browser = LoraBrowser(workspace, may_star=not workspace.settings.is_public)
        endpoints = api.Api(workspace, runs)
        if workspace.settings.mcp:
            tools.build(workspace, endpoints, browser)
        api.build(endpoints, documented=not workspace.settings.mcp)
        own_api.build(workspace, documented=not workspace.settings.mcp)
        with gr.Row(elem_classes="ls-header"):
            name = gr.HTML(
                _name(),
                js_on_load=KEYS + ADDRESS + ENDING,
                apply_default_css=False,
                elem_classes="ls-name",
            )
            status = gr.HTML(
                _status(workspace, warming), apply_default_css=False, elem_classes="ls-status"
            )
            gr.HTML(_help(), apply_default_css=False, elem_classes="ls-help")
        reviewer = review.reviewer()
        with gr.Tabs(elem_classes="ls-tabs", selected=TABS[0]) as tabs:
            place = PageAddress(name, tabs)
            with gr.Tab("Studio", id=TABS[0]) as first:
                studio = studio_tab.build(workspace, sessions)
            with gr.Tab("Compare", id=TABS[1]) as compare:
                comparisons = compare_tab.build(
                    workspace, sessions, studio, compare, place, reviewer
                )
            trials = _trials(workspace, runs, place, reviewer)
            with gr.Tab("Gallery", id=TABS[3]) as gallery:
                beside = gallery_tab.Others(studio, comparisons, place)
                gallery_tab.build(workspace, sessions, beside, gallery, reviewer)
            with gr.Tab("Models", id=TABS[4]) as models:
                others = models_tab.OtherTabs(studio, trials, place)
                models_tab.build(workspace, browser, others, models)
        _wire_try(browser, browser.build(), trials, tabs)
        _wire(demo, workspace, sessions, warming, studio, comparisons, status)
        _wire_return(studio, first)
        place.on_visit("studio", lambda _named, _request: {})
    _hide_progress(demo)
    return demo


def _hide_progress(demo: gr.Blocks) -> None:
    """What is hidden is told to no component.

    The browser would look up each output of every event, hundreds of them, at each word of how far
    it is, only to hide that there: a fifth of the page's own time, and more of each event's.
    """
    for event in demo.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = []


def _trials(
    workspace: Workspace, runs: Runs, place: PageAddress, reviewer: gr.BrowserState
) -> TrialsTab | None:
    """The tab of trials; strangers have none."""
    if workspace.settings.is_public:
        return None
    with gr.Tab("Trials", id=TABS[2]) as tab:
        return trials_tab.build(workspace, runs, tab, place, reviewer)


def _wire_try(
    browser: LoraBrowser, shown: gr.HTML, trials: TrialsTab | None, tabs: gr.Tabs
) -> None:
    """The run of a LoRA in the browser is taken to Trials, where there are any."""
    if trials is None:
        return

    def attempt(event: gr.EventData) -> Iterator[Updates]:
        yield from trials.try_of(picked(event), tabs)

    browser.run_of = trials.events.run_of
    shown.pick(attempt, outputs=[*trials.outputs, tabs], **trials_tab.LONG)


def _name() -> Html:
    return tag("h1", icons.MARK, span("", TITLE))


def _help() -> Html:
    label = "Keys and sound"
    return tag("button", "?", type="button", data_help=True, aria_label=label, title=label)


def _status(workspace: Workspace, warming: WarmUp) -> Html:
    waiting = workspace.queue_length()
    queue = f"{words.plural(waiting, 'run')} in the queue" if waiting else "idle"
    return join(
        (
            span("ls-device", warming.device()),
            _workers(workspace),
            div(f"ls-queue{' ls-busy' if waiting else ''}", span("ls-dot", ""), queue),
        )
    )


def _workers(workspace: Workspace) -> Html:
    """One mark for each worker, which tells about it when it is pointed at or read out."""
    marks = [
        span(
            "ls-worker",
            each.name,
            data_condition=each.condition.name.lower(),
            title=_about(each),
            role="img",
            aria_label=_about(each).replace("\n", ", "),
        )
        for each in workspace.workers()
    ]
    return span("ls-workers", *marks) if marks else EMPTY


def _about(worker: WorkerStatus) -> str:
    said = [f"Worker {worker.name}: {worker.condition.value}", worker.hardware]
    said += [f"runs {worker.running}"] if worker.running else []
    said += [f"in memory: {', '.join(worker.resident)}"] if worker.resident else []
    said += [f"{worker.done} done, {worker.failed} failed", worker.problem]
    return "\n".join(each for each in said if each)


def _wire(
    demo: gr.Blocks,
    workspace: Workspace,
    sessions: Sessions,
    warming: WarmUp,
    studio: StudioTab,
    comparisons: CompareTab,
    status: gr.HTML,
) -> None:
    key = gr.BrowserState("", storage_key="lora-studio-key", secret=TITLE)
    form = studio.events.panel.form

    def opened(
        request: gr.Request,
        profile: gr.OAuthProfile | None,
        known: str | None,
        kept: Any,
        *sent: Any,
    ) -> Updates:
        page, settings = page_of(request), workspace.settings
        account = str(profile["sub"]) if profile is not None and settings.signs_in else None
        held = {key: sessions.open(page, known, client_of(request, settings), account)}
        return held | studio.events.start(form.values(sent), kept, page)

    def resumed(request: gr.Request, *sent: Any) -> Iterator[Updates]:
        yield from studio.run.resume(form.values(sent), page_of(request))

    def compared(request: gr.Request) -> Iterator[Updates]:
        yield from comparisons.resume(page_of(request))

    def look() -> str:
        return _status(workspace, warming)

    def closed(request: gr.Request) -> None:
        sessions.close(page_of(request))

    outputs = [key, *studio.outputs]
    load = demo.load(
        **quick(
            studio, opened, inputs=[key, studio.events.panel.kept, *studio.inputs], outputs=outputs
        )
    )
    watching: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
    }
    if studio.own is not None:
        field = studio.own.field
        load.then(**quick(studio, studio.own.shown, outputs=[field.sender]))
    load.then(resumed, inputs=studio.inputs, outputs=studio.outputs, **watching)
    load.then(compared, outputs=comparisons.outputs, **watching)
    # Once the first page stands, torch may come: it would have kept the page waiting.
    demo.load(warming.start, queue=False, show_progress="hidden", api_visibility="private")
    demo.unload(closed)
    # After a run at once: beside its picture nothing says that it is in the queue.
    for each in (gr.Timer(HEARTBEAT).tick, studio.ran.then, comparisons.ran.then):
        each(look, outputs=status, queue=False, show_progress="hidden", api_visibility="private")


def _wire_return(studio: StudioTab, tab: gr.Tab) -> None:
    events, panel = studio.events, studio.events.panel

    def entered(request: gr.Request, shown: str, *sent: Any) -> Updates:
        return events.enter(panel.form.values(sent), shown, page_of(request))

    inputs = [events.result.shown, *studio.inputs]
    tab.select(**quick(studio, entered, inputs=inputs))
