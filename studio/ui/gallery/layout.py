"""The Gallery tab's components, and what the browser says of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import gradio as gr

from studio.architecture import Mode
from studio.comparison.review import ReviewState
from studio.gallery import Filter
from studio.ui.assets import KEEP_OPEN, LARGE, PICK, SELECT
from studio.ui.gallery import review as review_panel
from studio.ui.gallery.review import ReviewParts
from studio.ui.html.tags import address

ALL = ""
TELLS = (("All it knows", "all"), ("Facts, no prompt", "facts"), ("The mark alone", "marks"))
FORMATS = (("PNG", "png"), ("JPEG", "jpeg"), ("WebP", "webp"))
NEWEST, OLDEST = "newest", "oldest"
MINE, PUBLIC = "mine", "public"
SHOW, WITHDRAW = "Show in the public gallery", "Withdraw from the public gallery"
FILTERS = ("base", "lora", "mode", "words", "standing", "by")
CHOICES = {
    "standing": [("All", ALL), *((each.label, each.value) for each in ReviewState)],
    "order": [("Newest first", NEWEST), ("Oldest first", OLDEST)],
    "whose": [("My pictures", MINE), ("Public gallery", PUBLIC)],
}
"""Filters whose choices are always the same; the first is what nobody need say."""
_PLACE = re.compile(r"[0-9]{1,19}")
_BEYOND_ALL = 2**63 - 1
"""The last place in the order of the gallery that SQLite takes."""


@dataclass(frozen=True, slots=True)
class GalleryInput:
    """What the browser sends with every event of the tab.

    Attributes:
        whose: the asking visitor's pictures, or those that visitors show to everybody.
        to: the page or the date that is typed.
        beyond: the place after which the page begins that is shown; None for the first one.
        opened: the picture that is shown, empty for the grid.
    """

    base: str = ALL
    lora: str = ALL
    mode: str = ALL
    words: str = ""
    standing: str = ALL
    by: str = ALL
    order: str = NEWEST
    to: str = ""
    beyond: int | None = None
    opened: str = ""
    whose: str = MINE

    @property
    def newest_first(self) -> bool:
        return self.order == NEWEST

    def visited(
        self, named: Mapping[str, str], offered: Mapping[str, Sequence[tuple[str, str]]]
    ) -> "GalleryInput":
        """The grid that an address names; a value that is not ``offered`` is none."""
        chosen: dict[str, Any] = {
            key: next((value for _, value in each if value == named.get(key)), each[0][1])
            for key, each in {**offered, **CHOICES}.items()
        }
        after = named.get("after", "")
        beyond = min(int(after), _BEYOND_ALL) if _PLACE.fullmatch(after) else None
        return replace(self, **chosen, words=named.get("words", ""), beyond=beyond, opened="")

    @property
    def filters(self) -> dict[str, str]:
        """What narrows the grid, by the names that addresses have; nothing that is not said."""
        return {name: said for name in FILTERS if (said := getattr(self, name))}

    def address(self, beyond: int | None) -> str:
        """What the page's address says of the grid."""
        return address(
            **self.filters,
            order="" if self.newest_first else self.order,
            whose="" if self.whose == MINE else self.whose,
            after="" if beyond is None else beyond,
        )

    @property
    def step(self) -> int:
        """From a place to the next one in the order."""
        return -1 if self.newest_first else 1

    @property
    def wanted(self) -> Filter:
        return Filter(
            base=self.base or None,
            lora=self.lora or None,
            mode=Mode(self.mode) if self.mode else None,
            words=self.words or "",
            standing=ReviewState(self.standing) if self.standing else None,
            by=self.by or None,
        )


@dataclass(frozen=True, slots=True)
class GalleryParts:
    """The tab's components; ``beyond`` holds where the page of the grid begins."""

    base: gr.Dropdown
    lora: gr.Dropdown
    mode: gr.Dropdown
    words: gr.Textbox
    standing: gr.Dropdown
    by: gr.Dropdown
    order: gr.Dropdown
    whose: gr.Radio
    to: gr.Textbox
    to_hint: gr.HTML
    agreed: gr.HTML
    links: gr.HTML
    scores: gr.UploadButton
    imported: gr.HTML
    by_name: gr.Textbox
    count: gr.HTML
    list_view: gr.Column
    grid: gr.HTML
    newer: gr.Button
    older: gr.Button
    beyond: gr.State
    picture_view: gr.Column
    picture: gr.HTML
    contract: gr.HTML
    said: gr.HTML
    tell: gr.Dropdown
    form: gr.Dropdown
    actions: gr.Row
    delete: gr.Button
    own: gr.Row
    share: gr.Button
    against: gr.Button
    lora_preview: gr.HTML
    confirm: gr.Row
    review: ReviewParts
    opened: gr.State

    def inputs(self) -> list[Any]:
        """What ``GalleryInput`` holds, in its order."""
        return [getattr(self, each.name) for each in fields(GalleryInput)]

    def all(self) -> list[Any]:
        own = [getattr(self, name) for name in self.__slots__ if name != "review"]
        return [*own, *self.review.all()]


@dataclass(frozen=True, slots=True)
class Buttons:
    """What is pressed over an opened picture."""

    back: gr.Button
    previous: gr.Button
    next: gr.Button
    use: gr.Button
    verify: gr.Button
    replay: gr.Button
    stop: gr.Button
    publish: gr.Button
    delete: gr.Button
    really: gr.Button
    keep: gr.Button


