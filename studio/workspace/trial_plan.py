"""A trial's cells as plans, under the words that the trial is told of, and what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from studio.architecture import Mode
from studio.comparison.plan import holding
from studio.comparison.schedule import estimate_seconds
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import Violation
from studio.errors import TrialError
from studio.gallery import Filter
from studio.presets import Catalog, TriggerRule
from studio.trials.design import (
    CellRole,
    TrialCell,
    TrialDesign,
    cells,
    controls,
    most_pictures,
    text_of,
)
from studio.trials.observations import PromptKind
from studio.workspace.past import Past
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class TrialForecast:
    """What a trial costs.

    Attributes:
        most: pictures that there will be at most; exactly, where every arm gets every seed.
        first: of the first round, the controls with them.
        found: of ``first``, those that are in the gallery already.
        seconds: for ``most`` without ``found``; None without a past to judge by.
    """

    most: int
    first: int
    found: int
    seconds: float | None


class Planner:
    """A design's cells as plans. Seeds change nothing else of a plan, so each other thing is
    resolved once."""

    def __init__(self, workspace: Workspace, design: TrialDesign) -> None:
        """
        Raises:
            TrialError: a checkpoint's file is not there any more, or is another one.
        """
        self._workspace = workspace
        self._design = design
        self._slugs = {each.name: _slug(workspace, each.path) for each in design.own}
        self._catalog = _with_words(workspace.catalog, self._slugs.values(), design.trigger)
        self._known: dict[str, RunPlan | tuple[Violation, ...]] = {}
        self._made: dict[str, bool] = {}
        self._start = GenerationRequest(
            base=design.base,
            mode=Mode.BASE,
            prompt=text_of(
                design.prompts[0].model_copy(update={"kind": PromptKind.PLAIN}), design.trigger
            ),
            negative_prompt=design.negative,
            settings=design.settings,
            seed=0,
        )
        self._held: GenerationRequest | None = None

    def plan(self, cell: TrialCell) -> RunPlan | tuple[Violation, ...]:
        key = cell.beside(seed=0).key
        if key not in self._known:
            request = self._request(cell)
            self._known[key] = (
                self._workspace.plan(request, self._catalog)
                if isinstance(request, GenerationRequest)
                else request
            )
        known = self._known[key]
        if not isinstance(known, RunPlan):
            return known
        return _reseeded(known, cell.seed)

    def is_known(self, cell: TrialCell) -> bool:
        """Whether the gallery has any picture of the base alone, or with the cell's file."""
        arm = cell.arm.checkpoint
        if arm not in self._made:
            wanted = Filter(base=self._design.base, lora=self._slugs.get(arm))
            self._made[arm] = bool(self._workspace.gallery.query(wanted, limit=1))
        return self._made[arm]

    def violations(self) -> tuple[Violation, ...]:
        """What stands in the way of the first round, each once; it resolves every arm."""
        design = self._design
        found: list[Violation] = []
        first = design.rule.seeds[:1]
        for cell in (*cells(design, design.arms, first), *controls(design)):
            answer = self.plan(cell)
            if not isinstance(answer, RunPlan):
                found += answer
        return tuple(dict.fromkeys(found))

    def forecast(self, past: Past) -> TrialForecast:
        """How many pictures there will be, and about how long they take."""
        design, seeds = self._design, self._design.rule.seeds
        first = [*cells(design, design.arms, seeds[: design.rule.first]), *controls(design)]
        found = sum(self._is_there(cell, past) for cell in first)
        # Seeds change nothing of what a picture costs.
        planned = map(self.plan, cells(design, design.arms, seeds[:1]))
        sample = [plan for plan in planned if isinstance(plan, RunPlan)]
        seconds = estimate_seconds(sample, past.paces(sample)) if sample else None
        most = most_pictures(design)
        each = None if seconds is None else seconds / len(sample)
        ahead = max(most - found, 0)
        return TrialForecast(most, len(first), found, None if each is None else each * ahead)

    def _is_there(self, cell: TrialCell, past: Past) -> bool:
        """Whether the gallery seems to have it; what no picture was ever made with is not asked
        for picture by picture."""
        if cell.role is CellRole.BASE_AGAIN or not self.is_known(cell):
            return False
        plan = self.plan(cell)
        return isinstance(plan, RunPlan) and any(past.candidates(plan))

    def _request(self, cell: TrialCell) -> GenerationRequest | tuple[Violation, ...]:
        if self._held is None:
            reference = self._workspace.plan(self._start, self._catalog)
            if not isinstance(reference, RunPlan):
                return reference
            self._held = holding(self._start, reference, names_held=True)
        prompt = self._design.prompt(cell.prompt, cell.kind)
        words = cell.kind is PromptKind.TRIGGER and bool(self._design.trigger)
        loras: tuple[LoraChoice, ...] = ()
        if cell.role not in (CellRole.BASE, CellRole.BASE_AGAIN):
            mode = Mode.LORA_WITH_TRIGGER if words else Mode.LORA
            slug = self._slugs[cell.arm.checkpoint]
            loras = (cell.arm.choice(slug),)
        elif words:
            mode = Mode.TRIGGER_ONLY
            # The words are every checkpoint's: whichever is named gives the base's picture.
            loras = (LoraChoice(slug=self._slugs[self._design.own[0].name]),)
        else:
            mode = Mode.BASE
        return self._held.model_copy(
            update={
                "mode": mode,
                "prompt": text_of(prompt, self._design.trigger),
                "loras": loras,
                "seed": cell.seed,
            }
        )


def _slug(workspace: Workspace, path: str) -> str:
    if not Path(path).is_file():
        raise TrialError(
            f"{path} is not there any more.", "Put it back, or begin a new trial without it."
        )
    return workspace.stock.catalogue.slug_of_file(Path(path))


def _with_words(catalog: Catalog, slugs: Iterable[str], trigger: str) -> Catalog:
    """``catalog`` in which these LoRAs need just these trigger words."""
    wanted = set(slugs)
    rule = TriggerRule.REQUIRED if trigger else TriggerRule.NONE
    loras = tuple(
        each.model_copy(update={"prompt": trigger, "trigger": rule, "alternatives": False})
        if each.slug in wanted
        else each
        for each in catalog.loras.values()
    )
    models = tuple(catalog.models.values())
    return Catalog(models, loras, catalog.local, catalog.overrides, catalog.derived)


def _reseeded(plan: RunPlan, seed: int) -> RunPlan:
    return plan if plan.seed == seed else plan.model_copy(update={"seed": seed})
