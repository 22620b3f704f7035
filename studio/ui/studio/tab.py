"""The Studio tab: request on the left, contract and picture on the right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.recall.request import Recalled
from studio.resolve.foreign import convert
from studio.ui.assets import TELLING, picked
from studio.ui.clients import page_of
from studio.ui.sessions import Sessions
from studio.ui.studio import layout, pasted, recall, result
from studio.ui.studio.events import StudioEvents
from studio.ui.studio.form import Values
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.lora_events import LoraEvents
from studio.ui.studio.own_lora_events import OwnLoraEvents
from studio.ui.studio.recall import RecallField
from studio.ui.studio.run import RunEvents
from studio.ui.studio.standing import StageEvents
from studio.ui.studio.start import Start
from studio.ui.studio.waiting import WaitingEvents
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class StudioTab:
    """What other tabs need of this one.

    Attributes:
        recalls: the events that fill its form with what a picture says.
        ran: the event after which a run has ended.
    """

    events: StudioEvents
    loras: LoraEvents
    own: OwnLoraEvents | None
    run: RunEvents
    outputs: list[Any]
    inputs: list[Any]
    recalled: RecallField
    recalls: tuple[Any, ...] = ()
    ran: Any = None


def build(workspace: Workspace, sessions: Sessions) -> StudioTab:
    """Lay the tab out and wire it; call inside its gr.Tab."""
    with gr.Row(elem_classes="ls-studio"):
        with gr.Column(scale=5, min_width=320, elem_classes="ls-request"):
            recalled = recall.build()
            panel = layout.build(
                Start.of(workspace.catalog, workspace.present()), workspace.settings
            )
        with gr.Column(scale=7, min_width=320, elem_classes="ls-result"):
            shown = result.build()
    events = StudioEvents(workspace, sessions, panel, shown)
    standing = StageEvents(workspace, sessions, events)
    waiting = WaitingEvents(sessions, shown)
    run = RunEvents(workspace, sessions, events, standing, waiting)
    loras = LoraEvents(workspace, events)
    own = OwnLoraEvents(workspace, sessions, loras, panel.form, panel.own) if panel.own else None
    tab = StudioTab(events, loras, own, run, _outputs(events), panel.form.inputs(), recalled)
    recalls = _wire_recall(tab, workspace)
    _wire_form(tab)
    if own is not None:
        _wire_own(tab, own)
    ran = _wire_run(tab)
    _wire_stage(tab, standing)
    _wire_waiting(tab, waiting)
    return replace(tab, recalls=recalls, ran=ran)


def _outputs(events: StudioEvents) -> list[Any]:
    panel = events.panel
    slots = [part for slot in panel.slots for part in slot.shown()]
    reference = [panel.reference.files, panel.reference.strip, panel.reference.clear]
    around = [panel.add, panel.settings, panel.bar]
    around += [panel.things, panel.note, panel.kept]
    run = [panel.compact, panel.generate, panel.cancel, *events.result.all()]
    seen = [*panel.hints.values(), *panel.fields.values()]
    return [*panel.form.inputs(), *slots, *reference, *around, *seen, *run]


def quick(tab: StudioTab, handler: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Arguments of an event that only looks: never queued, the last of many wins."""
    return {
        "fn": handler,
        "outputs": tab.outputs,
        "queue": False,
        "show_progress": "hidden",
        "trigger_mode": "always_last",
        "api_visibility": "private",
        **given,
    }


def _of_form(tab: StudioTab, handler: Callable[[Values, str], Updates]) -> Callable[..., Updates]:
    """The handler for all inputs of the form; a closure, because gradio reads the signature."""

    def handle(request: gr.Request, *sent: Any) -> Updates:
        return handler(tab.events.panel.form.values(sent), page_of(request))

    return handle


