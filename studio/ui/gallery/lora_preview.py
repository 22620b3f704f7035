"""A picture of the gallery as the preview of a LoRA that it was made with."""

from studio.contract.receipt import RunRecord
from studio.errors import StudioError
from studio.presets import Catalog
from studio.ui.html import gallery as grid
from studio.ui.html.tags import Html, join, tag
from studio.workspace.workspace import Workspace


def buttons(record: RunRecord, catalog: Catalog) -> Html:
    """One for each LoRA that was applied and is still in the library."""
    applied = (use.slug for use in record.receipt.loras)
    return join(
        tag(
            "button",
            f"Use as the preview of {catalog.loras[slug].label}",
            type="button",
            class_="ls-link",
            data_pick=slug,
        )
        for slug in applied
        if slug in catalog.loras
    )


def choose(workspace: Workspace, name: str, slug: str) -> Html:
    """Show a LoRA with the picture ``name``, which was made with it; what came of it."""
    try:
        record = workspace.gallery.read(name)
        lora = workspace.catalog.loras.get(slug)
        if lora is None or slug not in [use.slug for use in record.receipt.loras]:
            return grid.said("It was not made with this LoRA.", bad=True)
        found = workspace.gallery.with_record(record.fingerprint)
        picture = next((each for each in found if each.name == name), None)
        if picture is None:
            return grid.said("It is not in the gallery any more.", bad=True)
        workspace.stock.previews.choose(slug, workspace.gallery.thumbnail(picture))
    except StudioError as error:
        return grid.said(str(error), bad=True)
    return grid.said(f"{lora.label} is shown with this picture from now on.")
