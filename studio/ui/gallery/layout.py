"""The Gallery tab's components."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from studio.ui.assets import KEEP_OPEN, LARGE, PICK, SELECT
from studio.ui.gallery import review as review_panel
from studio.ui.gallery.asked import ALL, CHOICES, MINE, NEWEST, GalleryInput
from studio.ui.gallery.review import ReviewParts

TELLS = (("All it knows", "all"), ("Facts, no prompt", "facts"), ("The mark alone", "marks"))
FORMATS = (("PNG", "png"), ("JPEG", "jpeg"), ("WebP", "webp"))
SHOW, WITHDRAW = "Show in the public gallery", "Withdraw from the public gallery"


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