def _wire_form(tab: StudioTab) -> None:
    events, panel, inputs = tab.events, tab.events.panel, tab.inputs
    form = panel.form

    def draw(event: gr.EventData, chosen: str | None, prompt: str) -> str:
        return events.draw(chosen, prompt, picked(event))

    edited = [form.base, form.mode, *form.settings.values(), form.seed, form.count]
    edited += [form.prompt_encoder, form.allow_cut, *form.partials]
    # A text box tells ``input`` of key presses only, not of words that are pasted or dropped.
    # A slider clamps a typed number when it is left, and tells ``change`` only.
    boxes = (form.prompt, form.negative_prompt, *form.strengths)
    written = [box.change for box in boxes]
    # One event of them all: of two, the answer to what was done first could come last.
    edit = _of_form(tab, events.edited)
    gr.on([*written, *(part.input for part in edited)], **quick(tab, edit, inputs=inputs))
    events.result.asking.tick(**quick(tab, _of_form(tab, events.refresh), inputs=inputs))
    # The prompt then tells that it has changed.
    drawn = {"inputs": [form.base, form.prompt], "outputs": [form.prompt]}
    panel.things.pick(**quick(tab, draw, **drawn, **TELLING))

    def put(event: gr.EventData, typed: str) -> Any:
        return gr.skip() if picked(event) == pasted.KEY else convert(typed).text

    def take(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        if picked(event) != pasted.KEY:
            return unchanged()
        return tab.loras.take_tags(form.values(sent), page_of(request))

    panel.hints["prompt"].pick(**quick(tab, take, inputs=inputs, **TELLING))
    for box, name in ((form.prompt, "prompt"), (form.negative_prompt, "negative_prompt")):
        panel.hints[name].pick(**quick(tab, put, inputs=[box], outputs=[box], **TELLING))
    _wire_references(tab)
    panel.reset.click(**quick(tab, _of_form(tab, events.reset), inputs=inputs))
    _wire_loras(tab)


def _wire_loras(tab: StudioTab) -> None:
    loras, panel, inputs = tab.loras, tab.events.panel, tab.inputs
    form = panel.form

    def add(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        slug = picked(event).partition(" ")[2]
        return loras.add(form.values(sent), slug, page_of(request))

    switch = _of_form(tab, loras.switch)
    panel.add.pick(**quick(tab, add, inputs=inputs, **TELLING))
    gr.on([slot.on.input for slot in panel.slots], **quick(tab, switch, inputs=inputs))
    for number, slot in enumerate(panel.slots):
        slot.actions.pick(**quick(tab, _on_row(tab, number), inputs=inputs, **TELLING))


def _wire_own(tab: StudioTab, own: OwnLoraEvents) -> None:
    field = own.field
    outputs = [field.sender, field.source, field.token, field.line]
    whole = [*outputs, *tab.outputs]
    field.sender.taken(**quick(tab, own.taken, inputs=tab.inputs, outputs=whole, **TELLING))
    field.drop.click(**quick(tab, own.drop, outputs=outputs))
    gr.on(
        [field.fetch.click, field.source.submit],
        own.fetch,
        inputs=[field.source, field.token, *tab.inputs],
        outputs=whole,
        show_progress="hidden",
        concurrency_limit=None,
        api_visibility="private",
    )


def _on_row(tab: StudioTab, number: int) -> Callable[..., Updates]:
    """What the buttons of one row do; a closure, because gradio reads the signature."""

    def act(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        values = tab.events.panel.form.values(sent)
        return tab.loras.act(values, number, picked(event), page_of(request))

    return act


def _wire_references(tab: StudioTab) -> None:
    events, form, inputs = tab.events, tab.events.panel.form, tab.inputs
    field = tab.events.panel.reference

    def add(request: gr.Request, files: Any, *sent: Any) -> Updates:
        return events.add_references(form.values(sent), files or (), page_of(request))

    field.files.upload(**quick(tab, add, inputs=[field.files, *inputs]))
    field.clear.click(**quick(tab, _of_form(tab, events.clear_references), inputs=inputs))


def _wire_recall(tab: StudioTab, workspace: Workspace) -> tuple[Any, ...]:
    """Returns the events after which the form says what a picture said."""
    events, form, field = tab.events, tab.events.panel.form, tab.recalled

    def fill(found: Recalled | StudioError, values: Values, page: str) -> Updates:
        said: Updates = {field.said: recall.account(found)}
        if isinstance(found, StudioError):
            return said
        said[field.compared] = recall.comparison_of(found)
        return said | events.recall(values, found, page)

    def from_file(request: gr.Request, path: str, *sent: Any) -> Updates:
        return fill(recall.from_file(workspace, path), form.values(sent), page_of(request))

    def from_text(request: gr.Request, text: str, *sent: Any) -> Updates:
        return fill(recall.from_text(workspace, text), form.values(sent), page_of(request))

    def read(handler: Callable[..., Updates], source: Any) -> dict[str, Any]:
        outputs = [field.said, field.compared, *tab.outputs]
        inputs = [source, *tab.inputs]
        return quick(tab, handler, inputs=inputs, outputs=outputs, trigger_mode="once")

    return (
        field.file.upload(**read(from_file, field.file)),
        field.read.click(**read(from_text, field.text)),
    )


def _wire_run(tab: StudioTab) -> Any:
    run, panel, inputs = tab.run, tab.events.panel, tab.inputs
    form, result = panel.form, tab.events.result

    def generate(request: gr.Request, shown: str, *sent: Any) -> Iterator[Updates]:
        yield from run.generate(form.values(sent), shown, page_of(request))

    def cancel(request: gr.Request) -> Updates:
        return run.cancel(page_of(request))

    ran = gr.on(
        [panel.generate.click, form.prompt.submit],
        generate,
        inputs=[result.shown, *inputs],
        outputs=tab.outputs,
        show_progress="hidden",
        trigger_mode="multiple",
        # The workspace has the queue of the device and tells each run its place in it.
        concurrency_limit=None,
        api_visibility="private",
    )
    panel.cancel.click(**quick(tab, cancel, outputs=[panel.cancel], trigger_mode="once"))
    after = _of_form(tab, run.after_run)
    return ran.then(**quick(tab, after, inputs=inputs, trigger_mode="multiple"))


def _wire_stage(tab: StudioTab, standing: StageEvents) -> None:
    result, panel, inputs = tab.events.result, tab.events.panel, tab.inputs
    form = panel.form

    def look(request: gr.Request, event: gr.EventData) -> Updates:
        return standing.look(picked(event), page_of(request))

    def act(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        return standing.act(picked(event), form.values(sent), page_of(request))

    def hold(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        return standing.hold(picked(event), form.values(sent), page_of(request))

    def download(request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        return tab.events.download(picked(event), form.values(sent), page_of(request))

    for each in (result.sheet, panel.compact):
        each.pick(**quick(tab, download, inputs=inputs, **TELLING))
    result.strip.pick(**quick(tab, look, **TELLING))
    result.earlier.pick(**quick(tab, look, **TELLING))
    result.stage.pick(**quick(tab, act, inputs=inputs, **TELLING))
    panel.bar.pick(**quick(tab, hold, inputs=inputs, **TELLING))


def _wire_waiting(tab: StudioTab, waiting: WaitingEvents) -> None:
    def act(request: gr.Request, event: gr.EventData) -> Updates:
        return waiting.act(picked(event), page_of(request))

    listed = tab.events.result.waiting
    listed.pick(**quick(tab, act, outputs=[listed], **TELLING))
