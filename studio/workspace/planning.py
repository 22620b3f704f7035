"""Requests into plans: what is known of presets, weights, device and visitor, for the resolver."""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from studio.backends import Backend
from studio.contract.limits import VisitorLimits, work_of
from studio.contract.plan import RunPlan
from studio.contract.prompt import TokenCounter
from studio.contract.request import GenerationRequest
from studio.contract.violations import TooMuchForVisitor, Violation, WeightsMissing
from studio.errors import DeviceError, SettingsError, WeightsError
from studio.imaging.references import References
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.library.tokens import Counters
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.resolve import (
    BaseInPlace,
    Provisional,
    Runtime,
    provisional,
    resolve,
    resolve_base,
)
from studio.resolve.gpu import gpu_notices
from studio.resolve.inventory import Inventory, Unusable
from studio.resolve.memory import MemoryRules
from studio.resolve.names import with_slugs
from studio.settings import BUILT_IN_PRESETS, Settings

logger = logging.getLogger("studio.workspace.planning")


class Planning:
    """Gathers what a plan may know of the world, and resolves."""

    def __init__(
        self,
        settings: Settings,
        stock: Stock,
        store: WeightStore,
        references: References,
        backend: Backend,
    ) -> None:
        self._settings = settings
        self._stock = stock
        self._store = store
        self._references = references
        self._backend = backend
        self._counters = Counters()

    def plan(
        self, request: GenerationRequest, catalog: Catalog | None = None
    ) -> RunPlan | tuple[Violation, ...]:
        """Resolve; hashes the chosen weights (cached by stat) and never loads them.

        Args:
            catalog: instead of the studio's own, of the same weights.
        """
        known = self._stock.catalog if catalog is None else catalog
        outcome = resolve(request, known, *self._known(request, known))
        if isinstance(outcome, RunPlan):
            if self._settings.is_public and (
                said := tuple(_beyond(outcome, self._settings.visitors))
            ):
                return said
            costs = tuple(gpu_notices(self._backend.gpu_time(outcome)))
            return outcome.model_copy(update={"notices": (*outcome.notices, *costs)})
        if not self._settings.is_public:
            return outcome
        return tuple(self._for_strangers(violation) for violation in outcome)

    def _for_strangers(self, violation: Violation) -> Violation:
        """Without the folders of this machine, and without what only its owner can do."""
        settings = self._settings
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
        for slug in self._settings.gpu_bases if self._settings.zero_gpu else ():
            model = self._stock.catalog.models.get(slug)
            if model is None:
                raise SettingsError(
                    f"GPU_BASES names {slug!r}, which no preset is called.",
                    "Name slugs of model presets, separated by commas.",
                )
            if not self._store.present([model])[slug]:
                logger.info("fetching %s, which GPU_BASES names", model.label)
                for _ in self._stock.download(slug, threading.Event()):
                    pass
            found = resolve_base(model, self._stock.catalog, *self._known_of(model, ()))
            if not isinstance(found, BaseInPlace):
                raise WeightsError(found[0].found, found[0].way_out)
            logger.info("loading %s in %s for the GPU", model.label, found.dtype)
            self._backend.place(found)

    def provisional(self, request: GenerationRequest) -> Provisional | None:
        """What is known of its plan while weights are missing."""
        return provisional(
            request, self._stock.catalog, *self._known(request, self._stock.catalog)
        )

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
            self._settings.device,
            self._settings.mark,
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

    def _kept_references(self, request: GenerationRequest) -> frozenset[str]:
        given = [each.sha256 for each in request.references]
        for sha256 in given:
            self._references.touch(sha256)
        return frozenset(sha256 for sha256 in given if self._references.locate(sha256))

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


def _beyond(plan: RunPlan, limits: VisitorLimits) -> Iterator[Violation]:
    """Why a plan is more than a visitor may ask for."""
    settings = plan.settings
    size = settings.width.value, settings.height.value
    work = work_of(*size, settings.steps.value, plan.count)
    if work > limits.work:
        yield TooMuchForVisitor(
            count=plan.count,
            width=size[0],
            height=size[1],
            steps=settings.steps.value,
            work=round(work, 1),
            limit=limits.work,
        )
