"""From the form's values to everything the Studio tab shows about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder, ReferenceImage
from studio.contract.violations import Violation, WeightsMissing
from studio.errors import StudioError
from studio.gallery import Picture
from studio.library.downloads import DownloadPlan
from studio.library.stock import MissingWeights
from studio.library.transfers import Transfer
from studio.resolve import Provisional
from studio.ui.html import contract as sheet
from studio.ui.html import format
from studio.ui.html.tags import Html, esc, join, span, tag
from studio.ui.studio import hints, pasted
from studio.ui.studio import references as reference_field
from studio.ui.studio.form import Values, is_drawn, not_whole, read
from studio.ui.studio.layout import RequestPanel, scheduler_choices
from studio.ui.studio.lora_rows import adding, captions, rows
from studio.ui.studio.shown import holds, shown
from studio.workspace.workspace import Workspace

Updates = dict[Any, Any]
"""Component → its new value."""


def unchanged() -> Updates:
    """Nothing changes: gradio refuses an empty dictionary where there are several outputs.

    It stands alone, and is never joined with other updates.
    """
    updates: Updates = gr.skip()
    return updates


@dataclass(frozen=True, slots=True)
class Trouble:
    """The request could not even be resolved: a file vanished, say."""

    text: str


@dataclass(frozen=True, slots=True)
class ToFetch:
    """Nothing but weights is missing, and the run fetches them first."""

    items: tuple[MissingWeights, ...]
    known: Provisional | None

    @property
    def may_run(self) -> bool:
        """False where publisher and preset contradict each other."""
        plans = [item.known for item in self.items if isinstance(item.known, DownloadPlan)]
        return not any(plan.conflict for plan in plans)


@dataclass(frozen=True, slots=True)
class Refused:
    """Rules are broken.

    Attributes:
        known: the rest of the plan where weights are missing.
        offered: slug → how its download stands, of missing weights that can be fetched here.
    """

    violations: tuple[Violation, ...]
    known: Provisional | None = None
    offered: Mapping[str, Transfer | None] = field(default_factory=dict)


Outcome = RunPlan | ToFetch | Refused | Trouble


def resolve(values: Values, workspace: Workspace) -> Outcome:
    """What the request comes to, for the page."""
    if values["base"] is None:
        return Trouble("There is no base model in the presets. Add one, and start again.")
    broken = not_whole(values)
    if broken:
        values = {
            **values,
            **dict.fromkeys((each.field.removeprefix("settings.") for each in broken), None),
        }
    request = read(values, workspace.catalog)
    try:
        outcome = workspace.plan(request)
        if isinstance(outcome, RunPlan):
            return Refused(broken) if broken else outcome
        absent = any(isinstance(each, WeightsMissing) for each in outcome)
        known = workspace.planning.provisional(request) if absent else None
    except StudioError as error:
        return Trouble(str(error))
    items = () if broken else workspace.stock.missing(outcome)
    if items:
        return ToFetch(items, known)
    return Refused((*broken, *outcome), known, _fetchable(outcome, workspace))


def _fetchable(found: Sequence[Violation], workspace: Workspace) -> Mapping[str, Transfer | None]:
    """The missing weights that whoever is here may fetch."""
    if workspace.settings.is_public:
        return {}
    slugs = [each.slug for each in found if isinstance(each, WeightsMissing)]
    transfers, stock = workspace.transfers.all(), workspace.stock
    return {slug: transfers.get(slug) for slug in slugs if stock.can_fetch(stock.preset(slug))}


def offered(outcome: Outcome) -> Mapping[str, Transfer | None]:
    """Slug → how its download stands, where the sheet offers one."""
    return outcome.offered if isinstance(outcome, Refused) else {}


def generate_label(outcome: Outcome) -> str:
    return "Download and generate" if isinstance(outcome, ToFetch) else "Generate"


def can_run(outcome: Outcome) -> bool:
    """Whether Generate may be pressed."""
    return isinstance(outcome, RunPlan) or (isinstance(outcome, ToFetch) and outcome.may_run)


def fingerprint(outcome: Outcome) -> str:
    """Of the plan that Generate would run; empty where there is none."""
    return outcome.fingerprint if isinstance(outcome, RunPlan) else ""


def sheet_of(outcome: Outcome) -> Html:
    if isinstance(outcome, RunPlan):
        return sheet.ready(outcome)
    if isinstance(outcome, ToFetch):
        return sheet.to_fetch(outcome.items, outcome.known)
    if isinstance(outcome, Trouble):
        return sheet.trouble(outcome.text)
    return sheet.violations(outcome.violations, outcome.known, outcome.offered)


def compact(outcome: Outcome) -> Html:
    """The contract in one line that opens, for narrow screens."""
    if isinstance(outcome, RunPlan):
        line = f"Ready · {outcome.mode.label} · plan {format.short_hash(outcome.fingerprint)}"
    elif isinstance(outcome, ToFetch):
        line = "Download needed"
    elif isinstance(outcome, Trouble):
        line = "Not ready"
    else:
        line = format.plural(len(outcome.violations), "violation")
    return sheet.compact(line, sheet_of(outcome), bad=not can_run(outcome))


def bar(outcome: Outcome, values: Values, looked: Picture | None) -> Html:
    """Beneath Generate: which plan it runs, and a button that holds or lets go of the seed.

    Args:
        looked: the picture on the stage, whose seed can be used again.
    """
    if isinstance(outcome, ToFetch) and outcome.may_run:
        return esc("Generate will download the missing files first.")
    if not isinstance(outcome, RunPlan):
        return esc("Fix the problems above to generate.")
    drawn = is_drawn(values["seed"])
    if not drawn:
        key, said = "draw", "Draw a new seed"
    elif looked is None:
        key, said = "keep", "Keep this seed"
    else:
        key, said = "keep", f"Reuse seed {looked.seed}"
    return join(
        (
            "Runs plan ",
            tag("code", format.short_hash(outcome.fingerprint)),
            " · seed ",
            span("ls-figure", outcome.seed),
            " drawn" if drawn else " held",
            f" · {format.plural(outcome.count, 'picture')} · ",
            tag("button", said, type="button", class_="ls-link", data_pick=key),
        )
    )


def around_form(
    panel: RequestPanel, values: Values, outcome: Outcome, w: Workspace, *, writes: bool = False
) -> Updates:
    """Hints, LoRA rows, the line for narrow screens: all but the sheet, which a run may keep.

    Args:
        writes: ``values`` are not what the form says but what it shall say. After an edit no
            field is written: somebody who chose another mode while the answer to their last
            word was on its way would find the old one there again.
    """
    mode = Mode(values["mode"])
    found = outcome.violations if isinstance(outcome, Refused) else ()
    texts = (
        hints.of_plan(outcome, values)
        if isinstance(outcome, RunPlan)
        else hints.of_violations(found, mode)
    )
    if values["references"] and mode is not Mode.REFERENCE_EDIT:
        texts["references"] = span(
            "ls-aside", f"Not used: {mode.label} mode takes no reference image."
        )
    texts["prompt"] = join((texts["prompt"], pasted.offer(values["prompt"], found, w)))
    updates: Updates = {panel.hints[field]: text for field, text in texts.items()}
    updates |= captions(panel.slots, values, mode, found, w, writes=writes)
    model = w.catalog.models.get(values["base"])
    family = None if model is None else model.base_architecture
    updates[panel.add] = adding(values["chosen"], family, w.catalog)
    updates |= _offer(panel, values, w, writes=writes)
    updates[panel.compact] = compact(outcome)
    updates[panel.things] = hints.things(model)
    wrong = any(violation.field in _FOLDED for violation in found)
    fold = {"open": True} if wrong else {}
    updates[panel.settings] = gr.Accordion(label=_settings_label(values), **fold)
    return updates


def _settings_label(values: Values) -> str:
    """With how many of the folded fields hold something, which nobody sees otherwise."""
    names = {field.removeprefix("settings.") for field in _FOLDED} - {"seed", "count"}
    held = sum(holds(values[name]) for name in names) + (not is_drawn(values["seed"]))
    held += values["count"] not in (None, 1)
    held += values["prompt_encoder"] == PromptEncoder.NATIVE
    held += bool(values["allow_cut"])
    return f"Settings · {held} set" if held else "Settings"


def _offer(panel: RequestPanel, values: Values, w: Workspace, *, writes: bool) -> Updates:
    """The fields that the base takes, its modes and its schedulers."""
    offer = shown(values, w.catalog)
    updates: Updates = {
        column: gr.Column(visible=offer.fields[name]) for name, column in panel.fields.items()
    }
    modes = [(mode.label, mode.value) for mode in offer.modes]
    mode = {"value": values["mode"]} if writes else {}
    scheduler = {"value": values["scheduler"] or ""} if writes else {}
    updates[panel.form.mode] = gr.Radio(choices=modes, **mode)
    updates[panel.form.settings["scheduler"]] = gr.Dropdown(
        choices=scheduler_choices(offer.schedulers), **scheduler
    )
    return updates


def references(panel: RequestPanel, values: Values, w: Workspace) -> Updates:
    """The reference images that are held, and an empty place for more."""
    held = [ReferenceImage(**each) for each in values["references"]]
    pairs = [(each, w.reference(each.sha256)) for each in held]
    several = len(held) > 1
    return {
        panel.reference.files: None,
        panel.reference.strip: reference_field.strip(pairs),
        panel.reference.clear: gr.Button(
            "Remove the references" if several else "Remove the reference", visible=bool(held)
        ),
    }


_OPEN = frozenset({"base", "loras", "mode", "references", "prompt", "negative_prompt"})
_FOLDED = frozenset(hints.FIELDS) - _OPEN
"""Fields inside the Settings fold, which opens when one of them is wrong."""


def lora_rows(panel: RequestPanel, values: Values, w: Workspace) -> Updates:
    """The rows themselves: only when LoRAs are added, removed or reused."""
    return {
        panel.form.chosen: values["chosen"],
        panel.form.said: values["said"],
        panel.form.unused: values["unused"],
        panel.form.finer: values["finer"],
        **rows(panel.slots, values, w),
    }
