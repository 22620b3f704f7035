"""Who asks, as far as a server can know, and whether anybody listens to the answer."""

import gradio as gr
from gradio.context import LocalContext

from studio.errors import StudioError
from studio.settings import Settings
from studio.ui.gate import visitor
from studio.ui.sessions import Sessions
from studio.workspace.visitors import Visitor

NOBODY = "Nobody asked for this: a page's events carry its session, and this has none."
UNREAD = 50
"""Messages that wait for a listener until none is taken to be there."""


def client_of(request: gr.Request, settings: Settings) -> str:
    """Whose runs are counted together.

    On a public studio the address: there one may call oneself anything, as often as one likes.
    """
    if not settings.is_public:
        return f"client {request.session_hash}"
    return f"address {visitor(request.client.host if request.client else '', request.headers)}"


def visitor_now(sessions: Sessions) -> Visitor:
    """Whose request is being answered.

    Raises:
        StudioError: there is none, or it has no session.
    """
    request = LocalContext.request.get(None)
    if request is None or not request.session_hash:
        raise StudioError(NOBODY, "Reload the page, or send a session_hash of your own.")
    return sessions.visitor(request.session_hash)


def is_heard(request: gr.Request) -> bool:
    """Whether somebody takes the messages of the call that is being answered.

    gradio runs a call to its end whether or not anybody opened its answer, and keeps what it says.
    """
    blocks = LocalContext.blocks.get(None)
    if blocks is None:
        return True
    waiting = blocks._queue.pending_messages_per_session.get(request.session_hash)
    return waiting is None or waiting.qsize() < UNREAD
