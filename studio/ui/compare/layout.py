"""The right side of the Compare tab: the verdict, the cells, and two of them looked at closely."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.ui.assets import KEEP_OPEN, PICK, ZOOM
from studio.ui.gallery import review as review_panel
from studio.ui.gallery.review import ReviewParts
from studio.ui.html import comparison as compare_html

VIEWS = (("Slider", "slider"), ("Side by side", "sides"), ("Difference", "difference"))


@dataclass(frozen=True, slots=True)
class CompareStage:
    """The components; ``stored`` names the comparison that is shown, empty for none."""

    notice: gr.HTML
    seal: gr.HTML
    progress: gr.HTML
    grid: gr.HTML
    kept: gr.Column
    sheet: gr.HTML
    verify: gr.Button
    replay: gr.Button
    stop: gr.Button
    delete: gr.Button
    confirm: gr.Row
    keep: gr.Button
    really: gr.Button
    said: gr.HTML
    look: gr.Column
    left: gr.Dropdown
    right: gr.Dropdown
    view: gr.Radio
    slider: gr.ImageSlider
    sides: gr.HTML
    difference: gr.HTML
    use: gr.Button
    strength: gr.Button
    open: gr.Button
    numbers: gr.HTML
    contract: gr.HTML
    review: ReviewParts
    stored: gr.State

    def all(self) -> list[Any]:
        own = [getattr(self, name) for name in self.__slots__ if name != "review"]
        return [*own, *self.review.all()]


def build() -> CompareStage:
    """Lay the stage out inside the current column."""
    notice = gr.HTML("", apply_default_css=False, elem_id="compare-notice")
    seal = gr.HTML("", js_on_load=PICK, apply_default_css=False, elem_id="seal")
    progress = gr.HTML("", apply_default_css=False, elem_id="compare-progress")
    grid = gr.HTML(compare_html.empty(), js_on_load=PICK, apply_default_css=False, elem_id="cells")
    with gr.Column(visible=False, elem_classes="ls-stored", elem_id="stored") as kept:
        with gr.Row(elem_classes="ls-tight"):
            sheet = gr.HTML("", apply_default_css=False)
            verify = gr.Button("Verify all cells", size="sm", scale=0, min_width=130)
            replay = gr.Button("Replay all cells", size="sm", scale=0, min_width=130)
            stop = gr.Button("Stop", size="sm", scale=0, min_width=70, visible=False)
            delete = gr.Button("Delete comparison", size="sm", scale=0, min_width=150)
        with gr.Row(visible=False, elem_classes="ls-tight ls-confirm") as confirm:
            gr.HTML(
                "Delete this comparison and its votes? Its pictures stay in the gallery.",
                apply_default_css=False,
            )
            keep = gr.Button("Keep it", size="sm", min_width=90, scale=0)
            really = gr.Button("Delete it", size="sm", variant="stop", min_width=120, scale=0)
        said = gr.HTML("", apply_default_css=False, elem_id="comparison-said")
    with gr.Column(visible=False, elem_classes="ls-look", elem_id="look") as look:
        with gr.Row(elem_classes="ls-tight ls-look-choice"):
            left = gr.Dropdown([], label="Left", interactive=True, min_width=150, scale=3)
            right = gr.Dropdown([], label="Right", interactive=True, min_width=150, scale=3)
            view = gr.Radio(
                list(VIEWS), value="slider", label="View", elem_classes="ls-segments", scale=4,
                min_width=260,
            )  # fmt: skip
        slider = gr.ImageSlider(
            label="Left and right under one slider",
            show_label=False,
            interactive=False,
            buttons=["fullscreen"],
            container=False,
            max_height=560,
            elem_id="slider",
        )
        sides = gr.HTML(
            "", js_on_load=ZOOM, apply_default_css=False, visible=False, elem_id="sides"
        )
        difference = gr.HTML("", apply_default_css=False, visible=False, elem_id="difference")
        with gr.Row(elem_classes="ls-tight ls-of-cell"):
            gr.HTML("The right picture:", apply_default_css=False, elem_classes="ls-origin")
            use = gr.Button("Use in Studio", size="sm", scale=0, min_width=120)
            strength = gr.Button("Use its strength", size="sm", scale=0, min_width=130)
            opens = gr.Button("Open in Gallery", size="sm", scale=0, min_width=130)
        numbers = gr.HTML("", apply_default_css=False, elem_id="numbers")
        contract = gr.HTML(
            "", js_on_load=KEEP_OPEN, apply_default_css=False, elem_id="cell-contract"
        )
        review = review_panel.build("cell-review")
    return CompareStage(
        notice=notice,
        seal=seal,
        progress=progress,
        grid=grid,
        kept=kept,
        sheet=sheet,
        verify=verify,
        replay=replay,
        stop=stop,
        delete=delete,
        confirm=confirm,
        keep=keep,
        really=really,
        said=said,
        look=look,
        left=left,
        right=right,
        view=view,
        slider=slider,
        sides=sides,
        difference=difference,
        use=use,
        strength=strength,
        open=opens,
        numbers=numbers,
        contract=contract,
        review=review,
        stored=gr.State(""),
    )
