"""What happens in the Gallery tab."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import gradio as gr

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.errors import GalleryError, StudioError
from studio.gallery import Facet, Filter, Item, Picture, StoredComparison
from studio.gallery.comparisons.files import JSON_SUFFIX
from studio.gallery.publishing import Disclosure, PictureFormat, publish
from studio.presets import LoraPreset, ModelPreset
from studio.presets.origin import replaced
from studio.ui.gallery.layout import GalleryInput, GalleryParts
from studio.ui.gallery.review import NO_DELETING, ReviewEvents
from studio.ui.html import gallery as grid
from studio.ui.html.tags import EMPTY, Html
from studio.ui.studio import form
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.workspace import Workspace

PAGE = 48
"""Pictures on one page of the grid."""
FACETS = 100
"""Most entries of a filter list; words find the rest."""


def is_comparison(name: str) -> bool:
    """Whether an item of the grid is a comparison, by its name."""
    return name.endswith(JSON_SUFFIX)


class GalleryEvents:
    """Handlers over the workspace's gallery; each returns what changes."""

    def __init__(self, workspace: Workspace, parts: GalleryParts, may_delete: bool) -> None:
        self._workspace = workspace
        self._gallery = workspace.gallery
        self._parts = parts
        self._may_delete = may_delete
        self.review = ReviewEvents(workspace, parts.review)

    # The grid

    def enter(self, asked: GalleryInput) -> Updates:
        """The tab is shown: the filters' choices and, unless a picture is open, the newest."""
        try:
            facets = self._gallery.facets()
        except GalleryError as error:
            return self._trouble(error)
        updates: Updates = {
            self._parts.base: _choices(facets.bases),
            self._parts.lora: _choices(facets.loras),
            self._parts.mode: _choices(facets.modes),
        }
        return updates if asked.opened else updates | self.first(asked)

    def first(self, asked: GalleryInput) -> Updates:
        return self._page(asked.wanted, ())

    def older(self, asked: GalleryInput) -> Updates:
        try:
            shown = self._items(asked.wanted, PAGE, asked.pages)
        except GalleryError as error:
            return self._trouble(error)
        if not shown:
            return unchanged()
        return self._page(asked.wanted, (*asked.pages, shown[-1]))

    def newer(self, asked: GalleryInput) -> Updates:
        return self._page(asked.wanted, tuple(asked.pages)[:-1])

    def _page(self, wanted: Filter, pages: tuple[Item, ...]) -> Updates:
        """The page after the last picture of ``pages``; one more is asked to know of others."""
        parts = self._parts
        try:
            found = self._items(wanted, PAGE + 1, pages)
            total = self._gallery.comparisons.count(wanted)
            thumbs = [self._thumb(each) for each in found[:PAGE]]
        except GalleryError as error:
            return self._trouble(error)
        empty = grid.nothing(filtered=wanted != Filter())
        return {
            parts.grid: grid.grid(thumbs) if thumbs else empty,
            parts.count: grid.counted(len(thumbs), total),
            parts.newer: gr.Button(visible=bool(pages)),
            parts.older: gr.Button(visible=len(found) > PAGE),
            parts.pages: pages,
        }

    def _items(self, wanted: Filter, limit: int, pages: Sequence[Item]) -> list[Item]:
        """Pictures and comparisons; what was made for a comparison is shown in it."""
        return self._gallery.comparisons.items(wanted, limit, pages[-1] if pages else None)

    def _trouble(self, error: GalleryError) -> Updates:
        """In the grid's place: why it cannot be shown."""
        return {self._parts.grid: grid.said(str(error), bad=True)}

    def _thumb(self, item: Item) -> Html:
        """An item of the grid; one that cannot be shown says so, and the others stay."""
        try:
            if isinstance(item, StoredComparison):
                return grid.comparison(item, self._gallery.thumbnail(item))
            return self._picture_thumb(item)
        except GalleryError as error:
            return grid.broken(item.name, str(error))

    def _picture_thumb(self, picture: Picture) -> Html:
        labels = [
            preset.label if (preset := self._workspace.catalog.loras.get(slug)) else slug
            for slug in picture.loras
        ]
        return grid.thumbnail(
            picture.name,
            self._gallery.thumbnail(picture),
            picture.prompt,
            picture.mode.label,
            picture.base_label,
            labels,
            picture.seed,
        )

    def visit(self, asked: GalleryInput, named: Mapping[str, str]) -> Updates:
        """What an address names is shown: a picture, or the grid."""
        name = named.get("picture", "")
        opened = self.open(name) if name else {}
        return opened if self._parts.opened in opened else self.back(asked) | opened

    # One picture

    def open(self, name: str) -> Updates:
        """A picture, large, with its contract and the decisions on it; its record is read from
        the file itself."""
        parts = self._parts
        try:
            record = self._gallery.read(name)
        except GalleryError as error:
            return self._trouble(error)
        path = self._gallery.outputs / name
        return {
            parts.list_view: gr.Column(visible=False),
            parts.picture_view: gr.Column(visible=True),
            parts.picture: grid.opened(name, path, record),
            parts.contract: grid.contract(record),
            parts.said: self._replaced(record.plan),
            parts.actions: gr.Row(visible=True),
            parts.against: gr.Button(visible=record.plan.mode is not Mode.BASE),
            parts.confirm: gr.Row(visible=False),
            parts.opened: name,
            **self.review.show(name),
        }

    def _replaced(self, plan: RunPlan) -> Html:
        """Which weights a picture was made with that its presets have no more."""
        catalog = self._workspace.catalog
        used = [(plan.base.slug, plan.base.sha256), *((u.slug, u.sha256) for u in plan.loras)]
        presets: dict[str, ModelPreset | LoraPreset] = {**catalog.models, **catalog.loras}
        found = (replaced(presets[slug], sha256) for slug, sha256 in used if slug in presets)
        names = [name for name in found if name is not None]
        if not names:
            return EMPTY
        made = f"Made with {' and '.join(names)}, which the presets no longer name"
        return grid.said(f"{made}: the same settings give another picture now.")

    def open_newer(self, asked: GalleryInput) -> Updates:
        """The picture before the one that is open, as far as the page goes back."""
        return self._turn(asked, -1)

    def open_older(self, asked: GalleryInput) -> Updates:
        """The picture after the one that is open; beyond the page, the first of the next one."""
        return self._turn(asked, 1)

    def _turn(self, asked: GalleryInput, by: int) -> Updates:
        try:
            shown = self._items(asked.wanted, PAGE, asked.pages)
            names = [each.name for each in shown if isinstance(each, Picture)]
            at = names.index(asked.opened) + by if asked.opened in names else -1
            if 0 <= at < len(names):
                return self.open(names[at])
            pages = (*asked.pages, shown[-1]) if by > 0 and shown else ()
            more = self._items(asked.wanted, PAGE, pages) if pages else []
        except GalleryError as error:
            return {self._parts.said: grid.said(str(error), bad=True)}
        found = next((each for each in more if isinstance(each, Picture)), None)
        if found is None:
            return {self._parts.said: grid.said("There is no other picture on this side.")}
        return self.open(found.name) | {self._parts.pages: pages}

    def back(self, asked: GalleryInput) -> Updates:
        parts = self._parts
        closed: Updates = {
            parts.list_view: gr.Column(visible=True),
            parts.picture_view: gr.Column(visible=False),
            parts.opened: "",
            **self.review.show(""),
        }
        return closed | self._page(asked.wanted, tuple(asked.pages))

    def verify(self, asked: GalleryInput) -> Updates:
        """Read the file again and compare it with its record, hash by hash."""
        parts, name = self._parts, asked.opened
        try:
            record = self._gallery.read(name)
        except GalleryError as error:
            return {parts.said: grid.said(str(error), bad=True)}
        result = self._workspace.verify(self._gallery.outputs / name)
        if result.ok:
            by = f" by LoRA Studio {result.other_release}" if result.other_release else ""
            line = f"Verified: the file, its pixels and its record are as they were made{by}."
            if result.signature is not None:
                line = f"{line} It is {result.signature.words}."
            return {parts.said: grid.said(line), parts.contract: grid.contract(record)}
        damage = [finding.text for finding in result.findings]
        return {
            parts.said: grid.said(f"Not verified. {damage[0]}", bad=True),
            parts.contract: grid.contract(record, damage),
        }

    def publish(self, opened: str, tell: str, form: str) -> Html:
        """A link to the picture that is open as it is to be given away."""
        try:
            told, kind = Disclosure(tell), PictureFormat(form)
            self._gallery.read(opened)
            data = (self._gallery.outputs / opened).read_bytes()
            made = publish(data, told, kind, self._workspace.sealer)
        except (StudioError, OSError, ValueError) as error:
            return grid.said(str(error), bad=True)
        name = f"{PurePath(opened).stem}-{told.value}{kind.suffix}"
        return grid.to_keep(name, kind.media_type, made, signed=self._workspace.sealer is not None)

    def ask(self, _asked: GalleryInput) -> Updates:
        parts = self._parts
        return {parts.actions: gr.Row(visible=False), parts.confirm: gr.Row(visible=True)}

    def keep(self, _asked: GalleryInput) -> Updates:
        parts = self._parts
        return {parts.actions: gr.Row(visible=True), parts.confirm: gr.Row(visible=False)}

    def delete(self, asked: GalleryInput) -> Updates:
        # A hidden button stops nobody: its event can be sent without it.
        if not self._may_delete:
            return self.keep(asked) | {self._parts.said: grid.said(NO_DELETING, bad=True)}
        try:
            self._gallery.delete(asked.opened)
        except GalleryError as error:
            return self.keep(asked) | {self._parts.said: grid.said(str(error), bad=True)}
        return self.keep(asked) | self.back(asked)

    def settings_of(self, name: str) -> tuple[dict[str, Any] | None, str]:
        """The form's values for a picture, or why there are none."""
        try:
            record = self._gallery.read(name)
        except GalleryError as error:
            return None, str(error)
        catalog = self._workspace.catalog
        if record.plan.base.slug not in catalog.models:
            missing = f"The base {record.plan.base.label!r} is not in the presets any more."
            return None, f"{missing} Add its preset, and start again."
        return form.write(record.plan, record.receipt.image.seed, catalog), ""


def _choices(facets: Sequence[Facet]) -> gr.Dropdown:
    shown = [(f"{facet.label} ({facet.count})", facet.value) for facet in facets[:FACETS]]
    return gr.Dropdown(choices=[("All", ""), *shown])
