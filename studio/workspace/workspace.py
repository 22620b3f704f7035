"""Composes everything: one workspace serves the page, the command line and the tests."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Self

from studio.architecture.pipelines import SCHEDULER_NAMES
from studio.backends import (
    Backend,
    BackendEvent,
    ClipReader,
    Generated,
    LibraryWeights,
    open_backend,
)
from studio.backends import (
    WorkerStatus as WorkerStatus,
)
from studio.comparison.replay import Lost
from studio.contract.base import Contract
from studio.contract.events import Event, Failed, Finished, Job
from studio.contract.plan import Library, RunPlan
from studio.contract.prompt import TokenCounter
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, ReferenceImage
from studio.contract.violations import Violation, WeightsMissing
from studio.errors import (
    DeviceError,
    GalleryError,
    SettingsError,
    StudioError,
    UnusableReference,
    WeightsError,
)
from studio.gallery import Gallery
from studio.gallery.verification import Verification, verify
from studio.imaging.references import References
from studio.library.chores import Chores
from studio.library.preset_files import load
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.library.tokens import Counters, tokenizer_class
from studio.library.transfers import Transfers
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.presets.parse import PresetProblem
from studio.resolve import (
    BaseInPlace,
    Provisional,
    Runtime,
    provisional,
    resolve,
    resolve_base,
)
from studio.resolve.gpu import gpu_notices
from studio.resolve.inventory import Inventory, LoraWeights, Unusable
from studio.resolve.memory import MemoryRules
from studio.resolve.names import with_slugs
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.signing.keys import trusted_roots
from studio.signing.sealing import sealer_of
from studio.workspace.own_loras import OwnLoras
from studio.workspace.visitors import Visitors, beyond

CLOSING = 1.5
"""Seconds in which what runs may stop when the studio closes."""

logger = logging.getLogger("studio.workspace.workspace")


class Repinned(Contract):
    """A preset whose pin was given up: the file's hash is pinned anew on its next use."""

    slug: str
    forgotten: str


