"""The head gives out weights that a worker misses: by their SHA-256, in ranges, to who knows the
token."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from studio.backends.base import Weights
from studio.backends.cluster.wire import FileShare
from studio.contract.plan import RunPlan
from studio.errors import StudioError
from studio.resolve.inventory import base_place

BLOCK = 2**20
OFFERED = 4096
"""Files that are remembered; those of the oldest plans go."""


class WeightShare:
    """A small HTTP server over the files of the plans that were sent out, and of nothing else.

    Args:
        host: the address to listen at; workers ask there.
        weights: where the files lie, proven by their hash each time they are asked for.
    """

    def __init__(self, host: str, weights: Weights) -> None:
        self._weights = weights
        self._token = secrets.token_urlsafe(32)
        self._offered: dict[str, Callable[[], Path]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, 0), partial(_Handler, self))
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, name="studio-share", daemon=True
        ).start()
        self.share = FileShare(
            url=f"http://{host}:{self._server.server_address[1]}", token=self._token
        )

    def offer(self, plan: RunPlan) -> None:
        """From now on the files of ``plan`` are given out, as whoever asked for it has them."""
        found: dict[str, Callable[[], Path]] = {
            use.sha256: partial(self._weights.lora, use) for use in plan.loras
        }
        for file in plan.base.files:
            found[file.sha256] = partial(self._base_file, plan, file.name)
        context = copy_context()
        with self._lock:
            for sha256, find in found.items():
                self._offered.pop(sha256, None)
                self._offered[sha256] = partial(_within, context, find)
            while len(self._offered) > OFFERED:
                del self._offered[next(iter(self._offered))]

    def _base_file(self, plan: RunPlan, name: str) -> Path:
        place = self._weights.base(plan.base)
        return base_place(place.path, place.layout, name)

    def may(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._token}".encode())

    def find(self, sha256: str) -> Path | None:
        """Where a file lies; None where no plan names it, or it is not there any more."""
        with self._lock:
            find = self._offered.get(sha256)
        try:
            return None if find is None else find()
        except StudioError:
            return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _within(context: Context, find: Callable[[], Path]) -> Path:
    # A context is entered by one thread at a time, and workers ask at the same time.
    return context.copy().run(find)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, share: WeightShare, *rest: object) -> None:
        self._share = share
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if not self._share.may(self.headers.get("Authorization", "")):
            self.send_error(403)
            return
        sha256 = self.path.removeprefix("/")
        path = self._share.find(sha256)
        if path is None:
            self.send_error(404)
            return
        with path.open("rb") as stream:
            size = path.stat().st_size
            start = self._start(size)
            self.send_response(200 if start == 0 else 206)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size - start))
            self.send_header("ETag", f'"{sha256}"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            stream.seek(start)
            while data := stream.read(BLOCK):
                self.wfile.write(data)

    def _start(self, size: int) -> int:
        """Where an open range begins; 0 for the whole file."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found and int(found[1]) < size else 0

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: addresses hold hashes, and the token stays out of logs."""
