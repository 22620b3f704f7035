"""Who asks, and what is theirs: on a public page each visitor has a gallery of their own.

outputs/                             the public gallery
outputs/.visitors/guests/<folder>/   a gallery like any other, of one browser
outputs/.visitors/members/<folder>/  of one account

Whose turn it is goes with the context that a handler or a run is carried out in, and
``Workspace.gallery`` is that visitor's: a handler cannot name another's, and one that nobody asks
for has none. A folder is named by an HMAC of its owner under a key that only the studio has, so
that a name leads to its gallery again, tells nothing of its owner, and cannot be guessed: it is
what a browser shows to be given the files.
"""

import hashlib
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from studio.errors import GalleryError, StudioError
from studio.gallery import Gallery
from studio.gallery.row import index_of
from studio.settings import Settings
from studio.signing.sealing import Sealer
from studio.storage import atomic
from studio.workspace.visitor_key import VisitorKey

FOLDER = ".visitors"
SHOWN = ".shown"
_EMPTY = "empty"
MOST_OPEN = 200
"""Galleries kept open; opening one looks through its folder."""


class VisitorKind(StrEnum):
    """How the studio knows a visitor, as their folder is named."""

    GUEST = "guests"
    MEMBER = "members"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody on a public page.

    Attributes:
        known_by: what a guest's browser keeps, or a member's account; nobody else's business.
    """

    kind: VisitorKind
    known_by: str = field(repr=False)


_acting: ContextVar[Visitor | None] = ContextVar("acting", default=None)
_in_public: ContextVar[bool] = ContextVar("in_public", default=False)


class Visitors:
    """The public gallery, and those of the visitors, by who asks.

    Attributes:
        public: the gallery of the outputs; the only one where the page is its owner's alone.
    """

    def __init__(self, settings: Settings, sealer: Sealer | None) -> None:
        self.public = Gallery(settings.outputs, sealer, settings.index)
        self._settings = settings
        self._sealer = sealer
        self._root = self.public.outputs / FOLDER
        self._open: OrderedDict[Path, Gallery] = OrderedDict()
        self._lock = threading.Lock()
        self._asking: Callable[[], Visitor] | None = None
        self._key = VisitorKey(settings.state)

    def ask(self, asking: Callable[[], Visitor]) -> None:
        """From now on ``asking`` says whose request it is, where no run is carried out. It raises
        where it is nobody's: strangers use this workspace, and nothing is done for no one."""
        self._asking = asking

    def current(self) -> Visitor | None:
        """Who asks; None where the studio is its owner's alone.

        Raises:
            StudioError: strangers may ask, and this is no request of one.
        """
        visitor = _acting.get()
        return self._asking() if visitor is None and self._asking is not None else visitor

    def whose(self) -> Path | None:
        """The folder of whoever asks; None where that is nobody, or there are no visitors."""
        try:
            visitor = self.current()
        except StudioError:
            return None
        return None if visitor is None else self.folder(visitor)

    @contextmanager
    def acting(self, visitor: Visitor | None) -> Iterator[None]:
        """What is done in this context is done for ``visitor``."""
        before = _acting.set(visitor)
        try:
            yield
        finally:
            _acting.reset(before)

    # Galleries

    def gallery(self) -> Gallery:
        """The one of whoever asks; an empty one where nothing was made for them yet."""
        visitor = self.current()
        if visitor is None or _in_public.get():
            return self.public
        folder = self.folder(visitor)
        return self.opened(folder if folder.is_dir() else self._root / _EMPTY)

    def made(self) -> Gallery:
        """As ``gallery``, and made where there is none yet: something is about to be kept."""
        visitor = self.current()
        return self.public if visitor is None else self.opened(self.folder(visitor))

    def folder(self, visitor: Visitor) -> Path:
        """Where a visitor's gallery lies, whether it is there or not."""
        return self._root / visitor.kind / self._key.named(f"{visitor.kind} {visitor.known_by}")

    def prefix(self) -> str:
        """What the names of the asking visitor's own files begin with, in a folder of everybody's;
        empty where there is but one."""
        visitor = self.current()
        return "" if visitor is None else f"{self.folder(visitor).name}-"

    def serves(self, path: Path) -> bool:
        """Whether a browser that names it may have the file at ``path``, in whichever gallery."""
        gallery = self.at(path)
        return gallery is not None and gallery.serves(path)

    def at(self, path: Path) -> Gallery | None:
        """The gallery in whose folder ``path`` lies, whoever asks: its whole address is known."""
        if not path.is_relative_to(self._root):
            return self.public if path.is_relative_to(self.public.outputs) else None
        match path.relative_to(self._root).parts:
            case (kind, name, *_) if kind in set(VisitorKind):
                folder = self._root / kind / name
                return self.opened(folder) if folder.is_dir() else None
        return None

    def opened(self, folder: Path) -> Gallery:
        """The gallery in a visitor's folder."""
        with self._lock:
            found = self._open.get(folder)
        if found is None or not folder.is_dir():
            # Twice at once does no harm.
            found = Gallery(folder, self._sealer, self._settings.index)
        with self._lock:
            self._open[folder] = found
            self._open.move_to_end(folder)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return found

    # What visitors show to everybody

    @contextmanager
    def in_public(self, public: bool) -> Iterator[None]:
        """What is read in this context is read in the public gallery, if it is ``public``."""
        before = _in_public.set(public)
        try:
            yield
        finally:
            _in_public.reset(before)

    @property
    def is_in_public(self) -> bool:
        """Whether only the public gallery is read here, which nobody changes."""
        return _in_public.get()

    def holding(self, name: str) -> Gallery:
        """The gallery that has the picture ``name``: that of whoever asks, else the public one."""
        mine = self.gallery()
        return mine if mine.place(name) is not None else self.public

    def shown(self, name: str) -> str | None:
        """What a picture of whoever asks is called in the public gallery; None where it is not
        there."""
        note = self._note(name)
        try:
            called = note.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise atomic.storage_error(error, note.parent) from error
        return called if self.public.place(called) is not None else None

    def show(self, name: str) -> None:
        """Put a copy of a picture of whoever asks into the public gallery; nothing where it is.

        Raises:
            GalleryError: there is no such picture, or it cannot be copied.
        """
        if self.shown(name) is None:
            copy = self.public.take(self.gallery(), name)
            called = copy.relative_to(self.public.outputs).as_posix()
            try:
                atomic.overwrite(self._note(name), called.encode())
            except OSError as error:
                self.public.delete(called)
                raise atomic.storage_error(error, copy.parent) from error

    def withdraw(self, name: str) -> None:
        """Take the copy of a picture of whoever asks out of the public gallery again, if there
        is one."""
        if self.current() is None:
            return
        called = self.shown(name)
        if called is not None:
            self.public.delete(called)
        self._note(name).unlink(missing_ok=True)

    def _note(self, name: str) -> Path:
        """Where it is written down what a picture is called in public."""
        visitor = self.current()
        if visitor is None or not self.gallery().place(name):
            raise GalleryError(f"{name} is no picture of yours.", "Open one of your own.")
        return self.folder(visitor) / SHOWN / hashlib.sha256(name.encode()).hexdigest()

    def discard(self, folder: Path) -> None:
        """Remove a visitor's gallery with all that is in it, and what it shows in public.

        Raises:
            GalleryError: the disk does not allow it.
        """
        with atomic.storing(folder):
            for note in folder.glob(f"{SHOWN}/*"):
                called = note.read_text(encoding="utf-8")
                if self.public.place(called) is not None:
                    self.public.delete(called)
            if folder.is_dir():
                gone = folder.with_name(f".{secrets.token_hex(8)}")
                folder.rename(gone)
                shutil.rmtree(gone)
            if self._settings.index is not None:
                index_of(folder, self._settings.index).unlink(missing_ok=True)

    def folders(self, kind: VisitorKind) -> list[Path]:
        """Of all visitors of a kind that have a gallery."""
        return [each for each in (self._root / kind).glob("*") if not each.name.startswith(".")]

    # Passes: what a link carries that cannot carry a session

    def a_pass(self) -> str:
        """What lets a link take all pictures of whoever asks; empty where everybody may."""
        visitor = self.current()
        if visitor is None:
            return ""
        folder = self.folder(visitor)
        place = f"{visitor.kind}/{folder.name}"
        return f"{place}/{self._key.named(f'pass {place}')}"

    def passed(self, given: str) -> Gallery:
        """The gallery that a pass is for.

        Raises:
            GalleryError: it is none.
        """
        if self._asking is None:
            return self.public
        folder = self.bearer(given)
        return self.opened(folder if folder.is_dir() else self._root / _EMPTY)

    def bearer(self, given: str) -> Path:
        """The folder of the visitor whom a pass was made for.

        Raises:
            GalleryError: it is none.
        """
        place, _, proof = given.rpartition("/")
        if not self._key.has_named(f"pass {place}", proof):
            raise GalleryError("This link is for nobody's pictures.", "Reload the gallery.")
        return self._root / place
