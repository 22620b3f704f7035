"""A worker's weights by their SHA-256: in its library, its own store, or fetched from the head.

What is fetched is taken in as a download is: into a part that is resumed, hashed whole, inspected
(a LoRA must be one), and only then given its name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from studio.backends.base import BasePlace
from studio.backends.cluster.wire import FileShare
from studio.backends.library import LibraryWeights
from studio.contract.base import in_bytes, is_sha256
from studio.contract.plan import BaseIdentity, LoraUse, RunPlan
from studio.contract.request import ReferenceImage
from studio.engine import RunCancelled
from studio.errors import UnusableReference, WeightsError
from studio.imaging.references import load as load_reference
from studio.library.downloads.addresses import Allowed
from studio.library.downloads.errors import DownloadError
from studio.library.downloads.fetching import check_room, fill, reread
from studio.library.downloads.http import Site
from studio.library.downloads.part import Part, lock, part_of
from studio.library.downloads.plan import RemoteFile
from studio.library.downloads.transfer import SiteTransfer, TransferCancelled
from studio.library.store import WeightStore
from studio.resolve.inventory import base_place
from studio.storage import atomic

T = TypeVar("T")

LORA = "lora.safetensors"
LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class Errand:
    """What a run brings with it.

    Attributes:
        share: where the head gives out weights; None for nowhere.
        pictures: SHA-256 of its reference images → their PNG files.
        say: a line on what is being fetched.
    """

    plan: RunPlan
    share: FileShare | None
    cancel: threading.Event
    say: Callable[[str], None]
    pictures: Mapping[str, bytes] = field(default_factory=dict)


class WorkerWeights:
    """A ``Weights`` for one run at a time.

    Args:
        folder: the worker's own store, where fetched weights stay.
        limit: bytes of the largest file that is fetched.
    """

    def __init__(
        self, library: LibraryWeights, store: WeightStore, folder: Path, limit: int
    ) -> None:
        self._library = library
        self._store = store
        self._folder = folder
        self._limit = limit
        self._errand: Errand | None = None
        self._sought: set[str] = set()

    def begin(self, errand: Errand) -> None:
        """From now on for this run."""
        self._errand = errand

    def base(self, wanted: BaseIdentity) -> BasePlace:
        folder = self._folder / "bases" / _checked(wanted.sha256)
        held = folder.is_dir()
        found = self._in_library(wanted.sha256, held, lambda: self._library.base(wanted))
        if found is not None:
            return found
        single = [file.name for file in wanted.files if "/" not in file.name]
        single = [name for name in single if name.endswith(".safetensors")]
        layout = folder if single else None
        path = folder / single[0] if single else folder
        stamps = {}
        for file in wanted.files:
            remote = self._remote(_inside(file.name), file.sha256, file.size)
            place = base_place(path, layout, file.name)
            stamps[file.name] = self._own(place, remote, is_lora=False)
        return BasePlace(path, layout, stamps)

    def lora(self, wanted: LoraUse) -> Path:
        place = self._folder / "loras" / _checked(wanted.sha256) / LORA
        held = place.exists()
        found = self._in_library(wanted.sha256, held, lambda: self._library.lora(wanted))
        if found is not None:
            return found
        remote = self._remote(f"{wanted.slug}.safetensors", wanted.sha256, wanted.size)
        self._own(place, remote, is_lora=True)
        return place

    def _in_library(self, sha256: str, held: bool, find: Callable[[], T]) -> T | None:
        """What ``find`` finds in the library: at its preset's place, else anywhere in it.

        Args:
            held: the worker's own store has it: the whole library is not looked through then.
        """
        with suppress(WeightsError):
            return find()
        if held or sha256 in self._sought:
            return None
        self._sought.add(sha256)
        self._library.seek(self._running.plan)
        with suppress(WeightsError):
            return find()
        return None

    def reference(self, wanted: ReferenceImage) -> Path:
        sent = self._running.pictures.get(wanted.sha256)
        if sent is None:
            raise UnusableReference("it was not sent to the worker", "Give it again.")
        place = self._folder / "references" / f"{_checked(wanted.sha256)}.png"
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic.overwrite(place, sent)
        load_reference(place, wanted)
        return place

    @property
    def _running(self) -> Errand:
        if self._errand is None:
            raise WeightsError("The worker runs nothing.", "Report it with the worker's log.")
        return self._errand

    def _remote(self, name: str, sha256: str, size: int) -> RemoteFile:
        share = self._running.share
        address = "" if share is None else f"{share.url}/{sha256}"
        return RemoteFile(name=name, url=address, size=size, sha256=sha256)

    def _own(self, place: Path, remote: RemoteFile, is_lora: bool) -> atomic.Stamp:
        """A file of the worker's own store, fetched if it is not there, and proven."""
        if not place.exists():
            try:
                for _ in self._fetch(place, remote, is_lora):
                    pass
            except TransferCancelled:
                raise RunCancelled(remote.name) from None
            except OSError as error:
                raise WeightsError(
                    f"{remote.name} cannot be written: {error.strerror or error}.",
                    "Check that the worker's store (WORKER_STORE) can be written and has room.",
                ) from error
        return self._store.verify(place, str(remote.sha256), remote.size or 0)

    def _fetch(self, place: Path, remote: RemoteFile, is_lora: bool) -> Iterator[object]:
        errand = self._running
        if errand.share is None:
            raise WeightsError(
                f"{remote.name} is not on this worker, and its head gives out no weights.",
                "Put it into the worker's library (MODEL_BASE_PATH).",
            )
        site = Site("the head", Allowed(errand.share.url), errand.share.token)
        transfer = SiteTransfer(site, _judge, errand.cancel, self._limit)
        errand.say(f"Fetching {remote.name} ({in_bytes(remote.size)}) from the head")
        place.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := lock(part_of(place))) is None:
            yield None  # another worker with this store fetches it
            if errand.cancel.wait(LOOK_AGAIN):
                raise TransferCancelled
        with Part(part_of(place), descriptor) as part, part.unless_empty():
            if place.exists():
                part.discard()
                return
            yield from reread(errand.cancel, remote, part)
            check_room(place.parent, (remote.size or 0) - part.size)
            yield from fill(transfer, remote, part, None)
            if is_lora:
                self._demand_lora(remote, part)
            self._store.adopt(part.path, place)
            part.forget()
            self._store.keep({place: part.hash.hexdigest()})

    def _demand_lora(self, remote: RemoteFile, part: Part) -> None:
        kind = self._store.inspect(part.path).kind
        if kind != "lora":
            part.discard()
            raise WeightsError(
                f"{remote.name} came as {kind}, and no LoRA; nothing was kept.",
                "Check the file on the head with `studio inspect`.",
            )


def _judge(answer: object) -> None:
    status = getattr(answer, "status_code", 0)
    if status in (403, 404):
        raise DownloadError(
            f"The head answered {status} for weights that its own plan names.",
            "Run it again; on the head, check that the file is still in its library.",
        )


def _checked(sha256: str) -> str:
    """A hash that becomes a folder's name."""
    if not is_sha256(sha256):
        raise WeightsError(f"{sha256!r:.80} is no SHA-256.", "Resolve the request again.")
    return sha256


def _inside(name: str) -> str:
    """A file's name below its model: it leads nowhere else.

    Raises:
        WeightsError: it does.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise WeightsError(f"{name!r:.120} is no name inside a model.", "Resolve it again.")
    return name


def forget_pictures(folder: Path) -> None:
    """Reference images are the run's own: none stays on a worker after it."""
    with suppress(OSError):
        for path in (folder / "references").iterdir():
            path.unlink()
