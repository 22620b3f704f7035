"""Where Compare asks for LoRAs: the other one, and those along an axis of the grid."""

from collections.abc import Sequence

from studio.architecture import Architecture
from studio.contract.request import GenerationRequest
from studio.presets import LoraPreset
from studio.ui.browser import markup
from studio.ui.html import preset_cards
from studio.ui.html.tags import EMPTY, Html, div, join, span
from studio.workspace.workspace import Workspace


def suggested(request: GenerationRequest, chosen: str, workspace: Workspace) -> LoraPreset | None:
    """The other LoRA: the one that was chosen, while it fits, else one that is there."""
    taken = {choice.slug for choice in request.loras}
    family = workspace.catalog.models[request.base].base_architecture
    fitting = [lora for lora in workspace.catalog.loras_for(family) if lora.slug not in taken]
    present = workspace.stock.present(fitting)
    fitting.sort(key=lambda lora: (lora.slug != chosen, not present[lora.slug]))
    return next(iter(fitting), None)


def other(
    chosen: LoraPreset | None, family: Architecture, taken: Sequence[str], workspace: Workspace
) -> Html:
    """The other LoRA, and the button that changes it."""
    label = span("ls-key", "The other LoRA")
    button = markup.button(
        "Choose another" if chosen else "Choose a LoRA",
        family,
        "other",
        taken=taken,
        picked=[chosen.slug] if chosen else (),
        title="The other LoRA",
    )
    if chosen is None:
        return join((label, div("ls-chosen-lora", button)))
    picture = preset_cards.picture(workspace.stock.preview(chosen.slug))
    return join((label, div("ls-chosen-lora", picture, span("ls-strong", chosen.label), button)))


def along(axis: str, values: str, key: str, family: Architecture) -> Html:
    """Beneath an axis of LoRAs: what fills its values in."""
    if axis != "lora":
        return EMPTY
    picked = [slug for part in values.split(",") if (slug := part.strip()) and " " not in slug]
    title = "LoRAs of the grid"
    return markup.button("Choose LoRAs", family, key, picked=picked, many=True, title=title)
