"""What happens to a visitor's own LoRA: it comes, is chosen, and is removed."""

from collections.abc import Generator, Iterator
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.library.downloads import DownloadEvent
from studio.presets import LoraPreset
from studio.ui.assets import picked
from studio.ui.clients import client_of, is_heard, page_of
from studio.ui.html import download
from studio.ui.html.gallery import said
from studio.ui.sessions import Sessions
from studio.ui.studio import own_lora
from studio.ui.studio.form import Form, Values
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.lora_events import LoraEvents
from studio.ui.studio.own_lora import OwnLoraField
from studio.workspace.workspace import Workspace


class OwnLoraEvents:
    """What the field does; a LoRA that came is chosen at once."""

    def __init__(
        self,
        workspace: Workspace,
        sessions: Sessions,
        loras: LoraEvents,
        form: Form,
        field: OwnLoraField,
    ) -> None:
        self._workspace = workspace
        self._sessions = sessions
        self._loras = loras
        self._form = form
        self.field = field

    def shown(self) -> Updates:
        """Where files are sent to, and what was brought."""
        workspace = self._workspace
        given, mine = workspace.visitors.a_pass(), workspace.own_loras.mine()
        return {self.field.sender: own_lora.offer(given, mine)}

    def taken(self, request: gr.Request, event: gr.EventData, *sent: Any) -> Updates:
        """A file came, and the page says its slug: it is chosen."""
        return self._chosen(self._form.values(sent), picked(event), page_of(request))

    def _chosen(self, values: Values, slug: str, page: str) -> Updates:
        preset = next((e for e in self._workspace.own_loras.mine() if e.slug == slug), None)
        if preset is None:
            return unchanged()  # it went meanwhile, or is none of theirs
        line = said(f"{preset.label} is here, for you alone.")
        return {**self.shown(), self.field.line: line, **self._loras.use(values, slug, page)}

    def fetch(self, request: gr.Request, text: str, token: str, *sent: Any) -> Iterator[Updates]:
        """Fetch one from the Hub; the token is not in the page any more once it is used."""
        field, values, page = self.field, self._form.values(sent), page_of(request)
        cancel = self._sessions.start_fetching(page)
        if cancel is None:
            yield {field.line: said("Something is being fetched already.", bad=True)}
            return
        yield {field.token: "", field.line: said("Looking up the file…")}
        client = client_of(request, self._workspace.settings)
        events = self._workspace.own_loras.fetch(text, token.strip() or None, client, cancel)
        try:
            preset = None
            for event in self._heard(events):
                if isinstance(event, LoraPreset):
                    preset = event
                else:
                    yield {field.line: said(download.line(event))}
                if not is_heard(request):
                    cancel.set()
            if preset is None:
                yield {field.line: said("It was not fetched.", bad=True)}
            else:
                yield {field.source: "", **self._chosen(values, preset.slug, page)}
        except StudioError as error:
            yield {field.line: said(str(error), bad=True)}
        finally:
            self._sessions.end_fetching(page, cancel)

    @staticmethod
    def _heard(
        events: Generator[DownloadEvent, None, LoraPreset | None],
    ) -> Iterator[DownloadEvent | LoraPreset]:
        """What it says, and what it returns."""
        preset = yield from events
        if preset is not None:
            yield preset

    def drop(self, request: gr.Request) -> Updates:
        """Remove what was brought, here and on the device."""
        workspace = self._workspace
        try:
            owner = workspace.visitors.whose()
            if owner is not None:
                workspace.own_loras.drop(owner)
                self._sessions.let_go(page_of(request))
        except StudioError as error:
            return {self.field.line: said(str(error), bad=True)}
        return {**self.shown(), self.field.line: said("Your LoRAs are removed.")}
