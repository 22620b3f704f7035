"""What a visitor of a public page is told of their pictures, and how all of them go at once."""

from importlib.util import find_spec
from typing import Any

import gradio as gr

from studio.contract.limits import VisitorLimits
from studio.errors import SettingsError, StudioError
from studio.ui.clients import page_of
from studio.ui.html import format
from studio.ui.html.gallery import said
from studio.ui.html.tags import Html, tag
from studio.ui.sessions import Sessions
from studio.workspace.workspace import Workspace

PATIENCE = 10.0
"""Seconds in which what runs for the visitor may stop."""
_RELOAD = "(done) => { if (done === 'gone') window.location.assign(window.location.pathname) }"


def build(workspace: Workspace, sessions: Sessions, private: dict[str, Any]) -> None:
    """Lay it out inside the current column of a public page, and wire it.

    Raises:
        SettingsError: visitors may sign in, and what that needs is not installed.
    """
    limits = workspace.settings.visitors
    if workspace.settings.signs_in and find_spec("authlib") is None:
        raise SettingsError(
            "Visitors of this Space may sign in (hf_oauth), and authlib is not installed.",
            "Add gradio[oauth] to requirements.txt, or take hf_oauth out of README.md.",
        )
    with gr.Accordion("Your pictures on this page", open=False, elem_id="my-pictures"):
        gr.HTML(_told(limits, workspace.settings.signs_in), apply_default_css=False)
        if workspace.settings.signs_in:
            gr.LoginButton(size="sm")
        wipe = gr.Button("Delete everything of mine", size="sm", scale=0, min_width=200)
        with gr.Row(visible=False, elem_classes="ls-tight ls-confirm") as confirm:
            line = (
                "Delete your pictures, comparisons, decisions and reference images, and what you "
                "show in the public gallery? They cannot be brought back."
            )
            gr.HTML(line, apply_default_css=False)
            keep = gr.Button("Keep them", size="sm", min_width=90, scale=0)
            really = gr.Button(
                "Delete everything", size="sm", variant="stop", min_width=140, scale=0
            )
        outcome = gr.HTML("", apply_default_css=False)
        # Not a State, whose value the browser never has.
        done = gr.Textbox("", visible="hidden", elem_id="all-gone")

    def forget(request: gr.Request) -> tuple[str, Html, dict[str, Any]]:
        try:
            if not sessions.leave(page_of(request), PATIENCE):
                raise StudioError("A run of yours has not stopped yet.", "Press it again.")
            workspace.forget_visitor()
        except StudioError as error:
            return "", said(str(error), bad=True), gr.Row(visible=False)
        return "gone", said("Everything of yours is deleted."), gr.Row(visible=False)

    wipe.click(lambda: gr.Row(visible=True), outputs=confirm, **private)
    keep.click(lambda: gr.Row(visible=False), outputs=confirm, **private)
    gone = really.click(forget, outputs=[done, outcome, confirm], **private)
    gone.then(None, inputs=done, js=_RELOAD)


def _told(limits: VisitorLimits, signs_in: bool) -> Html:
    guests = format.plural(limits.guest_hours, "hour")
    lines = [
        "Nobody else sees them unless you show one in the public gallery.",
        f"This browser is how they are found again; they go {guests} after they were made.",
    ]
    if signs_in:
        items = f"{limits.member_items:,}"
        lines.append(f"Signed in, they are found from any browser, and the newest {items} stay.")
    lines.append(
        f"You may have {format.plural(limits.runs, 'run')} at a time, each of at most "
        f"{limits.work:,} megapixel-steps, and comparisons of up to {limits.cells} cells."
    )
    return tag("p", " ".join(lines), class_="ls-origin")
