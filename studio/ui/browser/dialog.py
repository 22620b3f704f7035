"""The browser on the page: one dialog, which any tab opens, and what the server answers it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.architecture import TRAITS, Architecture
from studio.contract.base import is_slug
from studio.errors import StudioError
from studio.library.catalogue import Holding
from studio.presets import Catalog
from studio.ui.assets import script
from studio.ui.browser import markup
from studio.ui.browser.markup import ShownLora
from studio.ui.browser.query import LoraQuery
from studio.ui.browser.shelf import FilterChoices, LoraCard, LoraFacts, LoraPage, LoraShelf
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, join
from studio.workspace.workspace import Workspace

KEPT = 5.0
"""Seconds for which what is on disk and what was used is not asked anew."""
AGAIN = 1500
"""Milliseconds until a page that waits for the files' headers asks again."""

BrowserAnswer = dict[str, str]


class _BrowserInput(BaseModel):
    """What the page sends.

    Attributes:
        taken, picked: slugs that cannot be picked again, and those that are picked.
        star: a slug whose star was pressed.
    """

    model_config = ConfigDict(frozen=True)
    query: LoraQuery
    taken: tuple[str, ...] = Field(default=(), max_length=1000)
    picked: tuple[str, ...] = Field(default=(), max_length=1000)
    star: str = ""


