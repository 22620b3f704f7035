"""Who asks, as far as a server can know, and whether anybody listens to the answer."""

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request

from studio.errors import StudioError
from studio.settings import Settings
from studio.ui.askers import visitor
from studio.ui.sessions import Sessions
from studio.workspace.visitors import Visitor

NOBODY = "Nobody asked for this: a page's events carry its session, and this has none."
PASS = "of"
"""The parameter of an address that says whose it is about, where a page has visitors: a link
carries no session."""
UNREAD = 50
"""Messages that wait for a listener until none is taken to be there."""


def page_of(request: gr.Request) -> str:
    """Gradio's name for one open page."""
    return str(request.session_hash)


def client_of(request: gr.Request, settings: Settings) -> str:
    """Whose runs are counted together.

    On a public studio the address: there one may call oneself anything, as often as one likes.
    """
    if not settings.is_public:
        return f"client {request.session_hash}"
    return address_of(request)


def address_of(request: gr.Request | Request) -> str:
    """Where a visitor comes from, as runs and LoRAs are counted."""
    return f"address {visitor(request.client.host if request.client else '', request.headers)}"


def visitor_now(sessions: Sessions) -> Visitor:
    """Whose request is being answered.

    Raises:
        StudioError: there is none, or it has no session.
    """
    request: object = LocalContext.request.get(None)
    if isinstance(request, Request):  # a component's own call, which the gate has read
        request = request.state
    session = getattr(request, "session_hash", None)
    if not isinstance(session, str) or not session:
        raise StudioError(NOBODY, "Reload the page, or send a session_hash of your own.")
    return sessions.visitor(session)


def is_heard(request: gr.Request) -> bool:
    """Whether somebody takes the messages of the call that is being answered.

    gradio runs a call to its end whether or not anybody opened its answer, and keeps what it says.
    """
    blocks = LocalContext.blocks.get(None)
    if blocks is None:
        return True
    waiting = blocks._queue.pending_messages_per_session.get(request.session_hash)
    return waiting is None or waiting.qsize() < UNREAD