class EitherEvent(threading.Event):
    """Reads as set when it is set itself, or when ``other`` is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


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
        self._counters = Counters()
        self._running: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()
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

    def plan(
        self, request: GenerationRequest, catalog: Catalog | None = None
    ) -> RunPlan | tuple[Violation, ...]:
        """Resolve; hashes the chosen weights (cached by stat) and never loads them.

        Args:
            catalog: instead of the workspace's own, of the same weights.
        """
        known = self.catalog if catalog is None else catalog
        outcome = resolve(request, known, *self._known(request, known))
        if isinstance(outcome, RunPlan):
            if self.settings.is_public and (
                said := tuple(beyond(outcome, self.settings.visitors))
            ):
                return said
            costs = tuple(gpu_notices(self._backend.gpu_time(outcome)))
            return outcome.model_copy(update={"notices": (*outcome.notices, *costs)})
        if not self.settings.is_public:
            return outcome
        return tuple(self._for_strangers(violation) for violation in outcome)

    def _for_strangers(self, violation: Violation) -> Violation:
        """Without the folders of this machine, and without what only its owner can do."""
        settings = self.settings
        places = {str(BUILT_IN_PRESETS): "presets", str(settings.outputs): "OUTPUTS"}
        places |= {str(folder): "MODEL_BASE_PATH" for folder in settings.library_folders}
        said = {name: text for name, text in dict(violation).items() if isinstance(text, str)}
        for place in sorted(places, key=len, reverse=True):
            said = {name: text.replace(place, places[place]) for name, text in said.items()}
        if isinstance(violation, WeightsMissing):
            said["get"] = "Choose another, or ask the owner of this page to fetch them."
        return violation.model_copy(update=said)

    def place_bases(self) -> None:
        """Load the bases of GPU_BASES where a GPU is lent by the second; weights that are missing
        are fetched, for it is the page's owner who names them. On the main thread, before the
        page is launched; nothing elsewhere.

        Raises:
            StudioError: one cannot be fetched or loaded.
        """
        for slug in self.settings.gpu_bases if self.settings.zero_gpu else ():
            model = self.catalog.models.get(slug)
            if model is None:
                raise SettingsError(
                    f"GPU_BASES names {slug!r}, which no preset is called.",
                    "Name slugs of model presets, separated by commas.",
                )
            if not self._store.present([model])[slug]:
                logger.info("fetching %s, which GPU_BASES names", model.label)
                for _ in self.stock.download(slug, threading.Event()):
                    pass
            found = resolve_base(model, self.catalog, *self._known_of(model, ()))
            if not isinstance(found, BaseInPlace):
                raise WeightsError(found[0].found, found[0].way_out)
            logger.info("loading %s in %s for the GPU", model.label, found.dtype)
            self._backend.place(found)

    def provisional(self, request: GenerationRequest) -> Provisional | None:
        """What is known of its plan while weights are missing."""
        return provisional(request, self.catalog, *self._known(request, self.catalog))

    def _known(self, request: GenerationRequest, catalog: Catalog) -> tuple[Inventory, Runtime]:
        """What a plan may know of the world."""
        request, _ = with_slugs(request, catalog)
        model = catalog.models.get(request.base)
        chosen = {choice.slug for choice in request.loras} & catalog.loras.keys()
        presets = [catalog.loras[slug] for slug in sorted(chosen)]
        inventory, runtime = self._known_of(model, presets)
        return replace(inventory, references=self._kept_references(request)), runtime

    def _known_of(
        self, model: ModelPreset | None, loras: Sequence[LoraPreset]
    ) -> tuple[Inventory, Runtime]:
        inventory = self._store.inventory([model] if model else [], loras)
        inventory, counters = self._with_counters(model, inventory)
        memory = self.memory_rules(model.slug if model else None)
        return inventory, Runtime(
            self._backend.libraries(),
            counters,
            memory,
            self.settings.device,
            self.settings.mark,
            self._backend.worker_class(),
        )

    def memory_rules(self, base: str | None = None) -> MemoryRules | None:
        """What memory there is and what the settings ask of it, for the base of this slug.

        None where the device is not there: the run says so, with the way out.
        """
        try:
            return self._backend.memory_rules(base)
        except DeviceError as error:
            logger.warning("the device cannot be looked at: %s", error)
            return None

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Those of WORKERS, as they are now; empty where the studio itself runs its plans."""
        return self._backend.workers()

    def _kept_references(self, request: GenerationRequest) -> frozenset[str]:
        given = [each.sha256 for each in request.references]
        for sha256 in given:
            self._references.touch(sha256)
        return frozenset(sha256 for sha256 in given if self._references.locate(sha256))

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

    def _with_counters(
        self, model: ModelPreset | None, inventory: Inventory
    ) -> tuple[Inventory, dict[str, dict[str, TokenCounter]]]:
        """The base's token counters; a base without them is unusable, as one without weights."""
        base = inventory.bases.get(model.slug) if model else None
        if model is None or base is None:
            return inventory, {}
        try:
            counters = self._counters.of(base, model)
        except WeightsError as error:
            why = Unusable(base.path, error.message, error.way_out)
            bases = {slug: other for slug, other in inventory.bases.items() if slug != model.slug}
            unusable = {**inventory.unusable, model.slug: why}
            return replace(inventory, bases=bases, unusable=unusable), {}
        return inventory, {model.slug: counters}

    def present(self) -> Mapping[str, bool]:
        """Every preset's slug → whether its weights are on disk (no hashing)."""
        presets: list[ModelPreset | LoraPreset] = [
            *self.catalog.models.values(),
            *self.catalog.loras.values(),
        ]
        return self._store.present(presets)

    def expected_at(self, slug: str) -> Path:
        """Where the weights of a preset belong.

        Raises:
            KeyError: no preset has this slug.
        """
        return self._store.locate(self._preset(slug))

    def repin(self, slug: str) -> Repinned:
        """Forget the SHA-256 a preset was pinned to, so that its next use pins the new one.

        Raises:
            WeightsError: the preset is not pinned.
        """
        forgotten = self._store.state.unpin(slug)
        return Repinned(slug=slug, forgotten=forgotten)

    def _preset(self, slug: str) -> ModelPreset | LoraPreset:
        return self.catalog.models.get(slug) or self.catalog.loras[slug]

    def open_session(self) -> str:
        """A handle that owns what one browser page or one command asks for."""
        session = uuid.uuid4().hex
        with self._lock:
            self._running[session] = set()
        return session

    def close_session(self, session: str) -> None:
        """Cancel what the session runs or waits for; release the LoRAs only it used."""
        with self._lock:
            waiting = self._running.pop(session, set())
        for cancel in waiting:
            cancel.set()
        self._backend.release(session)

    def run(
        self,
        plan: RunPlan,
        session: str,
        cancel: threading.Event,
        previews: bool = True,
        group: str | None = None,
    ) -> Generator[Event, None, None]:
        """Queue, generate and save; ends with Finished (one an image), Cancelled or Failed.

        Closing the generator cancels the run. ``cancel`` is only read, never set.

        Args:
            previews: show pictures while they are made.
            group: as ``Job.group``.

        Raises:
            KeyError: the session is not open.
        """
        own = EitherEvent(cancel)
        with self._lock:
            self._running[session].add(own)
        try:
            job = Job(
                run_id=uuid.uuid4().hex[:12],
                session=session,
                plan=plan,
                previews=previews,
                group=group,
            )
            yield from self._events(job, own)
        finally:
            with self._lock:
                self._running.get(session, set()).discard(own)

    def _events(self, job: Job, cancel: threading.Event) -> Iterator[Event]:
        plan = job.plan
        try:
            used = {each.sha256 for each in plan.references}
            # Closing takes the run out of the queue, or stops it, when a picture cannot be
            # saved or nobody listens any more.
            with self._references.held(used), closing(self._backend.run(job, cancel)) as events:
                for event in events:
                    if isinstance(event, Generated):
                        self._weights.pin(plan)
                        yield self._saved(plan, event)
                    else:
                        yield event
        except StudioError as error:
            logger.warning("run %s failed: %s", job.run_id, error)
            yield Failed(job.run_id, error.code, error.message, error.way_out)

    def rerun(
        self, plan: RunPlan, index: int, session: str, cancel: threading.Event
    ) -> Generator[BackendEvent, None, None]:
        """Make picture ``index`` of a recorded plan again, and keep nothing: ``Generated`` has it.

        Raises:
            KeyError: the session is not open.
        """
        own = EitherEvent(cancel)
        with self._lock:
            self._running[session].add(own)
        run_id = uuid.uuid4().hex[:12]
        job = Job(run_id=run_id, session=session, plan=plan, previews=False, only=index)
        used = {each.sha256 for each in plan.references}
        try:
            with self._references.held(used), closing(self._backend.run(job, own)) as events:
                yield from events
        finally:
            with self._lock:
                self._running.get(session, set()).discard(own)

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

    def _saved(self, plan: RunPlan, made: Generated) -> Finished:
        marks = (self._references.mark(each.sha256) for each in plan.references)
        inherited = tuple(mark for mark in dict.fromkeys(marks) if mark is not None)
        record = RunRecord.of(
            plan, made.receipt, inherited, self.settings.aigc_producer, self.signer
        )
        path = self.visitors.made().save(
            made.image, record, {r.sha256: self._weights.reference(r) for r in plan.references}
        )
        return Finished(made.run_id, made.index, made.count, path, record)

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
        """
        gallery = self.visitors.at(path.resolve())
        return verify(path, gallery.reference if gallery else None, self.trust)

    @property
    def trust(self) -> str:
        """The root certificates that the user named, PEM.

        Raises:
            SettingsError: one cannot be read.
        """
        return trusted_roots(self.settings.trust)

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
        with self._lock:
            sessions = list(self._running)
        for session in sessions:
            self.close_session(session)
        for what, close in (
            ("library", self.stock.catalogue.close),
            ("work on the library", self.chores.close),
            ("download", self.transfers.close),
            ("run", self._backend.close),
        ):
            if not close(max(deadline - time.monotonic(), 0.0)):
                logger.warning("closing: the %s did not stop within %s s", what, CLOSING)
