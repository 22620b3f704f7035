"""One file from its address into its part: streamed, resumed, tried again, checked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.errors import HeaderError
from studio.inspection.header import header_length
from studio.inspection.lookalikes import LOOK
from studio.library.downloads.addresses import shown
from studio.library.downloads.errors import (
    NotWeights,
    SizeWrong,
    StorageFault,
    TooLarge,
    UnexpectedAnswer,
)
from studio.library.downloads.http import Site
from studio.library.downloads.part import Part, Validator, check, identity
from studio.library.downloads.plan import RemoteFile

if TYPE_CHECKING:
    import requests

CHUNK = 2**14
"""Bytes taken at once."""
LOOK_AGAIN = 0.1
"""Seconds between two looks at a cancel while a connection is silent."""
TRIES = 4
"""Attempts in a row that bring nothing new."""
MOST_TRIES = 40
"""Attempts in all: a connection that breaks after every few bytes ends somewhere."""

T = TypeVar("T")
Judge = Callable[["requests.Response"], None]
"""Raises the named error that an answer's status means; nothing for 200, 206 and 416."""


class TransferCancelled(Exception):
    """Asked to stop; stays inside the library."""


def patiently(work: Callable[[], T], cancel: threading.Event) -> T:
    """``work()`` in a thread of its own, which is left to its own timeout when ``cancel`` comes.

    Raises:
        TransferCancelled, and whatever ``work`` raises.
    """
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio-ask")
    done = thread.submit(work)
    thread.shutdown(wait=False)
    while not wait((done,), LOOK_AGAIN).done:
        if cancel.is_set():
            raise TransferCancelled
    return done.result()