def build(public: bool) -> tuple[GalleryParts, Buttons]:
    """Lay the tab out inside the current column.

    Args:
        public: visitors have galleries of their own here.
    """
    with gr.Column(elem_classes="ls-library") as list_view:
        whose = gr.Radio(
            CHOICES["whose"],
            value=MINE,
            show_label=False,
            container=False,
            visible=public,
            elem_id="whose",
        )
        with gr.Row(elem_classes="ls-filters ls-desk"):
            base = _filter("Base")
            lora = _filter("LoRA")
            mode = _filter("Mode")
            words = gr.Textbox(
                label="Find", placeholder="words in prompts, names or seed", min_width=160
            )
            standing = gr.Dropdown(
                CHOICES["standing"],
                value=ALL,
                label="Decisions",
                interactive=True,
                min_width=140,
            )
            by = gr.Dropdown(
                [("Everybody", ALL)], value=ALL, label="Reviewer", interactive=True, min_width=140
            )
            order = gr.Dropdown(
                CHOICES["order"],
                value=NEWEST,
                label="Order",
                interactive=True,
                min_width=140,
            )
            to = gr.Textbox(
                label="Go to page or date", placeholder="12 or 2026-11-29", min_width=140,
                max_length=40,
            )  # fmt: skip
            count = gr.HTML("", apply_default_css=False, elem_classes="ls-count")
        to_hint = gr.HTML("", apply_default_css=False, elem_id="to-hint")
        with gr.Accordion("Review: agreement, downloads, scores", open=False, elem_id="desk"):
            agreed = gr.HTML("", apply_default_css=False)
            links = gr.HTML("", apply_default_css=False)
            scores = gr.UploadButton(
                "Import a critic's scores",
                size="sm",
                file_types=[".jsonl"],
                scale=0,
                min_width=200,
            )
            imported = gr.HTML("", apply_default_css=False)
            by_name = gr.Textbox(
                label="Who decides on selected pictures",
                placeholder="your name",
                max_length=120,
                max_lines=1,
            )
        thumbs = gr.HTML(
            "",
            js_on_load=PICK + SELECT,
            apply_default_css=False,
            elem_id="gallery",
            min_height=200,
        )
        with gr.Row(elem_classes="ls-paging"):
            newer = gr.Button("Previous page", size="sm", visible=False, min_width=120, scale=0)
            older = gr.Button("Next page", size="sm", visible=False, min_width=120, scale=0)
    with gr.Column(visible=False, elem_classes="ls-library", elem_id="opened") as picture_view:
        with gr.Row(elem_classes="ls-tight ls-turning"):
            back = gr.Button("Back to all pictures", size="sm", elem_classes="ls-quiet ls-back")
            previous = gr.Button(
                "Previous picture", size="sm", scale=0, min_width=120, elem_id="previous-picture"
            )
            following = gr.Button(
                "Next picture", size="sm", scale=0, min_width=120, elem_id="next-picture"
            )
        with gr.Row(elem_classes="ls-detail"):
            with gr.Column(scale=6, min_width=300, elem_classes="ls-left"):
                picture = gr.HTML("", js_on_load=LARGE, apply_default_css=False)
                with gr.Row(elem_classes="ls-tight") as actions:
                    use = gr.Button("Use these settings", variant="primary", scale=2)
                    # As wide as its words, and wrapped as a whole where there is no room.
                    against = gr.Button("Compare with base", min_width=190, scale=2)
                    verify = gr.Button("Verify", min_width=90)
                    delete = gr.Button("Delete", min_width=90)
                lora_preview = gr.HTML(
                    "", js_on_load=PICK, apply_default_css=False, elem_classes="ls-slot-buttons"
                )
                with gr.Row(visible=False, elem_classes="ls-tight ls-confirm") as confirm:
                    gr.HTML(
                        "Delete this picture and its record? They cannot be brought back.",
                        apply_default_css=False,
                    )
                    keep = gr.Button("Keep it", size="sm", min_width=90, scale=0)
                    really = gr.Button(
                        "Delete picture", size="sm", variant="stop", min_width=120, scale=0
                    )
                said = gr.HTML("", apply_default_css=False)
                with gr.Row(elem_classes="ls-tight") as own:
                    replay = gr.Button("Replay", size="sm", min_width=80, scale=0)
                    stop = gr.Button("Stop", size="sm", min_width=70, scale=0, visible=False)
                    share = gr.Button(SHOW, size="sm", min_width=210, scale=0, visible=public)
                with gr.Row(elem_classes="ls-tight ls-publish"):
                    tell = gr.Dropdown(
                        list(TELLS), value="facts", label="Publish with", min_width=150
                    )
                    form = gr.Dropdown(list(FORMATS), value="png", label="As", min_width=90)
                    publish = gr.Button("Publish", size="sm", min_width=80, scale=0)
            with gr.Column(scale=6, min_width=300):
                contract = gr.HTML("", js_on_load=KEEP_OPEN, apply_default_css=False)
                review = review_panel.build("review")
    parts = GalleryParts(
        base=base,
        lora=lora,
        mode=mode,
        words=words,
        standing=standing,
        by=by,
        order=order,
        whose=whose,
        to=to,
        to_hint=to_hint,
        agreed=agreed,
        links=links,
        scores=scores,
        imported=imported,
        by_name=by_name,
        count=count,
        list_view=list_view,
        grid=thumbs,
        newer=newer,
        older=older,
        beyond=gr.State(None),
        picture_view=picture_view,
        picture=picture,
        contract=contract,
        said=said,
        tell=tell,
        form=form,
        actions=actions,
        delete=delete,
        own=own,
        share=share,
        against=against,
        lora_preview=lora_preview,
        confirm=confirm,
        review=review,
        opened=gr.State(""),
    )
    return parts, Buttons(
        back, previous, following, use, verify, replay, stop, publish, delete, really, keep
    )


def _filter(label: str) -> gr.Dropdown:
    return gr.Dropdown([("All", ALL)], value=ALL, label=label, interactive=True, min_width=140)
