"""What happens when somebody touches the Studio tab."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.architecture import Mode
from studio.errors import UnusableReference
from studio.recall.request import Recalled
from studio.ui.html import picture as stage
from studio.ui.html.tags import EMPTY, Html, esc, join, span
from studio.ui.sessions import Sessions
from studio.ui.studio import hints, kept, live
from studio.ui.studio.form import (
    Values,
    draw_seed,
    write_request,
)
from studio.ui.studio.layout import RequestPanel
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.result import Result
from studio.ui.studio.shown import mode_for, shown
from studio.ui.studio.start import base_choices, first_seed
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

    def refresh(self, values: Values, page: str, *, writes: bool = False) -> Updates:
        """After any edit: resolve, and show the plan or what is wrong.

        Args:
            writes: as of ``live.around_form``.
        """
        outcome = live.resolve(values, self._workspace)
        updates = live.around_form(self.panel, values, outcome, self._workspace, writes=writes)
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
        missing = outcome.items if isinstance(outcome, live.ToFetch) else ()
        slugs = [each.preset.slug for each in missing]
        stock.ask_soon(slugs)
        states = live.offered(outcome).values()
        going = any(state is not None and state.is_going for state in states)
        # An answer may be there by now, and not on the sheet, which is of the outcome.
        awaited = stock.is_asking(slugs) or any(each.known is None for each in missing)
        return {self.result.asking: gr.Timer(active=going or awaited)}

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
        seed = draw_seed() if isinstance(found, Mapping) else first_seed(back.get("base"))
        values = {**values, **back, "drawn": seed}
        return self.fill(values, page) | {self.panel.note: kept.account(lost)}

    def reset(self, values: Values, page: str) -> Updates:
        """The newcomer's form again."""
        return self.start(values, None, page)

    def enter(self, values: Values, shown: str, page: str) -> Updates:
        """The tab is shown again: presets and weights may have changed in another one.

        The sheet stays where the plan is the one it stands for.
        """
        if not values["drawn"]:  # the page is still opening: ``start`` draws it
            return {self.result.asking: unchanged()}
        bases = base_choices(self._workspace.catalog, self._workspace.present())
        updates: Updates = {self.panel.form.base: gr.Dropdown(choices=list(bases))}
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
        updates |= live.references(self.panel, values, self._workspace)
        return updates | self.filled(values, page)

    def filled(self, values: Values, page: str) -> Updates:
        """The LoRA rows, and then as ``refresh``."""
        rows = live.lora_rows(self.panel, values, self._workspace)
        return rows | self.refresh(values, page, writes=True)

    # Base and LoRAs

    def edited(self, values: Values, page: str) -> Updates:
        """After any edit. With another base the chosen LoRAs stay, and are judged anew; nothing
        is written but what the base cannot do."""
        fitting, said = self.with_base(values)
        asked = (values["base"], values["mode"], values["scheduler"])
        writes = self._sessions.claim_correction(page, asked, fitting != values)
        return self.saying(self.refresh(fitting, page, writes=writes), said)

    def with_base(self, values: Values) -> tuple[dict[str, Any], str]:
        """The mode and the scheduler that the base has, and a sentence that says what changed."""
        before, said = Mode(values["mode"]), ""
        model = self._workspace.catalog.models.get(values["base"])
        mode = before if model is None else mode_for(before, bool(values["chosen"]), model)
        if model is not None and mode is not before:
            said = f"{model.label} has no mode “{before.label}”, so the mode is {mode.label}."
        values = {**values, "mode": mode.value}
        chosen = values["scheduler"]
        if chosen and chosen not in shown(values, self._workspace.catalog).schedulers:
            values["scheduler"] = ""
        return values, said

    def draw(self, base: str | None, prompt: str, thing: str) -> str:
        """The prompt after one of the things that the base knows was clicked."""
        model = self._workspace.catalog.models.get(base or "")
        return hints.with_picked(prompt, thing, model) if model else prompt

    def saying(self, updates: Updates, said: str) -> Updates:
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
