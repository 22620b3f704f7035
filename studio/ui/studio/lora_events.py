"""What happens to the request's LoRAs: they are added, replaced, moved, switched and weighed."""

import json
from typing import Any

from studio.architecture import Mode
from studio.contract.request import LoraChoice
from studio.contract.settings import MAX_LORAS
from studio.errors import StudioError
from studio.presets import LoraPreset, TriggerRule
from studio.ui.html.tags import span
from studio.ui.studio import pasted
from studio.ui.studio.events import StudioEvents
from studio.ui.studio.form import (
    Values,
    preset_strength,
    strengths,
    with_finer,
    with_loras,
    with_phrases,
)
from studio.ui.studio.live import Updates, unchanged
from studio.ui.studio.lora_actions import LOWEST
from studio.workspace.workspace import Workspace


class LoraEvents:
    """Handlers; each takes the form's values and returns what changes."""

    def __init__(self, workspace: Workspace, events: StudioEvents) -> None:
        self._workspace = workspace
        self._events = events

    def add(self, values: Values, slug: str, page: str) -> Updates:
        """A LoRA is picked: its row, and the mode that uses it."""
        chosen = tuple(values["chosen"])
        preset = self._workspace.catalog.loras.get(slug)
        if preset is None or slug in chosen:
            return unchanged()  # it went meanwhile, or the page tells it twice
        if len(chosen) == MAX_LORAS:
            full = f"You can use up to {MAX_LORAS} LoRAs. Replace or remove one first."
            return self._not_done(full)
        numbers = [*strengths(values), self._usual(slug)]
        values = with_loras(values, (*chosen, slug), numbers)
        return self._changed(values, page, preset)

    def take_tags(self, values: Values, page: str) -> Updates:
        """The tags of the prompt become rows."""
        found = pasted.taken(values, self._workspace)
        if isinstance(found, str):
            return self._not_done(found)
        written = {self._events.panel.form.prompt: found["prompt"]}
        return written | self._changed(found, page, None)

    def use(self, values: Values, slug: str, page: str) -> Updates:
        """As ``add``, from another tab: where the base cannot take the LoRA, one that can comes
        in its place, and only the LoRAs that fit it stay."""
        workspace = self._workspace
        preset = workspace.catalog.loras.get(slug)
        if preset is None:
            return unchanged()
        model = workspace.catalog.models.get(values["base"])
        said = ""
        if model is None or model.base_architecture is not preset.base_architecture:
            present = workspace.present()
            bases = [
                each
                for each in workspace.catalog.models.values()
                if each.base_architecture is preset.base_architecture
            ]
            bases.sort(key=lambda each: not present[each.slug])
            if not bases:
                return self._not_done(f"There is no base that {preset.label} is made for.")
            stay = [
                (each, number)
                for each, number in zip(values["chosen"], strengths(values), strict=False)
                if self._fits(each, preset)
            ]
            values = {**values, "base": bases[0].slug}
            values = with_loras(values, [each for each, _ in stay], [number for _, number in stay])
            values, _ = self._events.with_base(values)
            said = f"{preset.label} is made for {bases[0].label}, so that is the base now."
        if slug not in values["chosen"] and len(values["chosen"]) < MAX_LORAS:
            numbers = [*strengths(values), self._usual(slug)]
            values = with_loras(values, (*values["chosen"], slug), numbers)
        elif slug not in values["chosen"]:
            said = f"You can use up to {MAX_LORAS} LoRAs. Replace one with it."
        values, mode_said = self._with_mode(values, preset)
        return self._events.saying(self._events.fill(values, page), f"{said} {mode_said}".strip())

    def _fits(self, slug: str, preset: LoraPreset) -> bool:
        other = self._workspace.catalog.loras.get(slug)
        return other is not None and other.base_architecture is preset.base_architecture

    def switch(self, values: Values, page: str) -> Updates:
        """A row was switched on or off; the form has it already."""
        values, said = self._with_mode(values, None)
        return self._events.saying(self._events.refresh(values, page, writes=True), said)

    def act(self, values: Values, number: int, told: str, page: str) -> Updates:
        """A button of a row was pressed, or the browser answered one."""
        key, _, slug = told.partition(" ")
        chosen, numbers = list(values["chosen"]), strengths(values)
        if number >= len(chosen):
            return unchanged()
        match key:
            case "remove":
                del chosen[number], numbers[number]
            case "replace" if slug in self._workspace.catalog.loras and slug not in chosen:
                chosen[number], numbers[number] = slug, self._usual(slug)
            case "up" if number:
                chosen.insert(number - 1, chosen.pop(number))
                numbers.insert(number - 1, numbers.pop(number))
            case "reset":
                numbers[number] = self._usual(chosen[number])
                values = _unsaid(values, chosen[number])
            case "phrases":
                values = self._with_phrases(values, chosen[number], slug)
            case "finer":
                return self._finely(values, chosen[number], slug, page)
            case "keep" | "below":
                return self._to_preset(values, number, key, page)
            case _:
                return unchanged()
        return self._changed(with_loras(values, chosen, numbers), page, None)

    def _finely(self, values: Values, slug: str, said: str, page: str) -> Updates:
        """A field of the finer strength was written; the row says all of them."""
        try:
            return self._changed(_with_finer(values, slug, said), page, None)
        except ValueError as error:
            return self._not_done(str(error))

    def _with_phrases(self, values: Values, slug: str, said: str) -> dict[str, Any]:
        """The row says which of its trigger phrases are used, as a list in JSON; none is all,
        or of alternatives none."""
        catalog = self._workspace.catalog
        preset = catalog.loras.get(slug)
        try:
            used = json.loads(said)
        except ValueError:
            return dict(values)  # no row of ours
        if preset is None or not isinstance(used, list):
            return dict(values)  # the preset was changed meanwhile
        phrases = tuple(each for each in preset.trigger_phrases if each in used)
        return with_phrases(values, slug, phrases or None, catalog)

    def _to_preset(self, values: Values, number: int, key: str, page: str) -> Updates:
        """Write into the preset what the row is used at, or that it may go below 0."""
        slug = values["chosen"][number]
        preset = self._workspace.catalog.loras.get(slug)
        if preset is None or self._workspace.settings.is_public:
            return unchanged()
        said: dict[str, Any] = (
            {"min_strength": LOWEST} if key == "below" else {"strength": strengths(values)[number]}
        )
        changed = preset.settings.model_copy(update=said)
        try:
            self._workspace.stock.put(preset.model_copy(update={"settings": changed}))
        except StudioError as error:
            return self._not_done(str(error))
        return self._events.filled(_unsaid(values, slug) if key == "keep" else values, page)

    def _changed(self, values: Values, page: str, added: LoraPreset | None) -> Updates:
        values, said = self._with_mode(values, added)
        updates = self._events.filled(values, page)
        return self._events.saying(updates, said)

    def _with_mode(self, values: Values, added: LoraPreset | None) -> tuple[dict[str, Any], str]:
        """The mode that goes with the LoRAs, and the sentence that says what changed."""
        mode, catalog = Mode(values["mode"]), self._workspace.catalog
        on = [slug for n, slug in enumerate(values["chosen"]) if values[f"on_{n}"]]
        said = ""
        if not on and mode.needs_loras:
            what = "on" if values["chosen"] else "selected"
            mode, said = Mode.BASE, f"Switched to Base because no LoRA is {what}."
        elif on and mode is Mode.BASE:
            loras = (
                [added] if added else [catalog.loras[each] for each in on if each in catalog.loras]
            )
            without = all(each.trigger is TriggerRule.NONE for each in loras)
            mode = Mode.LORA if without else Mode.LORA_WITH_TRIGGER
            what = "was added" if added else "is on"
            said = f"A LoRA {what}, so the mode is {mode.label}."
        return {**values, "mode": mode.value}, said

    def _usual(self, slug: str) -> float:
        return preset_strength(slug, self._workspace.catalog)

    def _not_done(self, why: str) -> Updates:
        return {self._events.panel.hints["loras"]: span("ls-problem", why, role="alert")}


def _with_finer(values: Values, slug: str, said: str) -> dict[str, Any]:
    """Strengths of parts and the steps, as the row's fields have them: ``te=0.4:until=6``. What
    is not said is what the LoRA has by itself.

    Raises:
        ValueError: one is no number; says which.
    """
    held = [slug]
    for each in filter(None, said.split(":")):
        name, _, number = each.partition("=")
        number = number.strip().replace(",", ".")
        held.append(f"{name}={number}")
        try:
            LoraChoice.parse(f"{slug}:{held[-1]}")
        except ValueError as error:
            raise ValueError(f"{number[:40]!r} is no number for {name[:12]}.") from error
    return with_finer(values, LoraChoice.parse(":".join(held)))


def _unsaid(values: Values, slug: str) -> dict[str, Any]:
    """The strength of this LoRA is the preset's again."""
    return {**values, "said": tuple(each for each in values["said"] if each != slug)}
