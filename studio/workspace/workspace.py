"""Composes everything: one workspace serves the page, the command line and the tests."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from studio.architecture.pipelines import SCHEDULER_NAMES
from studio.backends import Backend, ClipReader, LibraryWeights, open_backend
from studio.backends import WorkerStatus as WorkerStatus
from studio.comparison.replay import Lost
from studio.contract.plan import Library, RunPlan
from studio.contract.request import ReferenceImage
from studio.errors import GalleryError, StudioError, UnusableReference
from studio.gallery import Gallery
from studio.gallery.findings import Verification
from studio.gallery.verification import verify
from studio.imaging.references import References
from studio.library.base_tensors import BaseTensorPlaces, tensors_of
from studio.library.chores import Chores
from studio.library.hashing import Repinned
from studio.library.preset_files import load
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.library.tokens import tokenizer_class
from studio.library.transfers import Transfers
from studio.presets import Catalog
from studio.presets.parse import PresetProblem
from studio.resolve.inventory import LoraWeights, Unusable
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.signing.keys import trusted_roots
from studio.signing.sealing import sealer_of
from studio.workspace.own_loras import OwnLoras
from studio.workspace.planning import Planning
from studio.workspace.running import Running
from studio.workspace.visitors import Visitors

CLOSING = 1.5
"""Seconds in which what runs may stop when the studio closes."""

logger = logging.getLogger("studio.workspace.workspace")


class Workspace:
    """Catalog, weights, engine and gallery behind one door.

    Attributes:
        settings: as opened.
        visitors: whose galleries there are.
        own_loras: what they brought, which nobody else sees.
        sealer: signs pictures; None where SIGN is not set.
        stock: the presets, and the fetching of their weights.
        transfers: downloads that go on in the background.
        chores: longer work on the library that does.
        planning: what resolves requests; ``plan`` is its own.
        running: what runs plans; ``run`` and the sessions are its own.
        schedulers: the names a request may give.
        device_label: the device in words; None until ``warm_up`` has looked.
    """

    schedulers = SCHEDULER_NAMES

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        problems: tuple[PresetProblem, ...],
        backend: Backend | None = None,
    ) -> None:
        self.settings = settings
        self.sealer = sealer_of(settings)
        self.visitors = Visitors(settings, self.sealer)
        self.device_label: str | None = None
        self._references = References(
            settings.state / "references",
            lambda sha256: self.gallery.reference(sha256),
            self.visitors.prefix,
        )
        self._references.discard_unused()
        self._store = WeightStore(settings)
        self.stock = Stock(settings, self._store, catalog, problems)
        self.own_loras = OwnLoras(settings, self._store, self.visitors)
        self.stock.seen = self.own_loras.seen
        self.transfers = Transfers(self.stock)
        self.chores = Chores()
        self._weights = LibraryWeights(self._store, self.stock, self._references)
        self._backend = backend or open_backend(settings, self._weights)
        self.planning = Planning(
            settings, self.stock, self._store, self._references, self._backend
        )
        self.plan = self.planning.plan
        self.running = Running(
            settings, self.visitors, self._references, self._weights, self._backend, self.signer
        )
        self.open_session = self.running.open_session
        self.close_session = self.running.close_session
        self.run = self.running.run
        self._before_close: list[Callable[[], None]] = []

    @classmethod
    def open(cls, settings: Settings, backend: Backend | None = None) -> Self:
        """Read the presets and open the gallery; does not import torch.

        Args:
            backend: runs the plans; None is this machine.

        Raises:
            SettingsError, GalleryError: a folder cannot be read or written.
        """
        dirs = (BUILT_IN_PRESETS, *settings.preset_dirs)
        catalog, problems = load(dirs, settings.local_presets)
        return cls(settings, catalog, problems, backend)

    @property
    def gallery(self) -> Gallery:
        """The pictures of whoever asks; see ``Visitors``."""
        return self.visitors.gallery()

    @property
    def catalog(self) -> Catalog:
        """Every preset that whoever asks sees; another one after the studio's own file was
        changed."""
        return self.stock.catalog

    @property
    def problems(self) -> tuple[PresetProblem, ...]:
        """What is wrong in the preset files; the other entries are in the catalog."""
        return self.stock.problems

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Those of WORKERS, as they are now; empty where the studio itself runs its plans."""
        return self._backend.workers()

    def clip_model(self) -> ClipReader | None:
        """The CLIP model that comparisons are scored with, loaded; None where none is set.

        Raises:
            WeightsError: its folder holds no whole CLIP model.
        """
        folder = self.settings.clip_model
        return None if folder is None else self._backend.clip_model(folder)

    def add_reference(self, path: Path) -> ReferenceImage:
        """Take a picture to edit in; nothing of its file but what is seen is kept.

        Raises:
            UnusableReference: it cannot be read, or is not a PNG, JPEG or WebP picture.
        """
        try:
            return self._references.add(path.read_bytes())
        except OSError as error:
            reason = f"it cannot be read or kept ({error.strerror or error})"
            raise UnusableReference(reason, "Give another file.") from error

    def reference(self, sha256: str) -> Path | None:
        """Where a reference image lies, or None where it is not kept any more."""
        return self._references.locate(sha256)

    def forget_visitor(self) -> None:
        """Remove everything that whoever asks has made or handed in, and shows in public.

        Raises:
            GalleryError: the disk does not allow it, or the studio is its owner's alone.
        """
        visitor = self.visitors.current()
        if visitor is None:
            raise GalleryError("Nobody is a visitor here.", "Delete pictures one by one.")
        self.discard_visitor(self.visitors.folder(visitor))
        self._references.forget_mine()

    def discard_visitor(self, folder: Path) -> None:
        """Remove a visitor's gallery with all that is in it; see ``Visitors.discard``."""
        self.own_loras.drop(folder)
        self.visitors.discard(folder)

    def present(self) -> Mapping[str, bool]:
        """Every preset's slug → whether its weights are on disk (no hashing)."""
        catalog = self.catalog
        return self._store.present([*catalog.models.values(), *catalog.loras.values()])

    def expected_at(self, slug: str) -> Path:
        """Where the weights of a preset belong.

        Raises:
            KeyError: no preset has this slug.
        """
        return self._store.locate(self.catalog.models.get(slug) or self.catalog.loras[slug])

    def base_tensors(self, slug: str) -> BaseTensorPlaces:
        """Where the weights of a base's modules lie; headers are read, and nothing is hashed.

        Raises:
            KeyError: no base has this slug.
            WeightsError: it is not there, or cannot be read.
        """
        preset = self.catalog.models[slug]
        return tensors_of(preset, self._store.locate(preset), self._store.layout(preset))

    def repin(self, slug: str) -> Repinned:
        """Forget the SHA-256 a preset was pinned to, so that its next use pins the new one.

        Raises:
            WeightsError: the preset is not pinned.
        """
        return self._store.repin(slug)

    def seek(self, plan: RunPlan) -> tuple[Lost, ...]:
        """What a recorded plan needs and is nowhere here; the rest is found by its SHA-256."""
        return self._weights.seek(plan)

    @property
    def signer(self) -> str | None:
        """Number of the certificate that pictures are signed with; None where they are not."""
        return self.sealer.identity.serial if self.sealer else None

    @property
    def libraries(self) -> tuple[Library, ...]:
        """Those whose version can change the pixels, as they are now."""
        return self._backend.libraries()

    def queue_length(self) -> int:
        """Runs waiting or running on the device."""
        return self._backend.queue_length()

    def describe_device(self) -> str:
        """For example "CPU, 2 threads"; imports torch on first use."""
        self.device_label = self._backend.describe_device()
        return self.device_label

    def warm_up(self) -> threading.Thread:
        """Import torch and friends in the background, so that the first run is quick."""
        thread = threading.Thread(target=self._warm, name="warm-up", daemon=True)
        thread.start()
        return thread

    def _warm(self) -> None:
        try:
            # Before the device's own imports, which would take a second part in that.
            tokenizer_class("CLIPTokenizer")
            self._backend.warm_up()
            self.describe_device()
        except StudioError:
            # The same error comes again, with its way out, when somebody runs something.
            logger.exception("warm-up failed")

    def lora_weights(self, slug: str) -> LoraWeights | Unusable | None:
        """A LoRA preset's file, inspected and hashed (cached by stat); None where it is missing.

        Raises:
            StudioError: the studio's own state cannot be used.
            KeyError: no LoRA preset has this slug.
        """
        inventory = self._store.inventory([], [self.catalog.loras[slug]])
        return inventory.loras.get(slug) or inventory.unusable.get(slug)

    def verify(self, path: Path) -> Verification:
        """Whether a picture and its record are whole and agree.

        Of a picture in the gallery, also whether what it was edited from is still there.

        Raises:
            SettingsError: a root certificate that the user named cannot be read.
        """
        gallery = self.visitors.at(path.resolve())
        reference = gallery.reference if gallery else None
        return verify(path, reference, trusted_roots(self.settings.trust))

    def before_close(self, close: Callable[[], None]) -> None:
        """Call ``close`` first when the studio closes: it stands on this workspace."""
        self._before_close.append(close)

    def close(self) -> None:
        """Cancel what runs and what is fetched, and give the device back.

        What does not stop within CLOSING is left behind: everything on the disk is whole, and
        the process can end.
        """
        deadline = time.monotonic() + CLOSING
        for before in self._before_close:
            before()
        self.running.close_all()
        for what, close in (
            ("library", self.stock.catalogue.close),
            ("work on the library", self.chores.close),
            ("download", self.transfers.close),
            ("device", self._backend.close),
        ):
            if not close(max(deadline - time.monotonic(), 0.0)):
                logger.warning("closing: the %s did not stop within %s s", what, CLOSING)
