"""The door before gradio: who may ask, what may be sent, and which files are given.

A browser lends its user's reach to every page that is open in it. So a studio that is its owner's
alone answers only to its own names (a foreign name that leads to this machine is how other pages
get past a browser's rules), and no page of another site may send, show or frame what is here.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.errors import StudioError
from studio.imaging.decoding import MAX_FILE
from studio.inspection.header import MAX_HEADER
from studio.settings import Settings
from studio.ui.askers import SAFE, RequestRefused, check_name, check_site, visitor
from studio.ui.sending import Sending
from studio.ui.uploads import Uploads

MAX_UPLOAD = 4 * MAX_FILE + 2**16
"""Bytes of one upload: the most reference images that any pipeline takes."""
MAX_FILES = 32
"""Parts of one upload. gradio takes a thousand, and each costs a disk more than its bytes."""
MAX_EVENT = MAX_HEADER * 4 // 3 + 2**21
"""Bytes of an event of the page: a weight file's header in base64, and its other fields."""
MAX_CALL = 2**21
"""Bytes of a call of an endpoint."""
OWN_LORA = "/own-lora"
"""Where a visitor's LoRA is sent, which takes no more than may be of it."""

_FILE = re.compile(r"/gradio_api/file[=/](.*)", re.DOTALL)
_CLOSED = re.compile(
    r"/gradio_api/(?:proxy=|(?:(?:undo-)?vibe-[\w-]+|deep_link|dev|process_recording|profiling|"
    r"run-history|runs|stream)(?:/|\Z))"
    r"|/(?:monitoring|pwa_icon)/"
)
"""Routes of gradio that no page of the studio asks for: some of them write files for whoever asks,
give a stranger's video to ffmpeg, or would show runs. A test names every other one."""
_SEALED = {
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """An ASGI application before ``app``.

    Args:
        serves: whether a file, as its absolute path, may be given to a browser.
        uploads: where what browsers send is kept until it is taken in.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, serves: Callable[[Path], bool], uploads: Uploads
    ) -> None:
        self._app = app
        self._settings = settings
        self._serves = serves
        self._uploads = uploads
        self._sending = Sending()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = self._sealing(send)
            try:
                receive = await self._admitted(scope, receive)
            except RequestRefused as refused:
                await _refusal(refused)(scope, receive, send)
                return
            await self._passed(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, named = scope["path"].rstrip("/"), QueryParams(scope["query_string"])
        name = named.get("upload_id", "")
        if path.endswith("/upload_progress"):
            if not await self._sending.tell(name, lambda: self._app(scope, receive, send)):
                gone = RequestRefused(404, "No such upload is under way.", "Ask while it is sent.")
                await _refusal(gone)(scope, receive, send)
            return
        with self._sending.under_way(name) if path.endswith("/upload") else nullcontext():
            try:
                await self._app(scope, receive, send)
            except RequestRefused as refused:  # by what was sent
                await _refusal(refused)(scope, receive, send)

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        check_name(headers, self._settings)
        check_site(scope["method"], headers, self._settings)
        if _CLOSED.search(scope["path"]):
            raise RequestRefused(
                404, "The studio does not use this.", "Ask docs/api.md for what it has."
            )
        asked = _FILE.search(scope["path"])
        if asked is not None:
            await anyio.to_thread.run_sync(self._check_file, asked[1])
        if scope["method"] in SAFE:
            return receive
        if scope["path"].rstrip("/").endswith("/upload"):
            host = str((scope.get("client") or ("",))[0])
            sender = visitor(host, headers) if self._settings.is_public else None
            size = _length(headers)
            if not await anyio.to_thread.run_sync(self._uploads.admit, sender, size):
                raise RequestRefused(
                    429, "Too much was sent here lately.", "Try again in a while."
                )
            return _few_files(receive)
        if self._settings.visitors_bring and scope["path"] == OWN_LORA:
            return receive
        most = MAX_CALL if "/gradio_api/call/" in scope["path"] else MAX_EVENT
        body = await _whole(receive, most)
        sent = await anyio.to_thread.run_sync(self._check_sent, body)
        if isinstance(sent, dict):
            # A component's own call comes to its function without its session otherwise.
            scope.setdefault("state", {})["session_hash"] = sent.get("session_hash")
        return _again(body, receive)

    def _check_file(self, name: str) -> None:
        path = Path(name)
        try:
            given = path.is_absolute() and os.path.normpath(name) == name and self._serves(path)
        except (OSError, ValueError):  # too long for a name, or with a NUL in it
            given = False
        except StudioError as error:
            raise RequestRefused(503, error.message, error.way_out) from error
        if not given:
            raise RequestRefused(
                403,
                "This is not a picture of the gallery or of a LoRA.",
                "Files are given by their place in it, and nothing else is.",
            )

    def _check_sent(self, body: bytes) -> Any:
        """What is sent, where it is JSON. A file that is named in a call is one that was uploaded:
        gradio would fetch an address for whoever names one."""
        try:
            sent = json.loads(body)
        except ValueError:
            return None  # gradio says what it is not
        except RecursionError as error:
            raise RequestRefused(400, "The JSON is nested too deeply.", "Send it flat.") from error
        for path in _files_in(sent):
            if not self._uploads.has(path):
                raise RequestRefused(
                    403, "A file is named that was not uploaded here.", "Upload it first."
                )
        return sent

    def _sealing(self, send: Send) -> Send:
        if self._settings.on_space:
            return send  # a Space is shown in a frame of its site

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SEALED)
            await send(message)

        return sealed


def _refusal(refused: RequestRefused) -> PlainTextResponse:
    return PlainTextResponse(f"{refused.reason} {refused.way_out}\n", refused.status)


def _length(headers: Headers) -> int:
    said = headers.get("content-length", "")
    if not said.isascii() or not said.isdecimal():
        raise RequestRefused(
            411, "The upload does not say how large it is.", "Send Content-Length."
        )
    if int(said) > MAX_UPLOAD:
        raise RequestRefused(
            413,
            f"The upload has {int(said):,} bytes.",
            f"Send at most {MAX_UPLOAD // 2**20} MiB at once.",
        )
    return int(said)


async def _whole(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)  # whoever sent it has left
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most:
            raise RequestRefused(413, "The request is too large.", f"Send at most {most:,} bytes.")
        if not message.get("more_body", False):
            return b"".join(parts)


def _few_files(receive: Receive) -> Receive:
    """The body of an upload, while it has no more parts than an upload may have.

    Raises:
        RequestRefused: from what is returned.
    """
    mark = b"content-disposition:"
    parts, tail = 0, b""

    async def received() -> Message:
        nonlocal parts, tail
        message = await receive()
        read = tail + message.get("body", b"").lower()
        parts += read.count(mark)
        tail = read[-(len(mark) - 1) :]
        if parts > MAX_FILES:
            raise RequestRefused(
                413, "Too many files were sent at once.", f"Send at most {MAX_FILES}."
            )
        return message

    return received


def _again(body: bytes, receive: Receive) -> Receive:
    """``body``, then whatever comes after it."""
    first = True

    async def received() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return received


def _files_in(sent: Any) -> Iterator[str]:
    """The paths of everything that gradio would take for a file."""
    waiting = [sent]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "path" in each and "meta" in each:
                yield str(each["path"])
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
