"""What happens in the Models tab."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from studio.errors import StudioError
from studio.library.preset_files import entry_of
from studio.library.stock import Missing
from studio.presets import LoraPreset, ModelPreset
from studio.presets.model_card import differences
from studio.presets.suggest import Suggestion
from studio.settings import BUILT_IN_PRESETS
from studio.ui.html import download as download_html
from studio.ui.html import icons, preset_cards, preset_tables
from studio.ui.html.tags import EMPTY, Html, div, esc, join, span, tag
from studio.ui.models import filter, inspect
from studio.ui.models import form as preset_form
from studio.ui.models.filter import Wanted
from studio.ui.studio.live import Updates
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace

if TYPE_CHECKING:
    from studio.ui.models.tab import ModelsParts

Preset = ModelPreset | LoraPreset
Editing = tuple[str, str]
"""(``loras`` or ``models``, the slug that is edited; empty for a new one)."""
KINDS: dict[str, type[Preset]] = {"loras": LoraPreset, "models": ModelPreset}


class ModelsEvents:
    """Handlers; each takes plain values and returns what changes.

    Args:
        may_change: whether visitors may fetch, add, edit and remove.
    """

    def __init__(
        self, workspace: Workspace, inspector: Inspector, parts: "ModelsParts", may_change: bool
    ) -> None:
        self._workspace = workspace
        self._inspector = inspector
        self._parts = parts
        self._may_change = may_change

    def _unchanged(self) -> Updates:
        """Nothing changes; gradio takes no empty answer."""
        return {self._parts.seen: gr.skip()}

    # The list

    def enter(self, wanted: Wanted, view: str, chosen: str) -> Updates:
        """The tab is shown: the filters' choices and the list."""
        catalog = self._workspace.catalog
        families = [("All", ""), *filter.architectures(catalog)]
        themes = [("All", ""), *((name, name) for name in filter.all_themes(catalog))]
        parts = self._parts
        going = self._workspace.transfers.are_going()
        return self.show(wanted, view, chosen) | {
            parts.architecture: gr.Dropdown(choices=families),
            parts.theme: gr.Dropdown(choices=themes),
            parts.problems: preset_tables.problems(self._workspace.problems),
            parts.timer: gr.Timer(active=going),
        }

    def show(self, wanted: Wanted, view: str, chosen: str) -> Updates:
        """The presets that are wanted, as a table or as cards."""
        parts = self._parts
        try:
            present = self._workspace.present()
        except StudioError as error:
            return {parts.rows: preset_tables.failed(str(error))}
        found = filter.find(self._workspace.catalog, present, wanted)
        transfers = self._workspace.transfers.all()
        if view == "cards":
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
            parts.rows: div("ls-tables", models, loras),
            parts.page: found.page,
            parts.pager: gr.Row(visible=many),
            parts.pages: esc(f"Page {found.page + 1} of {found.pages}"),
            parts.previous: gr.Button(interactive=found.page > 0),
            parts.next: gr.Button(interactive=found.page + 1 < found.pages),
        }

    # One preset

    def pick(self, slug: str, wanted: Wanted, view: str) -> Updates:
        """A row is opened."""
        return self.show(wanted, view, slug) | self.open(slug)

    def open(self, slug: str) -> Updates:
        """Its details and what can be done with it; the form closes."""
        parts = self._parts
        preset = self._preset(slug)
        if preset is None:
            return {
                parts.details: gr.HTML(preset_tables.nothing_picked(), visible=True),
                parts.actions: gr.Row(visible=False),
            }
        there = self._workspace.present()[slug]
        going = self._is_going(slug)
        fetchable = self._workspace.stock.can_fetch(preset) and not there
        local = slug in self._workspace.catalog.local
        return {
            parts.chosen: slug,
            parts.details: gr.HTML(self._details(preset, there), visible=True),
            parts.transfer: self._transfer(preset, fetchable),
            parts.timer: gr.Timer(active=self._is_busy(slug)),
            parts.actions: gr.Row(visible=self._may_change),
            parts.download: gr.Button(visible=fetchable and not going),
            parts.cancel: gr.Button(visible=going),
            parts.remove: gr.Button(visible=local),
            parts.confirm: gr.Row(visible=False),
            parts.form_view: gr.Column(visible=False),
        }

    def _transfer(self, preset: Preset, fetchable: bool) -> Html:
        """How its download goes or went; before one, what it would fetch.

        That is asked in the background, where the studio may fetch by itself.
        """
        stock, slug = self._workspace.stock, preset.slug
        state = self._workspace.transfers.all().get(slug)
        settings = self._workspace.settings
        asks = self._may_change and settings.runs_may_fetch
        if state is not None or not fetchable or not asks:
            return download_html.transfer(state)
        stock.ask_soon([slug])
        return div("ls-transfer", download_html.missing(Missing(preset, stock.known(slug))))

    def _is_busy(self, slug: str) -> bool:
        """Whether there is something to look at again soon."""
        return self._workspace.transfers.are_going() or self._workspace.stock.is_asking([slug])

    def _details(self, preset: Preset, there: bool) -> Html:
        slug = preset.slug
        workspace = self._workspace
        place = _place(workspace.expected_at(slug), workspace.settings.model_base_path)
        published = workspace.stock.published(slug) if there else None
        pinned = workspace.stock.pinned(slug)
        shown = preset_tables.details(preset, there, place, self._origin(slug), published, pinned)
        if isinstance(preset, ModelPreset):
            return shown
        return join((shown, inspect.of_lora(self._inspector, slug)))

    def _origin(self, slug: str) -> Html:
        """Which file its entry stands in, and what it takes the place of."""
        catalog = self._workspace.catalog
        if slug not in catalog.local:
            return EMPTY
        name = self._workspace.settings.local_presets.name
        hidden = catalog.overrides.get(slug)
        if hidden is None:
            return esc(f"the studio's own, in {name}")
        return esc(f"the studio's own, in {name}; it goes over the one in {Path(hidden).name}")

    def _preset(self, slug: str) -> Preset | None:
        catalog = self._workspace.catalog
        return catalog.models.get(slug) or catalog.loras.get(slug)

    # Downloads

    def download(self, slug: str) -> Updates:
        """Begin; the timer shows how it goes."""
        parts = self._parts
        if not self._may_change or self._preset(slug) is None:
            return self._unchanged()
        self._workspace.transfers.start(slug)
        return {
            parts.timer: gr.Timer(active=True),
            parts.download: gr.Button(visible=False),
            parts.cancel: gr.Button(visible=True),
            parts.transfer: download_html.transfer(self._workspace.transfers.all().get(slug)),
        }

    def cancel(self, slug: str) -> Updates:
        """Ask it to stop; its own last word says that it did."""
        if self._may_change:
            self._workspace.transfers.cancel(slug)
        return self._unchanged()

    def tick(self, wanted: Wanted, view: str, chosen: str, seen: str) -> Updates:
        """A look at the downloads; the list is drawn anew only when something moved."""
        parts = self._parts
        transfers = self._workspace.transfers.all()
        now = " ".join(
            f"{slug}:{state.is_going}:{int((state.share or 0) * 10)}"
            for slug, state in sorted(transfers.items())
        )
        state = transfers.get(chosen)
        preset = self._preset(chosen)
        fetchable = (
            preset is not None
            and self._workspace.stock.can_fetch(preset)
            and not self._workspace.present()[chosen]
        )
        updates: Updates = {
            parts.transfer: EMPTY if preset is None else self._transfer(preset, fetchable),
            parts.seen: now,
            parts.timer: gr.Timer(active=self._is_busy(chosen)),
        }
        if now == seen:
            return updates
        updates |= self.show(wanted, view, chosen)
        if state is not None and not state.is_going:
            opened = self.open(chosen)
            del opened[parts.form_view]
            updates |= opened
        return updates

    def _is_going(self, slug: str) -> bool:
        state = self._workspace.transfers.all().get(slug)
        return state is not None and state.is_going

    # Adding and editing

    def add(self) -> Updates:
        """An empty form that begins with a link."""
        parts = self._parts
        return {
            parts.form_view: gr.Column(visible=True),
            parts.source_row: gr.Row(visible=True),
            parts.fields: gr.Column(visible=False),
            parts.source: "",
            parts.said: EMPTY,
            parts.details: gr.HTML(visible=False),
            parts.actions: gr.Row(visible=False),
            parts.editing: ("loras", ""),
        }

    def look_up(self, text: str) -> Updates:
        """Everything that is known of a link, an AIR, a repository or a file, prefilled."""
        parts = self._parts
        if not self._may_change:
            return self._unchanged()
        try:
            suggestion = self._workspace.stock.suggest(text.strip(), {})
        except StudioError as error:
            return {
                parts.said: download_html.failed(error),
                parts.fields: gr.Column(visible=False),
            }
        return self._fill(suggestion.preset, "") | {parts.said: _prefilled(suggestion)}

    def edit(self, slug: str) -> Updates:
        """The form with a preset's own values."""
        parts = self._parts
        preset = self._preset(slug)
        if preset is None or not self._may_change:
            return self._unchanged()
        name = self._workspace.settings.local_presets.name
        line = f"Saving changes its entry in {name}."
        if slug not in self._workspace.catalog.local:
            line = (
                f"Saving makes an entry in {name} that goes over this one; its file stays as is."
            )
        return self._fill(preset, slug) | {
            parts.form_view: gr.Column(visible=True),
            parts.source_row: gr.Row(visible=False),
            parts.details: gr.HTML(visible=False),
            parts.actions: gr.Row(visible=False),
            parts.said: tag("p", line, class_="ls-dim"),
        }

    def _fill(self, preset: Preset, slug: str) -> Updates:
        parts = self._parts
        is_lora = isinstance(preset, LoraPreset)
        shown = preset_form.values_of(preset)
        form = parts.form
        updates: Updates = {form.fields[name]: value for name, value in shown.items()}
        updates |= {group: gr.Column(visible=is_lora) for group in form.lora}
        updates |= {group: gr.Column(visible=not is_lora) for group in form.model}
        return updates | {
            parts.fields: gr.Column(visible=True),
            parts.editing: ("loras" if is_lora else "models", slug),
            parts.before: entry_of(preset),
        }

    def save(
        self, sent: Sequence[Any], editing: Editing, before: dict[str, Any], fetch: bool
    ) -> Updates:
        """Check the form, write the entry, and open the preset."""
        parts = self._parts
        if not self._may_change:
            return self._unchanged()
        part, old = editing
        stock = self._workspace.stock
        try:
            preset = preset_form.read(parts.form, sent, KINDS[part], before)
            if preset.slug != old and self._preset(preset.slug) is not None:
                return {parts.said: _taken(preset.slug)}
            stock.put(preset)
            if old and preset.slug != old and old in self._workspace.catalog.local:
                stock.remove(old)
        except StudioError as error:
            return {parts.said: download_html.failed(error)}
        updates = self.open(preset.slug)
        return updates | self.download(preset.slug) if fetch else updates

    def close(self, chosen: str) -> Updates:
        """Back to what was open."""
        return {self._parts.form_view: gr.Column(visible=False)} | self.open(chosen)

    def ask_remove(self) -> Updates:
        return {self._parts.confirm: gr.Row(visible=True)}

    def keep(self) -> Updates:
        return {self._parts.confirm: gr.Row(visible=False)}

    def remove(self, slug: str) -> Updates:
        """Take it out of the studio's own file; its weights stay."""
        parts = self._parts
        if not self._may_change:
            return self._unchanged()
        try:
            self._workspace.stock.remove(slug)
        except StudioError as error:
            return {parts.transfer: download_html.failed(error)}
        updates = self.open(slug)  # the entry that it went over, if there is one
        return updates | {parts.confirm: gr.Row(visible=False), parts.transfer: EMPTY}


def _prefilled(suggestion: Suggestion) -> Html:
    """Who said what, and where preset and publisher would differ."""
    by: dict[str, list[str]] = {}
    for field, who in suggestion.said_by.items():
        by.setdefault(who, []).append(field.replace("_", " "))
    lines = [f"From {who}: {', '.join(fields)}." for who, fields in by.items()]
    preset, published = suggestion.preset, suggestion.published
    if published is not None and isinstance(preset, LoraPreset):
        lines += [
            f"{what}: {own!r} here, {theirs!r} at the publisher."
            for what, own, theirs in differences(
                published, preset.prompt, preset.settings.strength
            )
        ]
    return tag("ul", *(tag("li", line) for line in lines), class_="ls-prefilled")


def _taken(slug: str) -> Html:
    text = f"There is a preset {slug!r} already. Give this one another slug."
    return tag("p", icons.ALERT, span("", text), class_="ls-said ls-problem")


def _place(path: Path, base: Path) -> str:
    """Where weights belong, without the machine's own folders: a page can be public."""
    for root, name in ((BUILT_IN_PRESETS, "presets"), (base, "MODEL_BASE_PATH")):
        if path.is_relative_to(root):
            return f"{name}/{path.relative_to(root).as_posix()}"
    return path.name
