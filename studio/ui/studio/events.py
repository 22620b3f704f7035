"""What happens when somebody touches the Studio tab."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.architecture import Architecture, Mode
from studio.contract.settings import MAX_LORAS
from studio.errors import UnusableReference
from studio.presets import TriggerRule
from studio.recall.request import Recalled
from studio.ui.html import picture as stage
from studio.ui.html.tags import EMPTY, Html, esc, join, span
from studio.ui.sessions import Sessions
from studio.ui.studio import hints, kept, live
from studio.ui.studio.form import (
    Values,
    draw_seed,
    preset_strength,
    strengths,
    with_loras,
    write_request,
)
from studio.ui.studio.layout import RequestPanel
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.lora_picker import choose, themes
from studio.ui.studio.result import Result
from studio.ui.studio.shown import mode_for, shown
from studio.ui.studio.start import base_choices, offers
from studio.workspace.workspace import Workspace


class StudioEvents:
    """Handlers; each takes the form's values and returns what changes.

    Attributes:
        panel: the request's components.
        result: contract, picture and the session's pictures.
    """

    def __init__(
        self,
        workspace: Workspace,
        sessions: Sessions,
        panel: RequestPanel,
        result: Result,
    ) -> None:
        self._workspace = workspace
        self._sessions = sessions
        self.panel = panel
        self.result = result

    # What the page shows about the form

    def refresh(self, values: Values, page: str) -> Updates:
        """After any edit: resolve, and show the plan or what is wrong."""
        outcome = live.resolve(values, self._workspace)
        updates = live.around_form(self.panel, values, outcome, self._workspace)
        updates[self.result.shown] = live.fingerprint(outcome)
        updates |= self._ask(outcome)
        if values["drawn"]:  # else the page is still opening, and would keep the newcomer's form
            updates[self.panel.kept] = kept.kept(values)
        if self._sessions.is_running(page):
            del updates[self.panel.compact]
            return updates
        looked = self._sessions.strip(page).looked
        same = looked is None or looked.fingerprint == live.fingerprint(outcome)
        return updates | {
            self.result.sheet: live.sheet_of(outcome),
            self.result.earlier: EMPTY if same or looked is None else stage.earlier(looked),
            self.panel.bar: live.bar(outcome, values, looked),
            self.panel.generate: gr.Button(
                live.generate_label(outcome), interactive=live.can_run(outcome)
            ),
        }

    def _ask(self, outcome: live.Outcome) -> Updates:
        """Look up, in the background and once, what a run would fetch; then look again."""
        stock = self._workspace.stock
        slugs = outcome.slugs if isinstance(outcome, live.ToFetch) else ()
        stock.ask_soon(slugs)
        states = live.offered(outcome).values()
        going = any(state is not None and state.is_going for state in states)
        return {self.result.asking: gr.Timer(active=going or stock.is_asking(slugs))}

    def download(self, key: str, values: Values, page: str) -> Updates:
        """A button of the sheet: fetch the weights that stand in the way, or stop that."""
        what, _, slug = key.partition(" ")
        # A hidden button stops nobody: its event can be sent without it.
        if slug in live.offered(live.resolve(values, self._workspace)):
            if what == "download":
                self._workspace.transfers.start(slug)
            elif what == "stop":
                self._workspace.transfers.cancel(slug)
        return self.refresh(values, page)

    def start(self, values: Values, found: Any, page: str) -> Updates:
        """The page has loaded: the form as the browser kept it, or the newcomer's."""
        back, lost = kept.restore(found, self._workspace.catalog)
        values = {**values, **back, "drawn": draw_seed()}
        return self.fill(values, page) | {self.panel.note: kept.account(lost)}

    def reset(self, values: Values, page: str) -> Updates:
        """The newcomer's form again."""
        return self.start(values, None, page)

    def enter(self, values: Values, shown: str, theme: str, words: str, page: str) -> Updates:
        """The tab is shown again: presets and weights may have changed in another one.

        The sheet stays where the plan is the one it stands for.
        """
        if not values["drawn"]:  # the page is still opening: ``start`` draws it
            return {self.result.asking: unchanged()}
        updates = self._lists(values, theme or "", words or "")
        bases = base_choices(self._workspace.catalog, self._workspace.present())
        updates[self.panel.form.base] = gr.Dropdown(choices=list(bases))
        same = live.fingerprint(live.resolve(values, self._workspace)) == shown != ""
        return updates if same else updates | self.refresh(values, page)

    def recall(self, values: Values, found: Recalled, page: str) -> Updates:
        """Write what a picture says into the form; a base that is missing leaves the chosen one,
        and is said where the picture was dropped."""
        base = found.request.base or values["base"]
        request = found.request.model_copy(update={"base": base})
        filled = write_request(request, self._workspace.catalog)
        return self.fill({**values, **filled}, page)

    def fill(self, values: Values, page: str) -> Updates:
        """Write ``values`` into the form ("Use these settings")."""
        form = self.panel.form.fields()
        updates: Updates = {
            form[name]: value for name, value in values.items() if not name.startswith("strength")
        }
        updates |= self._lists(values, theme="", words="")
        updates |= {self.panel.theme: self._themes(values), self.panel.words: ""}
        updates |= live.references(self.panel, values, self._workspace)
        return updates | self._filled(values, page)

    def _filled(self, values: Values, page: str) -> Updates:
        rows = live.lora_rows(self.panel, values, self._workspace)
        return rows | self.refresh(values, page)

    # Base and LoRAs

    def base(self, values: Values, page: str) -> Updates:
        """Another base: its LoRAs, its themes, and a mode that it has. Chosen LoRAs stay, and
        are judged anew."""
        before, said = Mode(values["mode"]), ""
        model = self._workspace.catalog.models.get(values["base"])
        mode = before if model is None else mode_for(before, bool(values["chosen"]), model)
        if model is not None and mode is not before:
            said = f"{model.label} has no mode “{before.label}”, so the mode is {mode.label}."
        values = {**values, "mode": mode.value}
        if values["scheduler"] not in ("", *shown(values, self._workspace.catalog).schedulers):
            values["scheduler"] = ""
        updates = self._lists(values, theme="", words="")
        updates |= {self.panel.theme: self._themes(values), self.panel.words: ""}
        updates |= self.refresh(values, page)
        return self._saying(updates, said)

    def draw(self, base: str | None, prompt: str, thing: str) -> str:
        """The prompt after one of the things that the base knows was clicked."""
        model = self._workspace.catalog.models.get(base or "")
        known = model is not None and thing in model.knows
        return hints.with_thing(prompt, thing, model) if known and model else prompt

    def _saying(self, updates: Updates, said: str) -> Updates:
        """With a sentence beside the mode that tells what changed by itself."""
        if said:
            hint = self.panel.hints["mode"]
            updates[hint] = Html(span("ls-changed", said) + " " + esc(updates[hint]))
        return updates

    def add_references(self, values: Values, files: Sequence[str], page: str) -> Updates:
        """Pictures were dropped: each is taken in, or why it cannot be is said."""
        held, refused = list(values["references"]), []
        for path in files:
            try:
                held.append(self._workspace.add_reference(Path(path)).model_dump())
            except UnusableReference as error:
                refused.append(span("ls-problem", str(error), role="alert"))
            finally:
                Path(path).unlink(missing_ok=True)
        return self._with_references(values, held, page, join(refused))

    def clear_references(self, values: Values, page: str) -> Updates:
        return self._with_references(values, (), page, EMPTY)

    def _with_references(
        self, values: Values, held: Sequence[dict[str, Any]], page: str, refused: Html
    ) -> Updates:
        values = {**values, "references": tuple(held)}
        updates = {self.panel.form.references: values["references"]}
        updates |= live.references(self.panel, values, self._workspace)
        updates |= self.refresh(values, page)
        hint = self.panel.hints["references"]
        return updates | {hint: join((refused, updates[hint]))}

    def filter(self, values: Values, theme: str | None, words: str | None) -> Updates:
        return self._lists(values, theme or "", words or "")

    def add(self, values: Values, slug: str | None, theme: str, words: str, page: str) -> Updates:
        """A LoRA is picked: its row, and the mode that uses it."""
        chosen = tuple(values["chosen"])
        if slug is None or slug in chosen:
            return {self.panel.add: gr.Dropdown(value=None)}
        preset = self._workspace.catalog.loras.get(slug)
        if preset is None or preset.base_architecture is not self._architecture(values):
            return self._not_added(f"“{slug}” isn't in this list. Pick a LoRA from the list.")
        if len(chosen) == MAX_LORAS:
            full = f"You can use up to {MAX_LORAS} LoRAs. Remove one first."
            return self._not_added(full)
        numbers = [*strengths(values), preset_strength(slug, self._workspace.catalog)]
        values = with_loras(values, (*chosen, slug), numbers)
        mode, said = self._mode_with(values, slug)
        return self._lora_change(values, mode, said, theme, words, page)

    def _not_added(self, why: str) -> Updates:
        hint = self.panel.hints["loras"]
        return {self.panel.add: gr.Dropdown(value=None), hint: span("ls-problem", why)}

    def remove(self, values: Values, number: int, theme: str, words: str, page: str) -> Updates:
        """A LoRA goes; without any, only the base is left."""
        chosen, numbers = list(values["chosen"]), strengths(values)
        if number >= len(chosen):
            return unchanged()
        del chosen[number], numbers[number]
        values = with_loras(values, chosen, numbers)
        mode, said = Mode(values["mode"]), ""
        if not chosen and mode.needs_loras:
            mode, said = Mode.BASE, "Switched to Base because no LoRA is selected."
        return self._lora_change(values, mode, said, theme, words, page)

    def _mode_with(self, values: Values, slug: str) -> tuple[Mode, str]:
        """The mode after a LoRA was added, and the sentence that says what changed."""
        mode = Mode(values["mode"])
        if mode is not Mode.BASE:
            return mode, ""
        preset = self._workspace.catalog.loras[slug]
        without = preset.trigger is TriggerRule.NONE
        mode = Mode.LORA if without else Mode.LORA_WITH_TRIGGER
        return mode, f"A LoRA was added, so the mode is {mode.label}."

    def _lora_change(
        self, values: Values, mode: Mode, said: str, theme: str, words: str, page: str
    ) -> Updates:
        values = {**values, "mode": mode.value}
        updates = self._lists(values, theme or "", words or "")
        updates[self.panel.form.mode] = mode.value
        updates |= self._filled(values, page)
        return self._saying(updates, said)

    def _architecture(self, values: Values) -> Architecture | None:
        model = self._workspace.catalog.models.get(values["base"])
        return None if model is None else model.base_architecture

    def _lists(self, values: Values, theme: str, words: str) -> Updates:
        architecture = self._architecture(values)
        if architecture is None:
            return {self.panel.lora_note: EMPTY}
        found = choose(self._workspace.catalog, architecture, theme, words, values["chosen"])
        offer = gr.Dropdown(choices=list(offers(found.shown)), value=None)
        return {self.panel.add: offer, self.panel.lora_note: esc(found.describe())}

    def _themes(self, values: Values) -> Any:
        architecture = self._architecture(values)
        names = themes(self._workspace.catalog, architecture) if architecture else ()
        return gr.Dropdown(choices=[("All themes", ""), *((n, n) for n in names)], value="")
