"""From pictures to observations: which measures can be told of a cell, and against what."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from PIL import Image

from studio.trials.design import (
    BASE_ARM,
    CellRole,
    TrialCell,
    TrialDesign,
    text_of,
)
from studio.trials.measures import Seen, TrialMeasure
from studio.trials.measures.looks import ALIKE, bits_apart, look
from studio.trials.measures.measure import Beside
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.store import CellResult

ShowPicture = Callable[[CellResult], Image.Image]
"""Gives a cell's picture."""


class Measuring:
    """Measures a trial's pictures, each once.

    Args:
        results: those that there are, by key; more come with ``add``.
        known: observations that were made before.
    """

    def __init__(
        self,
        design: TrialDesign,
        measures: Sequence[TrialMeasure],
        results: Mapping[str, CellResult],
        known: Iterable[Observation],
        show: ShowPicture,
    ) -> None:
        self._design = design
        self._measures = measures
        self._show = show
        self._results: dict[str, CellResult] = {}
        self._looks: dict[tuple[TrialArm, PromptKind], dict[str, int]] = {}
        self._alike: dict[str, str] = {}
        self._known = {(each.arm, each.kind, each.pair, each.measure) for each in known}
        for each in results.values():
            self.add(each)

    def add(self, result: CellResult) -> None:
        """Take a picture in; cells without one are passed over."""
        if result.pixels is None:
            return
        key, cell = result.cell.key, result.cell
        self._results[key] = result
        if cell.role is CellRole.ARM:
            own = look(self._show(result))
            before = self._looks.setdefault((cell.arm, cell.kind), {})
            near = (k for k, other in before.items() if bits_apart(own, other) <= ALIKE)
            first = next(near, None)
            if first is None:
                before[key] = own
            else:
                self._alike[key] = str(self._results[first].pixels)

    def observe(self, cells: Iterable[TrialCell]) -> Iterator[Observation]:
        """What can be told of these cells now and was not before."""
        for cell in cells:
            if cell.key in self._results and cell.role in (CellRole.ARM, CellRole.BASE):
                for measure in self._measures:
                    seen = self._one(cell, measure)
                    if seen is not None:
                        self._known.add((seen.arm, seen.kind, seen.pair, seen.measure))
                        yield seen

    def _one(self, cell: TrialCell, measure: TrialMeasure) -> Observation | None:
        facts = measure.facts
        pair = (cell.prompt, cell.seed)
        if (
            (cell.role is CellRole.BASE) is not (facts.of == "base")
            or cell.kind not in measure.kinds
            or (cell.arm, cell.kind, pair, facts.name) in self._known
        ):
            return None
        beside = {each: self._beside(cell, each) for each in measure.needs}
        there = {each: result for each, result in beside.items() if result is not None}
        if len(there) < len(beside):
            return None
        result = self._results[cell.key]
        reading = measure.read(self._seen(cell, result, there))
        if reading is None:
            return None
        base = there.get(Beside.BASE)
        return Observation(
            arm=cell.arm,
            prompt=cell.prompt,
            kind=cell.kind,
            seed=cell.seed,
            measure=facts.name,
            value=reading.value,
            base=reading.base,
            picture=str(result.pixels),
            base_picture=None if base is None else base.pixels,
            duplicate_of=self._alike.get(cell.key),
        )

    def _seen(
        self, cell: TrialCell, result: CellResult, beside: Mapping[Beside, CellResult]
    ) -> Seen:
        design = self._design
        prompt = design.prompt(cell.prompt, cell.kind)
        plain = prompt.model_copy(update={"kind": PromptKind.PLAIN})
        return Seen(
            kind=cell.kind,
            prompt=text_of(prompt, design.trigger),
            plain=text_of(plain, design.trigger),
            image=self._show(result),
            beside={each: self._show(one) for each, one in beside.items()},
        )

    def _beside(self, cell: TrialCell, which: Beside) -> CellResult | None:
        match which:
            case Beside.BASE:
                other: TrialCell | None = cell.of_base
            case Beside.PLAIN:
                other = cell.beside(kind=PromptKind.PLAIN)
            case Beside.PLAIN_BASE:
                other = cell.beside(kind=PromptKind.PLAIN).of_base
            case Beside.BEFORE:
                other = self._before(cell)
        return None if other is None else self._results.get(other.key)

    def _before(self, cell: TrialCell) -> TrialCell | None:
        """The cell of the checkpoint before; the first has none."""
        own = self._design.own
        place = next((n for n, each in enumerate(own) if each.name == cell.arm.checkpoint), 0)
        if place == 0 or cell.arm == BASE_ARM:
            return None
        before = own[place - 1]
        arm = cell.arm.model_copy(update={"checkpoint": before.name, "step": before.step})
        return cell.beside(arm=arm)
