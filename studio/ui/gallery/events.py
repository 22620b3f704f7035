"""What happens to the picture that is open in the Gallery tab, and which one is."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import Any

import gradio as gr

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError, StudioError
from studio.gallery import Gallery, Picture
from studio.gallery.comparisons.files import JSON_SUFFIX
from studio.gallery.publishing import Disclosure, PictureFormat, publish
from studio.presets import LoraPreset, ModelPreset
from studio.presets.catalog import replaced
from studio.ui.gallery import lora_preview
from studio.ui.gallery.asked import CHOICES, PUBLIC, GalleryInput
from studio.ui.gallery.layout import SHOW, WITHDRAW, GalleryParts
from studio.ui.gallery.pages import PAGE, GalleryPages
from studio.ui.gallery.review import ReviewEvents
from studio.ui.html import gallery as grid
from studio.ui.html.tags import EMPTY, Html
from studio.ui.studio import form
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.workspace import Workspace


def is_comparison(name: str) -> bool:
    """Whether an item of the grid is a comparison, by its name."""
    return name.endswith(JSON_SUFFIX)


class GalleryEvents:
    """Handlers over the workspace's gallery; each returns what changes."""

    def __init__(self, workspace: Workspace, parts: GalleryParts) -> None:
        self._workspace = workspace
        self._parts = parts
        self.review = ReviewEvents(workspace, parts.review)
        self.pages = GalleryPages(workspace, parts, self.review)

    @property
    def _gallery(self) -> Gallery:
        return self._workspace.gallery

    def shelf(
        self, asked: GalleryInput, named: Mapping[str, str] | None = None
    ) -> AbstractContextManager[None]:
        """In it, what is read is the gallery that is asked for, or that an address names."""
        visitors = self._workspace.visitors
        public = (asked.whose if named is None else named.get("whose")) == PUBLIC
        if named is not None and (name := named.get("picture")):
            public = visitors.holding(name) is visitors.public
        return visitors.in_public(public and self._workspace.settings.is_public)

    def visit(self, asked: GalleryInput, named: Mapping[str, str]) -> Updates:
        """What an address names is shown: a picture, or the grid with its filters and page."""
        name = named.get("picture", "")
        opened = self.open(name) if name else {}
        if self._parts.opened in opened:
            return opened
        try:
            facets = self._gallery.facets()
        except GalleryError as error:
            return self.pages.trouble(error)
        parts, offered = self._parts, self.pages.offered(facets)
        asked = asked.visited(named, offered)
        filters: Updates = {
            getattr(parts, key): gr.Dropdown(choices=each, value=getattr(asked, key))
            for key, each in offered.items()
        }
        filters |= {getattr(parts, key): getattr(asked, key) for key in ("words", *CHOICES)}
        # Above the pictures: the tab that is shown draws them once more, over what stood there.
        missing = {parts.to_hint: opened[parts.grid]} if opened else {}
        return filters | self.back(asked) | missing

    def open(self, name: str) -> Updates:
        """A picture, large, with its contract and the decisions on it; its record is read from
        the file itself."""
        parts = self._parts
        try:
            record = self._gallery.read(name)
        except GalleryError as error:
            return self.pages.trouble(error)
        path = self._gallery.outputs / name
        return {
            parts.list_view: gr.Column(visible=False),
            parts.to_hint: EMPTY,
            parts.picture_view: gr.Column(visible=True),
            parts.picture: grid.opened(name, path, record),
            parts.contract: grid.contract(record),
            parts.said: self._replaced(record.plan),
            parts.actions: gr.Row(visible=True),
            parts.against: gr.Button(visible=record.plan.mode is not Mode.BASE),
            parts.lora_preview: self._lora_preview(record),
            parts.confirm: gr.Row(visible=False),
            parts.opened: name,
            **self._rights(name),
            **self.review.show(name),
        }

    def _rights(self, name: str) -> Updates:
        """What may be done with a picture; one that is shown in public is only looked at."""
        parts, visitors = self._parts, self._workspace.visitors
        mine = not visitors.is_in_public
        shown = mine and self._workspace.settings.is_public and visitors.shown(name) is not None
        return {
            parts.delete: gr.Button(visible=mine),
            parts.own: gr.Row(visible=mine),
            parts.review.whole: gr.Column(visible=mine),
            parts.share: gr.Button(WITHDRAW if shown else SHOW),
        }

    def share(self, asked: GalleryInput) -> Updates:
        """Show the picture that is open in the public gallery, or take it out again."""
        parts, visitors = self._parts, self._workspace.visitors
        try:
            if visitors.shown(asked.opened) is not None:
                visitors.withdraw(asked.opened)
                line, label = "Nobody else sees it any more.", SHOW
            else:
                visitors.show(asked.opened)
                what = "it, its prompt and settings, and what it was edited from"
                line, label = f"Everybody on this page can see {what}.", WITHDRAW
        except GalleryError as error:
            return {parts.said: grid.said(str(error), bad=True)}
        return {parts.said: grid.said(line), parts.share: gr.Button(label)}

    def _lora_preview(self, record: RunRecord) -> Html:
        """Nothing where strangers could change it."""
        public = self._workspace.settings.is_public
        return EMPTY if public else lora_preview.buttons(record, self._workspace.catalog)

    def show_lora(self, slug: str, asked: GalleryInput) -> Updates:
        """The picture that is open becomes the preview of a LoRA."""
        if self._workspace.settings.is_public:
            return unchanged()
        return {self._parts.said: lora_preview.choose(self._workspace, asked.opened, slug)}

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

    def open_previous(self, asked: GalleryInput) -> Updates:
        return self._turn(asked, back=True)

    def open_next(self, asked: GalleryInput) -> Updates:
        return self._turn(asked, back=False)

    def _turn(self, asked: GalleryInput, back: bool) -> Updates:
        """The picture beside the one that is open, also where a decision on that one took it out
        of what is asked for."""
        try:
            here = self._gallery.place(asked.opened)
            more = [] if here is None else self.pages.items(asked, PAGE, here, back)
        except GalleryError as error:
            return {self._parts.said: grid.said(str(error), bad=True)}
        found = next((each for each in more if isinstance(each, Picture)), None)
        if found is None:
            return {self._parts.said: grid.said("There is no other picture on this side.")}
        return self.open(found.name)

    def back(self, asked: GalleryInput) -> Updates:
        """The page that the picture is on: the one that was left, unless one turned on from it."""
        parts = self._parts
        closed: Updates = {
            parts.list_view: gr.Column(visible=True),
            parts.picture_view: gr.Column(visible=False),
            parts.opened: "",
            **self.review.show(""),
        }
        return closed | self.pages.page(asked, self.pages.where(asked))

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
            gallery = self._workspace.visitors.holding(opened)
            gallery.read(opened)
            data = (gallery.outputs / opened).read_bytes()
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
        try:
            self._workspace.visitors.withdraw(asked.opened)
            self._gallery.delete(asked.opened)
        except GalleryError as error:
            return self.keep(asked) | {self._parts.said: grid.said(str(error), bad=True)}
        return self.keep(asked) | self.back(asked)

    def settings_of(self, name: str) -> tuple[dict[str, Any] | None, str]:
        """The form's values for a picture, or why there are none."""
        try:
            record = self._workspace.visitors.holding(name).read(name)
        except GalleryError as error:
            return None, str(error)
        catalog = self._workspace.catalog
        if record.plan.base.slug not in catalog.models:
            missing = f"The base {record.plan.base.label!r} is not in the presets any more."
            return None, f"{missing} Add its preset, and start again."
        return form.write(record.plan, record.receipt.image.seed, catalog), ""


def strengths_of(
    picture: Mapping[str, Any], form: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """The strengths of a picture's LoRAs, the finer ones too, for those that the form has, or why
    there are none."""
    said = {slug: picture[f"strength_{n}"] for n, slug in enumerate(picture["chosen"])}
    chosen = list(form["chosen"])
    found: dict[str, Any] = {
        f"strength_{n}": said[slug] for n, slug in enumerate(chosen) if slug in said
    }
    if found:
        others = [each for each in form["finer"] if each.split(" ", 1)[0] not in said]
        own = [each for each in picture["finer"] if each.split(" ", 1)[0] in chosen]
        return {**found, "finer": (*others, *own)}, ""
    return None, "Studio's request has none of its LoRAs. Use the whole cell in Studio instead."
