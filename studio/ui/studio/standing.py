"""The picture on the stage with its own contract, and the other pictures of the session."""

from studio.errors import GalleryError
from studio.ui.html import contract as sheet
from studio.ui.html import gallery as gallery_html
from studio.ui.html import picture as stage
from studio.ui.html.tags import EMPTY, Html
from studio.ui.sessions import Sessions, Strip
from studio.ui.studio.events import StudioEvents
from studio.ui.studio.form import Values, draw_seed, write
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.workspace import Workspace


class StageEvents:
    """Handlers of the stage, of the strip and of the seed's button."""

    def __init__(self, workspace: Workspace, sessions: Sessions, events: StudioEvents) -> None:
        self._workspace = workspace
        self._sessions = sessions
        self._events = events

    def look(self, name: str, page: str) -> Updates:
        """A picture of the session comes back with its contract and its receipt; no name is the
        run that goes on."""
        strip, result = self._sessions.strip(page), self._events.result
        if not name:
            strip.chosen = False
            if strip.running is None:
                return unchanged()
            return {
                result.sheet: sheet.running(strip.running),
                result.stage: stage.waiting("The next step shows it"),
                result.earlier: EMPTY,
            }
        if strip.look(name) is None:
            return unchanged()
        note = stage.going_on() if strip.chosen else EMPTY
        return {result.earlier: note} | self.stand(strip)

    def stand(self, strip: Strip) -> Updates:
        """The picture on the stage, its contract above it and the others beneath."""
        result, gallery = self._events.result, self._workspace.gallery
        if strip.looked is None:
            return {result.stage: stage.idle(), result.strip: self.strip(strip)}
        try:
            record = gallery.read(strip.looked.name)
        except GalleryError as error:
            strip.forget(strip.looked.name)
            said = gallery_html.said(str(error), bad=True)
            return {result.earlier: said, result.strip: self.strip(strip)}
        contract = sheet.of_record(record, full=False)
        return {
            result.sheet: contract,
            result.stage: stage.done(strip.looked.path, record),
            result.strip: self.strip(strip),
            self._events.panel.compact: sheet.compact(sheet.standing(record), contract),
        }

    def strip(self, strip: Strip) -> Html:
        shown = []
        for each in strip.made:
            try:
                shown.append((each, self._workspace.gallery.thumbnail(each)))
            except GalleryError:  # its file is gone, or the disk is full
                strip.forget(each.name)
        return stage.strip(shown, "" if strip.looked is None else strip.looked.name)

    def act(self, key: str, values: Values, page: str) -> Updates:
        """A button beside the picture: its seed, or all its settings, into the form."""
        looked = self._sessions.strip(page).looked
        if looked is None:
            return unchanged()
        if key == "seed":
            return self._seed(looked.seed, values, page)
        if key != "use":
            return unchanged()
        try:
            plan = self._workspace.gallery.read(looked.name).plan
        except GalleryError as error:
            return {self._events.result.earlier: gallery_html.said(str(error), bad=True)}
        written = write(plan, looked.seed, self._workspace.catalog)
        return self._events.fill({**values, **written}, page)

    def hold(self, key: str, values: Values, page: str) -> Updates:
        """The button beneath Generate: hold the seed of the picture, or of the plan, or draw."""
        looked = self._sessions.strip(page).looked
        if key == "draw":
            return self._seed(None, {**values, "drawn": draw_seed()}, page)
        if key != "keep":
            return unchanged()
        return self._seed(values["drawn"] if looked is None else looked.seed, values, page)

    def _seed(self, seed: int | None, values: Values, page: str) -> Updates:
        values = {**values, "seed": seed}
        form = self._events.panel.form
        said = {form.seed: seed, form.drawn: values["drawn"]}
        return self._events.refresh(values, page) | said
