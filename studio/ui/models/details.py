"""What the Models tab says of one preset."""

from pathlib import Path

from studio.presets import ModelPreset, Preset
from studio.settings import BUILT_IN_PRESETS
from studio.ui.html import preset_tables
from studio.ui.html.tags import EMPTY, Html, esc, join, tag
from studio.ui.models import inspect
from studio.workspace.inspecting import Inspector
from studio.workspace.workspace import Workspace


def of_preset(workspace: Workspace, inspector: Inspector, preset: Preset, there: bool) -> Html:
    """What the preset says, where its weights belong, and the verdict on a LoRA's file.

    Args:
        there: its weights are on disk.
    """
    slug = preset.slug
    place = _place(workspace.expected_at(slug), workspace.settings.model_base_path)
    published = workspace.stock.published(slug) if there else None
    pinned = workspace.stock.pinned(slug)
    shown = preset_tables.details(
        preset, there, place, _origin(workspace, slug), published, pinned
    )
    film = workspace.stock.video(slug) if there else None
    if film is not None:
        line = f"{film} is a video, which the studio does not read: put a picture beside it."
        shown = join((shown, tag("p", line, class_="ls-origin")))
    for sentence in workspace.stock.catalogue.unread_of(slug) if there else ():
        shown = join((shown, tag("p", sentence, class_="ls-origin")))
    if isinstance(preset, ModelPreset):
        return shown
    return join((shown, inspect.of_lora(inspector, slug)))


def _origin(workspace: Workspace, slug: str) -> Html:
    """Which file its entry stands in, and what it takes the place of."""
    catalog = workspace.catalog
    derived = catalog.derived.get(slug)
    if derived is not None:
        said = "; ".join(f"{field.replace('_', ' ')}: {who}" for field, who in derived.items())
        others = "; ".join(
            f"{field.replace('_', ' ')}: {value!r} ({who})"
            for field, value, who in workspace.stock.catalogue.others_of(slug)
        )
        more = f". Said too, and not taken: {others}" if others else ""
        return esc(f"no preset, but a file of the library. Who said what: {said}{more}")
    if slug not in catalog.local:
        return EMPTY
    name = workspace.settings.local_presets.name
    hidden = catalog.overrides.get(slug)
    if hidden is None:
        return esc(f"the studio's own, in {name}")
    return esc(f"the studio's own, in {name}; it overrides the one in {Path(hidden).name}")


def _place(path: Path, base: Path) -> str:
    """Where weights belong, without the machine's own folders: a page can be public."""
    for root, name in ((BUILT_IN_PRESETS, "presets"), (base, "MODEL_BASE_PATH")):
        if path.is_relative_to(root):
            return f"{name}/{path.relative_to(root).as_posix()}"
    return path.name
