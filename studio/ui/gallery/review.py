"""Decide on one picture: the decisions so far, and three ways to add one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.comparison.review import MAX_NOTE, Decision, Judgement
from studio.errors import GalleryError, StudioError
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag
from studio.ui.studio.live import Updates
from studio.workspace.reviewing import Reviewing
from studio.workspace.workspace import Workspace

_ICONS = {
    Judgement.APPROVE: icons.CHECK,
    Judgement.REJECT: icons.CROSS,
    Judgement.NOTE: icons.NOTICE,
    Judgement.SCORE: icons.NOTICE,
}
_SAID = {
    Judgement.APPROVE: "Approved",
    Judgement.REJECT: "Rejected",
    Judgement.NOTE: "Note",
    Judgement.SCORE: "Score",
}
_SHOWN = 50
_TORN = "The last decision was cut off while it was written. It does not count."


@dataclass(frozen=True, slots=True)
class ReviewParts:
    """The components; ``picture`` names the picture that is decided on, empty for none."""

    whole: gr.Column
    shown: gr.HTML
    by: gr.Textbox
    note: gr.Textbox
    approve: gr.Button
    reject: gr.Button
    add: gr.Button
    picture: gr.State

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def reviewer() -> gr.BrowserState:
    """Who decides in this browser, once somebody said so."""
    return gr.BrowserState("", storage_key="lora-studio-reviewer", secret="LoRA Studio")


def build(elem_id: str) -> ReviewParts:
    """Lay the panel out inside the current column."""
    with gr.Column(elem_classes="ls-review", elem_id=elem_id, min_width=80) as whole:
        shown = gr.HTML("", apply_default_css=False)
        with gr.Row(elem_classes="ls-tight"):
            by = gr.Textbox(
                label="Reviewer", placeholder="your name", max_length=120, scale=1, min_width=110
            )
            note = gr.Textbox(
                label="Note on this picture",
                lines=1,
                max_lines=4,
                max_length=MAX_NOTE,
                scale=3,
                min_width=160,
            )
        with gr.Row(elem_classes="ls-tight"):
            approve = gr.Button("Approve", size="sm", min_width=80, elem_classes="ls-approve")
            reject = gr.Button("Reject", size="sm", min_width=80, elem_classes="ls-reject")
            add = gr.Button("Add note", size="sm", min_width=80)
    return ReviewParts(
        whole=whole,
        shown=shown,
        by=by,
        note=note,
        approve=approve,
        reject=reject,
        add=add,
        picture=gr.State(""),
    )


class ReviewEvents:
    """Handlers over the gallery's decisions."""

    def __init__(self, workspace: Workspace, parts: ReviewParts) -> None:
        self._workspace = workspace
        self._parts = parts

    @property
    def reviewing(self) -> Reviewing:
        return Reviewing(self._workspace.gallery)

    def show(self, picture: str) -> Updates:
        """The decisions on a picture as it is now."""
        parts = self._parts
        if not picture:
            return {parts.picture: "", parts.shown: EMPTY}
        try:
            found = decisions(self.reviewing.on(picture))
            if self.reviewing.torn(picture):
                found = join((found, _problem(_TORN)))
        except StudioError as error:
            found = _problem(str(error))
        return {parts.picture: picture, parts.shown: found, parts.note: ""}

    def decide(self, picture: str, by: str, note: str, judgement: Judgement) -> Updates:
        if not picture:
            return {self._parts.shown: _problem("No picture is open. Open one, then decide.")}
        try:
            self.reviewing.decide(picture, judgement, note or "", named(by))
        except StudioError as error:
            so_far = self.show(picture)[self._parts.shown]
            return {self._parts.shown: join((so_far, _problem(str(error))))}
        return self.show(picture)

    def wire(self, kept: gr.BrowserState, private: dict[str, Any]) -> None:
        """Let the buttons decide; ``kept`` holds the reviewer's name for this browser."""
        parts = self._parts
        shown = {"outputs": [kept, *parts.all()], **private}
        given = [parts.picture, parts.by, parts.note, kept]
        buttons = (
            (parts.approve, Judgement.APPROVE),
            (parts.reject, Judgement.REJECT),
            (parts.add, Judgement.NOTE),
        )
        for button, judgement in buttons:
            button.click(self._with(kept, judgement), inputs=given, **shown)
        kept.change(
            lambda typed, name: typed or name or "",
            inputs=[parts.by, kept],
            outputs=parts.by,
            **private,
        )

    def _with(self, kept: gr.BrowserState, judgement: Judgement) -> Any:
        """The handler of one button; a closure, because gradio reads the signature."""

        def decided(picture: str, by: str, note: str, name: str | None) -> Updates:
            by = (by or name or "").strip()
            return self.decide(picture, by, note, judgement) | {kept: by}

        return decided


def named(by: str) -> str:
    """A reviewer's name as it was typed.

    Raises:
        GalleryError: there is none.
    """
    if not (by or "").strip():
        raise GalleryError(
            "Nobody is named as the reviewer.", "Type your name beside the note, once."
        )
    return by.strip()


def _problem(text: str) -> Html:
    return span("ls-problem", text, role="alert")


def decisions(found: Sequence[Decision]) -> Html:
    """A column for each reviewer, oldest first; the last approval or rejection is the one that
    counts, the others stay in sight."""
    if not found:
        return tag("p", "No decisions on this picture yet.", class_="ls-origin")
    columns = [
        div(
            "ls-reviewer",
            tag("h4", name),
            tag("ul", *(_line(each) for each in found[-_SHOWN:] if each.by == name)),
        )
        for name in dict.fromkeys(each.by for each in found[-_SHOWN:])
    ]
    shown = div("ls-decisions", *columns)
    if len(found) <= _SHOWN:
        return shown
    earlier = f"{len(found) - _SHOWN} earlier ones are in the export."
    return join((tag("p", earlier, class_="ls-origin"), shown))


def _line(decision: Decision) -> Html:
    said = _SAID[decision.judgement]
    if decision.score is not None:
        said = f"{said} {format.number(decision.score)}"
    return tag(
        "li",
        _ICONS[decision.judgement],
        join(
            (
                span("ls-strong", said),
                span("", decision.note) if decision.note else EMPTY,
                span("ls-origin", decision.at[:16].replace("T", " ")),
            ),
            " ",
        ),
        class_="ls-rejected" if decision.judgement is Judgement.REJECT else None,
    )