@dataclass(frozen=True, slots=True)
class SiteTransfer:
    """How files are fetched from one site.

    Attributes:
        limit: bytes of the largest file that is taken.
        pause: seconds before the second attempt, doubled before each further one.
    """

    site: Site
    judge: Judge
    cancel: threading.Event
    limit: int
    pause: float = 1.0

    def fetch(self, remote: RemoteFile, part: Part) -> Iterator[int]:
        """Fill ``part`` and check it, yielding its size after each piece.

        The part is discarded when it is found to be wrong, and kept when it is only not whole.

        Raises:
            DownloadError: by its kind; TransferCancelled: ``cancel`` was set.
        """
        _check_limit(remote, remote.size or 0, self.limit)
        idle = 0
        for _ in range(MOST_TRIES):
            before = part.size
            try:
                yield from self._attempt(remote, part)
                break
            except StorageFault as fault:
                idle = idle + 1 if part.size <= before else 0
                if idle >= TRIES:
                    raise
                last = fault
            if self.cancel.wait(self.pause * 2 ** max(0, idle - 1)):
                raise TransferCancelled
        else:
            raise last
        part.sync()
        check(remote, part)

    def copy(self, remote: RemoteFile, part: Part, source: Path) -> Iterator[int]:
        """The same from a file on this disk."""
        part.begin(Validator(identity(remote)))
        with source.open("rb") as stream:
            while data := stream.read(CHUNK * 16):
                if self.cancel.is_set():
                    raise TransferCancelled
                part.write(data)
                yield part.size
        part.sync()
        check(remote, part)

    def _attempt(self, remote: RemoteFile, part: Part) -> Iterator[int]:
        if self.cancel.is_set():
            raise TransferCancelled
        kept = part.validator
        if part.size and resumable(remote, kept):
            if remote.size is not None and part.size == remote.size:
                return
            headers = {"Range": f"bytes={part.size}-"}
            if kept is not None and kept.etag:
                headers["If-Range"] = kept.etag
            with closing(self._opened(remote.url, headers)) as answer:
                self.judge(answer)
                if _continues(answer, part.size, remote.size):
                    yield from self._take(remote, part, answer)
                    return
                if answer.status_code == 200:
                    yield from self._take_anew(remote, part, answer)
                    return
        # No part, or one that belongs to nothing, or a range that was answered wrongly.
        with closing(self._opened(remote.url)) as answer:
            self.judge(answer)
            if answer.status_code != 200:
                raise UnexpectedAnswer(
                    f"{shown(answer.url)} answered {answer.status_code} to a plain request.",
                    "Try again later.",
                )
            yield from self._take_anew(remote, part, answer)

    def _opened(self, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        return patiently(lambda: self.site.open(url, headers), self.cancel)

    def _take_anew(
        self, remote: RemoteFile, part: Part, answer: requests.Response
    ) -> Iterator[int]:
        _check_type(remote, answer)
        coded = _is_coded(answer)
        promised = answer.headers.get("Content-Length", "")
        if not coded and promised.isdecimal():
            _check_limit(remote, int(promised), self.limit)
            if remote.size is not None and int(promised) != remote.size:
                raise SizeWrong(remote.name, remote.size, int(promised))
        # Positions in a packed body say nothing about the file's own bytes.
        part.begin(Validator(identity(remote), "" if coded else _strong_etag(answer)))
        yield from self._take(remote, part, answer)

    def _take(self, remote: RemoteFile, part: Part, answer: requests.Response) -> Iterator[int]:
        most = remote.size if remote.size is not None else self.limit
        looked = part.size >= LOOK
        for data in self._pieces(answer):
            part.write(data)
            if not looked and part.size >= LOOK:
                _check_head(remote, part)
                looked = True
            if part.size > most:
                part.discard()
                if remote.size is None:
                    raise TooLarge(remote.name, part.size, self.limit)
                raise SizeWrong(remote.name, remote.size, part.size)
            yield part.size
        if not looked:
            _check_head(remote, part)
        if remote.size is not None and part.size < remote.size:
            raise StorageFault(
                shown(answer.url), f"stopped after {part.size:,} of {remote.size:,} bytes"
            )

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        import requests

        host = shown(answer.url)
        try:
            with self._ended_by_cancel(answer):
                for data in answer.iter_content(CHUNK):
                    if self.cancel.is_set():
                        raise TransferCancelled
                    yield data
        except (requests.RequestException, OSError) as error:
            if self.cancel.is_set():
                raise TransferCancelled from None
            what = f"broke the connection or fell silent ({type(error).__name__})"
            raise StorageFault(host, what) from None

    @contextmanager
    def _ended_by_cancel(self, answer: requests.Response) -> Iterator[None]:
        """A cancel ends the reading of a connection that is silent."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_AGAIN):
                if self.cancel.is_set():
                    # It may have ended by itself meanwhile: urllib3 then has no socket.
                    with suppress(OSError, RuntimeError, ValueError):
                        answer.raw.shutdown()
                    return

        threading.Thread(target=look, name="studio-listen", daemon=True).start()
        try:
            yield
        finally:
            over.set()


def resumable(remote: RemoteFile, kept: Validator | None) -> bool:
    """Whether a part may go on: the same file, and something will tell if it is not."""
    if kept is None or kept.file != identity(remote):
        return False
    return bool(kept.etag or remote.sha256 or remote.git_sha1)


def _continues(answer: requests.Response, start: int, size: int | None) -> bool:
    """Whether it is the rest that was asked for, and of a file of the right size."""
    if answer.status_code != 206 or _is_coded(answer):
        return False
    said = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said.strip())
    if match is None or int(match[1]) != start:
        return False
    return size is None or match[3] == "*" or int(match[3]) == size


def _strong_etag(answer: requests.Response) -> str:
    """A strong ETag, else the date of the last change; what If-Range takes."""
    etag = answer.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return answer.headers.get("Last-Modified", "")


def _is_coded(answer: requests.Response) -> bool:
    return answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")


def _is_weights(remote: RemoteFile) -> bool:
    return remote.name.lower().endswith(".safetensors")


def _check_type(remote: RemoteFile, answer: requests.Response) -> None:
    kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if _is_weights(remote) and (kind.startswith("text/") or kind in _NO_WEIGHTS):
        raise NotWeights(remote.name, _NO_WEIGHTS.get(kind, f"text ({kind})"))


_NO_WEIGHTS = {
    "text/html": "a web page (text/html)",
    "application/xhtml+xml": "a web page",
    "application/json": "a message (application/json)",
    "application/xml": "a message (application/xml)",
}


def _check_head(remote: RemoteFile, part: Part) -> None:
    """Stop early where the first bytes are no safetensors."""
    if not _is_weights(remote):
        return
    first = part.head(LOOK)
    try:
        header_length(first)
        if first[8:9] != b"{":
            raise HeaderError("its header is not a JSON object")
    except HeaderError as error:
        part.discard()
        raise NotWeights(remote.name, error.reason.removeprefix("it is ")) from None


def _check_limit(remote: RemoteFile, size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(remote.name, size, limit)
