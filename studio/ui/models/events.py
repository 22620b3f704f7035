"""What happens in the Models tab."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.library.stock import MissingWeights
from studio.library.transfers import Transfer
from studio.presets import LoraPreset, Preset
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.html import download as download_html
from studio.ui.html import preset_cards, preset_tables
from studio.ui.html.tags import EMPTY, Html, address, div, esc
from studio.ui.models import details, filter
from studio.ui.models.filter import PresetFilter
from studio.ui.models.layout import ModelsInput, ModelsParts
from studio.ui.studio.live import Updates
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace


def _address(wanted: PresetFilter, view: str) -> str:
    named = {**asdict(wanted), "page": wanted.page + 1 if wanted.page else 0}
    return address(**named, view="" if view == "table" else view)


class ModelsEvents:
    """Handlers; each takes plain values and returns what changes.

    Args:
        run_of: the training run that a LoRA is of, None where it is alone; None without trials.
        may_change: whether visitors may fetch, add, edit and remove.
    """

    def __init__(
        self,
        workspace: Workspace,
        browser: LoraBrowser,
        inspector: Inspector,
        parts: ModelsParts,
        run_of: Callable[[str], object] | None,
        may_change: bool,
    ) -> None:
        self._workspace = workspace
        self._browser = browser
        self._inspector = inspector
        self._parts = parts
        self._run_of = run_of
        self.may_change = may_change

    def unchanged(self) -> Updates:
        """Nothing changes; gradio takes no empty answer."""
        return {self._parts.seen: gr.skip()}

    # The list

    def enter(self, asked: ModelsInput) -> Updates:
        """The tab is shown: the filters' choices and the list."""
        parts, lists = self._parts, self._lists()
        # Switched on here, never off: what is open may wait for a look-up.
        going = self._workspace.transfers.are_going()
        return self._show(asked.wanted(), asked) | {
            parts.architecture: gr.Dropdown(choices=lists["architecture"]),
            parts.theme: gr.Dropdown(choices=lists["theme"]),
            parts.problems: preset_tables.problems(self._workspace.problems),
            **({parts.timer: gr.Timer(active=True)} if going else {}),
        }

    def _lists(self) -> dict[str, list[tuple[str, str]]]:
        """What the lists of filters offer: (what they say, value)."""
        catalog = self._workspace.catalog
        offered = {
            "architecture": filter.architectures(catalog),
            "theme": [(name, name) for name in filter.all_themes(catalog)],
            "weights": list(filter.WEIGHTS[1:]),
        }
        return {name: [("All", ""), *choices] for name, choices in offered.items()}

    def turn(self, asked: ModelsInput, page: int) -> Updates:
        return self._show(asked.wanted(page), asked)

    def _show(self, wanted: PresetFilter, asked: ModelsInput) -> Updates:
        """The presets that are wanted, as a table or as cards."""
        parts, chosen = self._parts, asked.chosen
        try:
            present = self._workspace.present()
        except StudioError as error:
            return {parts.rows: preset_tables.failed(str(error))}
        shelf = self._browser.shelf()
        found = filter.find(self._workspace.catalog, shelf, present, wanted)
        wanted = replace(wanted, page=found.page)
        transfers = self._workspace.transfers.all()
        if asked.view == "cards":
            preview = self._workspace.stock.preview
            models = preset_tables.titled(
                "Models",
                found.model_count,
                preset_cards.cards(found.models, present, transfers, chosen, preview),
            )
            loras = preset_tables.titled(
                "LoRAs",
                found.lora_count,
                preset_cards.cards(found.loras, present, transfers, chosen, preview),
            )
        else:
            models = preset_tables.models(
                found.models, found.model_count, present, transfers, chosen
            )
            loras = preset_tables.loras(found.loras, found.lora_count, present, transfers, chosen)
        many = found.pages > 1
        return {
            parts.rows: div("ls-tables", models, loras, data_address=_address(wanted, asked.view)),
            parts.page: found.page,
            parts.pager: gr.Row(visible=many),
            parts.pages: esc(f"Page {found.page + 1} of {found.pages}"),
            parts.previous: gr.Button(interactive=found.page > 0),
            parts.next: gr.Button(interactive=found.page + 1 < found.pages),
        }

    def visit(self, asked: ModelsInput, named: Mapping[str, str]) -> Updates:
        """What an address names is shown: the filters, the page, and a preset."""
        parts, page = self._parts, named.get("page", "")
        offered = self._lists()
        lists: dict[str, Any] = {
            name: next((value for _, value in each if value == named.get(name)), "")
            for name, each in offered.items()
        }
        asked = replace(
            asked,
            **lists,
            words=named.get("words", ""),
            view="cards" if named.get("view") == "cards" else "table",
            page=int(page) - 1 if page.isdecimal() and page != "0" else 0,
            chosen=named.get("preset", ""),
        )
        updates = self.open(asked.chosen) | {parts.chosen: asked.chosen} | self.enter(asked)
        updates |= {parts.words: asked.words, parts.view: asked.view}
        return updates | {
            getattr(parts, name): gr.Dropdown(choices=each, value=lists[name])
            for name, each in offered.items()
        }

    # One preset

    def pick(self, slug: str, asked: ModelsInput) -> Updates:
        """A row is opened."""
        asked = replace(asked, chosen=slug)
        return self._show(asked.wanted(), asked) | self.open(slug)

    def open(self, slug: str) -> Updates:
        """Its details and what can be done with it; the form closes."""
        parts = self._parts
        preset = self.preset(slug)
        if preset is None:
            return {
                parts.details: gr.HTML(preset_tables.nothing_picked(), visible=True),
                parts.actions: gr.Row(visible=False),
                parts.use: gr.Button(visible=False),
                parts.try_run: gr.Button(visible=False),
            }
        transfers = self._workspace.transfers.all()  # before what their end changes
        state = transfers.get(slug)
        going = state is not None and state.is_going
        there = self._workspace.present().get(slug, False)
        fetchable = self._workspace.stock.can_fetch(preset) and not there
        local = slug in self._workspace.catalog.local
        transfer, busy = self._transfer(preset, fetchable, transfers)
        shown = details.of_preset(self._workspace, self._inspector, preset, there)
        return {
            parts.chosen: slug,
            parts.details: gr.HTML(shown, visible=True),
            parts.use: gr.Button(visible=isinstance(preset, LoraPreset)),
            parts.try_run: gr.Button(
                visible=there and self._run_of is not None and self._run_of(slug) is not None
            ),
            parts.transfer: transfer,
            parts.timer: gr.Timer(active=busy),
            parts.actions: gr.Row(visible=self.may_change),
            parts.download: gr.Button(visible=fetchable and not going),
            parts.cancel: gr.Button(visible=going),
            parts.remove: gr.Button(visible=local),
            parts.confirm: gr.Row(visible=False),
            parts.form_view: gr.Column(visible=False),
        }

    def _transfer(
        self, preset: Preset | None, fetchable: bool, transfers: Mapping[str, Transfer]
    ) -> tuple[Html, bool]:
        """How its download goes or went; before one, what it would fetch. And whether there is
        something to look at again soon: what ends after this look is told by the next one.

        What it would fetch is asked in the background, where the studio may fetch by itself.
        """
        going = any(each.is_going for each in transfers.values())
        if preset is None:
            return EMPTY, going
        stock, slug = self._workspace.stock, preset.slug
        state = transfers.get(slug)
        asks = self.may_change and self._workspace.settings.runs_may_fetch
        if state is not None or not fetchable or not asks:
            return download_html.transfer(state), going
        stock.ask_soon([slug])
        asking = stock.is_asking([slug])  # before what is known, which comes with its end
        shown = download_html.missing(MissingWeights(preset, stock.known(slug)))
        return div("ls-transfer", shown), going or asking

    def preset(self, slug: str) -> Preset | None:
        catalog = self._workspace.catalog
        return catalog.models.get(slug) or catalog.loras.get(slug)

    # Downloads

    def download(self, slug: str) -> Updates:
        """Begin; the timer shows how it goes."""
        parts = self._parts
        if not self.may_change or self.preset(slug) is None:
            return self.unchanged()
        self._workspace.transfers.start(slug)
        return {
            parts.timer: gr.Timer(active=True),
            parts.download: gr.Button(visible=False),
            parts.cancel: gr.Button(visible=True),
            parts.transfer: download_html.transfer(self._workspace.transfers.all().get(slug)),
        }

    def cancel(self, asked: ModelsInput) -> Updates:
        """Ask it to stop; its own last word says that it did."""
        if self.may_change:
            self._workspace.transfers.cancel(asked.chosen)
        return self.unchanged()

    def tick(self, asked: ModelsInput) -> Updates:
        """A look at the downloads; the list is drawn anew only when something moved."""
        parts, chosen = self._parts, asked.chosen
        transfers = self._workspace.transfers.all()
        now = " ".join(
            f"{slug}:{state.is_going}:{int((state.share or 0) * 10)}"
            for slug, state in sorted(transfers.items())
        )
        state = transfers.get(chosen)
        preset = self.preset(chosen)
        fetchable = (
            preset is not None
            and self._workspace.stock.can_fetch(preset)
            and not self._workspace.present()[chosen]
        )
        transfer, busy = self._transfer(preset, fetchable, transfers)
        updates: Updates = {
            parts.transfer: transfer,
            parts.seen: now,
            parts.timer: gr.Timer(active=busy),
        }
        if now == asked.seen:
            return updates
        updates |= self._show(asked.wanted(), asked)
        if state is not None and not state.is_going:
            opened = self.open(chosen)
            del opened[parts.form_view]
            updates |= opened
        return updates