class LoraBrowser:
    """What the dialog asks for; safe for several threads.

    Args:
        may_star: whether visitors may change the favourites.

    Attributes:
        run_of: of which training run a LoRA is, by its slug; None where nobody may try one.
    """

    def __init__(self, workspace: Workspace, may_star: bool) -> None:
        self._workspace = workspace
        self._may_star = may_star
        self.run_of: Callable[[str], object | None] | None = None
        self._lock = threading.Lock()
        self._shelf: tuple[Catalog, tuple[Holding, ...], LoraShelf] | None = None
        self._known: dict[Path | None, tuple[float, LoraFacts]] = {}

    def build(self) -> gr.HTML:
        """Lay the dialog out, once on the page and outside its tabs. Its ``pick`` says of which
        LoRA the run is to be tried."""

        def lists(sent: Any) -> BrowserAnswer:
            return self.lists(sent)

        def look(sent: Any) -> BrowserAnswer:
            return self.look(sent)

        return gr.HTML(
            markup.dialog(self._may_star),
            js_on_load=script("browser", AGAIN=AGAIN),
            apply_default_css=False,
            server_functions=[lists, look],
            elem_classes="ls-browser-place",
        )

    def lists(self, sent: Any) -> BrowserAnswer:
        """What the filters of an architecture offer; then as ``look``."""
        asked = _read(sent)
        architecture = None if asked is None else asked.query.architecture
        choices: FilterChoices = self.shelf().choices(architecture)
        return {
            "folder": _options("All folders", choices.folders),
            "theme": _options("All themes", choices.themes),
            "tag": _options("All tags", choices.tags),
            **self.look(sent),
        }

    def look(self, sent: Any) -> BrowserAnswer:
        """A page of cards; ``reading`` is not empty while more files are looked at."""
        asked = _read(sent)
        if asked is None:
            return {"found": markup.nothing("This cannot be looked for.", clear=True)}
        try:
            if asked.star and self._may_star:
                self._favour(asked.star)
            known = self.known()
            found = self.shelf().find(asked.query, known)
            return {"found": self._found(asked, found, known), "reading": self._reading()}
        except StudioError as error:
            return {"found": markup.nothing(str(error), clear=False)}

    def _found(self, asked: _BrowserInput, found: LoraPage, known: LoraFacts) -> Html:
        shown = [self._shown(card, asked, known) for card in found.cards]
        others = markup.unfit(found.unfit, found.unfit_count)
        if not shown:
            line = self._why_none(asked.query, found)
            return join((markup.nothing(line, clear=asked.query.narrows), others))
        line = self._line(asked.query, found)
        cards = markup.found(shown, line, found.page, found.pages, self._may_star)
        return join((cards, others))

    def _shown(self, card: LoraCard, asked: _BrowserInput, known: LoraFacts) -> ShownLora:
        slug, stock = card.slug, self._workspace.stock
        there = known.present.get(slug, False)
        use = known.uses.get(slug)
        return ShownLora(
            preset=card.preset,
            preview=stock.preview(slug) if slug in stock.catalog.loras else None,
            folder=card.folder,
            there=there,
            can_fetch=not there and stock.can_fetch(card.preset),
            favourite=slug in known.favourites,
            uses=0 if use is None else use.count,
            picked=slug in asked.picked,
            taken=slug in asked.taken,
            of_run=there and self.run_of is not None and self.run_of(slug) is not None,
        )

    def _line(self, query: LoraQuery, found: LoraPage) -> str:
        """What fits, what matches and what is hidden, with the reason."""
        said = [f"{found.fitting:,} fit" if found.fitting != 1 else "1 fits"]
        if query.narrows:
            said.append(f"{found.count:,} match" if found.count != 1 else "1 matches")
        return " · ".join((*said, *self._rest(query.architecture)))

    def _why_none(self, query: LoraQuery, found: LoraPage) -> str:
        rest = " ".join(f"{each}." for each in self._rest(query.architecture))
        if query.narrows and found.fitting:
            return f"None of {format.plural(found.fitting, 'LoRA')} matches this. {rest}"
        family = "" if query.architecture is None else f" for {TRAITS[query.architecture].label}"
        put = "Put files under MODEL_BASE_PATH, or add a preset in the Models tab."
        return f"There is no LoRA{family} yet. {put} {rest}"

    def _rest(self, architecture: Architecture | None) -> tuple[str, ...]:
        """What is not among the cards: other architectures' LoRAs, and files not read yet."""
        hidden = () if architecture is None else self.shelf().hidden(architecture)
        count = sum(number for _, number in hidden)
        families = ", ".join(f"{number:,} {label}" for label, number in hidden)
        said = (f"{count:,} hidden: made for other architectures ({families})",) if count else ()
        reading = self._reading()
        return (*said, reading) if reading else said

    def _reading(self) -> str:
        done, count = self._workspace.stock.catalogue.looking or (0, 0)
        if not count:
            return ""
        return f"Your files are being read: {done:,} of {count:,}"

    def _favour(self, slug: str) -> None:
        if slug in self._workspace.catalog.loras and is_slug(slug):
            state = self._workspace.stock.state
            state.favour(slug, slug not in state.favourites())
            self._known = {}

    # What is asked

    def shelf(self) -> LoraShelf:
        """Of the library as it stands now, for whoever asks."""
        stock = self._workspace.stock
        catalog, holdings = stock.catalog, stock.catalogue.holdings
        with self._lock:
            kept = self._shelf
            if kept is None or kept[0] is not catalog or kept[1] is not holdings:
                kept = self._shelf = (catalog, holdings, LoraShelf(catalog, holdings))
            return kept[2]

    def known(self) -> LoraFacts:
        """What is on disk, whoever asks has used and is a favourite, at most ``KEPT`` seconds ago.

        Raises:
            StudioError: the state or the gallery's index cannot be read.
        """
        workspace, now = self._workspace, time.monotonic()
        asking = workspace.visitors.whose()
        kept = self._known.get(asking)
        if kept is None or now - kept[0] > KEPT:
            present = workspace.stock.present(workspace.catalog.loras.values())
            favourites = workspace.stock.state.favourites()
            known = LoraFacts(present, workspace.gallery.uses(), favourites)
            kept = (time.monotonic(), known)
            fresh = {who: each for who, each in self._known.items() if now - each[0] <= KEPT}
            self._known = {**fresh, asking: kept}
        return kept[1]


def _read(sent: Any) -> _BrowserInput | None:
    """What was sent, if it is a question at all: a page can send anything."""
    try:
        return _BrowserInput.model_validate(sent)
    except ValidationError:
        return None


def _options(everything: str, offered: tuple[str, ...]) -> Html:
    if not offered:
        return EMPTY
    return markup.options((("", everything), *((each, each) for each in offered)))
