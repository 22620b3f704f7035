"""Decide on one picture: the decisions so far, and three ways to add one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.comparison.review import PERSON, Decision, Judgement, as_csv, as_jsonl
from studio.errors import StudioError
from studio.gallery.decisions import EXPORTED
from studio.storage import atomic
from studio.ui.html import format, icons
from studio.ui.html.picture import file_url
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
NO_DELETING = "Deleting is disabled because this page is public."
_SHOWN = 50
_TORN = "The last decision was cut off while it was written. It does not count."


@dataclass(frozen=True, slots=True)
class ReviewParts:
    """The components; ``picture`` names the picture that is decided on, empty for none."""

    whole: gr.Column
    shown: gr.HTML
    note: gr.Textbox
    approve: gr.Button
    reject: gr.Button
    add: gr.Button
    export: gr.Button
    files: gr.HTML
    picture: gr.State

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def build(elem_id: str) -> ReviewParts:
    """Lay the panel out inside the current column."""
    with gr.Column(elem_classes="ls-review", elem_id=elem_id, min_width=80) as whole:
        shown = gr.HTML("", apply_default_css=False)
        note = gr.Textbox(label="Note on this picture", lines=1, max_lines=4, max_length=4000)
        with gr.Row(elem_classes="ls-tight"):
            approve = gr.Button("Approve", size="sm", min_width=80, elem_classes="ls-approve")
            reject = gr.Button("Reject", size="sm", min_width=80, elem_classes="ls-reject")
            add = gr.Button("Add note", size="sm", min_width=80)
            export = gr.Button(
                "Export decisions", size="sm", min_width=130, elem_classes="ls-quiet"
            )
        files = gr.HTML("", apply_default_css=False)
    return ReviewParts(
        whole=whole,
        shown=shown,
        note=note,
        approve=approve,
        reject=reject,
        add=add,
        export=export,
        files=files,
        picture=gr.State(""),
    )


class ReviewEvents:
    """Handlers over the gallery's decisions."""

    def __init__(self, workspace: Workspace, parts: ReviewParts) -> None:
        self._gallery = workspace.gallery
        self._reviewing = Reviewing(workspace.gallery)
        self._parts = parts

    def show(self, picture: str) -> Updates:
        """The decisions on a picture as it is now."""
        parts = self._parts
        if not picture:
            return {parts.picture: "", parts.shown: EMPTY, parts.files: EMPTY}
        try:
            found = decisions(self._reviewing.on(picture))
            if self._reviewing.torn(picture):
                found = join((found, _problem(_TORN)))
        except StudioError as error:
            found = _problem(str(error))
        return {parts.picture: picture, parts.shown: found, parts.files: EMPTY, parts.note: ""}

    def decide(self, picture: str, note: str, judgement: Judgement) -> Updates:
        if not picture:
            return {self._parts.shown: _problem("No picture is open. Open one, then decide.")}
        try:
            self._reviewing.decide(picture, judgement, note or "")
        except StudioError as error:
            return {self._parts.shown: _problem(str(error))}
        return self.show(picture)

    def export(self) -> Updates:
        """Write every decision as JSON Lines and as CSV, and link both."""
        folder = self._gallery.decisions.folder
        try:
            judged = list(self._reviewing.judged())
            torn = list(self._reviewing.all_torn())
            links = []
            for name, text in zip(EXPORTED, (as_jsonl(judged), as_csv(judged)), strict=True):
                path = folder / name
                atomic.replace(path, text.encode("utf-8"), 0)
                links.append(_link(file_url(path), path.name))
        except (StudioError, OSError) as error:
            return {self._parts.files: _problem(str(error))}
        count = format.plural(len(judged), "decision")
        lost = [_problem(f"{name}: {_TORN}") for name in torn]
        return {self._parts.files: div("ls-under", span("ls-origin", count), *links, *lost)}

    def wire(self, private: dict[str, Any]) -> None:
        parts = self._parts
        shown = {"outputs": parts.all(), **private}
        given = [parts.picture, parts.note]
        buttons = (
            (parts.approve, Judgement.APPROVE),
            (parts.reject, Judgement.REJECT),
            (parts.add, Judgement.NOTE),
        )
        for button, judgement in buttons:
            button.click(self._with(judgement), inputs=given, **shown)
        parts.export.click(self.export, **shown)

    def _with(self, judgement: Judgement) -> Any:
        """The handler of one button; a closure, because gradio reads the signature."""

        def decided(picture: str, note: str) -> Updates:
            return self.decide(picture, note, judgement)

        return decided


def _problem(text: str) -> Html:
    return span("ls-problem", text, role="alert")


def _link(url: str, name: str) -> Html:
    return tag("a", icons.DOWNLOAD, name, href=url, download=name, class_="ls-button")


def decisions(found: Sequence[Decision]) -> Html:
    """Oldest first; the last one of a person is the one that counts, the others stay in sight."""
    if not found:
        return tag("p", "No decisions on this picture yet.", class_="ls-origin")
    shown = tag("ul", *(_line(each) for each in found[-_SHOWN:]), class_="ls-decisions")
    if len(found) <= _SHOWN:
        return shown
    earlier = f"{len(found) - _SHOWN} earlier ones are in the export."
    return join((tag("p", earlier, class_="ls-origin"), shown))


def _line(decision: Decision) -> Html:
    said = _SAID[decision.judgement]
    if decision.score is not None:
        said = f"{said} {format.number(decision.score)}"
    by = "" if decision.by == PERSON else f"by {decision.by}, "
    return tag(
        "li",
        _ICONS[decision.judgement],
        join(
            (
                span("ls-strong", said),
                span("", decision.note) if decision.note else EMPTY,
                span("ls-origin", f"{by}{decision.at[:10]}"),
            ),
            " ",
        ),
        class_="ls-rejected" if decision.judgement is Judgement.REJECT else None,
    )
