"""Runs comparisons: cell by cell through the workspace, judged, measured and kept.

Cells that the gallery has already, under the same plan and verified, are not made again, so
an interrupted comparison goes on where it stopped.
"""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from studio.backends import ClipReader
from studio.comparison.axes import AxisValue, ComparisonPlan, ComparisonRequest, Role
from studio.comparison.axis_text import matching
from studio.comparison.checks import cells_of, check_pages
from studio.comparison.differences import summary, uninvited
from studio.comparison.effects import with_scores
from studio.comparison.events import (
    CellDone,
    Compared,
    ComparisonEvent,
    NothingCompared,
)
from studio.comparison.numbers import PairNumbers
from studio.comparison.pairs import arm_pairs
from studio.comparison.plan import plan_comparison
from studio.comparison.record import (
    UNDRAWN,
    CellRecord,
    ComparisonRecord,
    blank_cells,
    done,
    failed,
)
from studio.comparison.schedule import estimate_seconds
from studio.comparison.validity import judge
from studio.contract.marks import SourceType
from studio.contract.plan import RunPlan
from studio.contract.violations import TooManyCells, Violation
from studio.gallery.record_png import decode
from studio.gallery.sheet import draw
from studio.imaging import difference
from studio.imaging.png import pixels_sha256
from studio.workspace.lanes import lanes_for
from studio.workspace.making import CellMaker, Made
from studio.workspace.past import Past
from studio.workspace.running import EitherEvent
from studio.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one comparison or several will cost.

    Attributes:
        cells: pictures in all, and ``found`` those that are in the gallery already.
        seconds: for the pictures still to be made; None without a past to judge by.
    """

    cells: int
    found: int
    seconds: float | None


class Comparing:
    """Plans, runs and keeps the comparisons of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._past = Past(workspace)

    def plan(self, wanted: ComparisonRequest) -> ComparisonPlan | tuple[Violation, ...]:
        """Every cell's plan, or every violation. A pattern on an axis of LoRAs stands for those
        that fit the request's base."""
        return self._plan(wanted, 1)

    def plan_pages(
        self, wanted: ComparisonRequest, prompts: Sequence[AxisValue]
    ) -> list[ComparisonPlan] | tuple[Violation, ...]:
        """As ``plan``, once for each of ``prompts``; once for the request's own without any."""
        found = list(check_pages(wanted, prompts))
        plans: list[ComparisonPlan] = []
        for page in () if found else wanted.pages(prompts):
            answer = self._plan(page, max(1, len(prompts)))
            if isinstance(answer, ComparisonPlan):
                plans.append(answer)
            else:
                found += answer
        return tuple(dict.fromkeys(found)) or plans

    def _plan(
        self, wanted: ComparisonRequest, pages: int
    ) -> ComparisonPlan | tuple[Violation, ...]:
        catalog = self._workspace.catalog
        model = catalog.models.get(wanted.request.base)
        fitting = catalog.loras_for(model.base_architecture) if model else ()
        slugs = [lora.slug for lora in fitting]
        axes = {"rows": matching(wanted.rows, slugs), "columns": matching(wanted.columns, slugs)}
        wanted = wanted.model_copy(update=axes)
        settings = self._workspace.settings
        if settings.is_public and (count := cells_of(wanted) * pages) > settings.visitors.cells:
            return (TooManyCells(count=count, limit=settings.visitors.cells),)
        return plan_comparison(wanted, self._workspace.plan)

    def forecast(self, *plans: ComparisonPlan) -> Forecast:
        """How many cells there are to make, and about how long they take."""
        ahead = [
            [
                cell.plan
                for index, cell in enumerate(plan.cells)
                if not any(self._candidates(plan, index))
            ]
            for plan in plans
        ]
        cells, missing = sum(len(plan.cells) for plan in plans), sum(map(len, ahead))
        times = [self._seconds(each) for each in ahead]
        known = [each for each in times if each is not None]
        return Forecast(cells, cells - missing, sum(known) if len(known) == len(times) else None)

    def _seconds(self, ahead: Sequence[RunPlan]) -> float | None:
        seconds = estimate_seconds(ahead, self._past.paces(ahead))
        return None if seconds is None else seconds / lanes_for(self._workspace, len(ahead))

    def _candidates(self, plan: ComparisonPlan, index: int) -> Iterator[Path]:
        """Pictures in the gallery that could stand in a cell; the base again is always made."""
        cell = plan.cells[index]
        if cell.place.role is not Role.BASE_AGAIN:
            yield from self._past.candidates(cell.plan)

    def run(
        self,
        plan: ComparisonPlan,
        session: str,
        cancel: threading.Event,
        fresh: bool = False,
    ) -> Generator[ComparisonEvent, None, None]:
        """Make the cells that are missing (all of them if ``fresh``), judge, measure, keep.

        A cell that fails is said in its place, and the others go on. Cancelling, or closing
        the generator, stops within a step; what is finished stays in the gallery.

        Raises:
            KeyError: the session is not open.
            GalleryError: the comparison cannot be kept.
            WeightsError: the CLIP model that was set is none; before anything is made.
        """
        clip = self._workspace.clip_model()
        made = Made()
        if not fresh:
            yield from self._found(plan, made)
        own = EitherEvent(cancel)
        yield from CellMaker(self._workspace, plan, session, own, made).make()
        settled = made.settle(plan)
        if not made.records:
            yield NothingCompared(made.cancelled)
            return
        path, record = self._keep(settled, plan.fingerprint, made, clip)
        yield Compared(path, record, made.cancelled)

    def _found(self, plan: ComparisonPlan, made: Made) -> Iterator[ComparisonEvent]:
        for index, cell in enumerate(plan.cells):
            found = None
            if cell.place.role is not Role.BASE_AGAIN:
                found = self._past.found(cell.plan)
            if found is not None:
                path, record = found
                made.keep(index, path, record)
                made.reused.add(index)
                yield CellDone(index, path, record, reused=True)

    def _keep(
        self, plan: ComparisonPlan, asked: str, made: Made, clip: ClipReader | None
    ) -> tuple[Path, ComparisonRecord]:
        """
        Args:
            plan: with the controls that each worker made.
            asked: fingerprint of the plan as it was asked for.
        """
        images = {index: decode(path.read_bytes()) for index, path in made.paths.items()}
        record = self._record(plan, asked, made, images)
        if clip is not None:
            typed = [plan.cells[index].plan.prompt.typed for index in images]
            record = with_scores(record, list(images), clip.read(list(images.values()), typed))
        sheet = _sheet(record, images)
        record = record.model_copy(update={"sheet_pixels_sha256": pixels_sha256(sheet)})
        return self._workspace.gallery.comparisons.save(record, sheet), record

    def _record(
        self, plan: ComparisonPlan, asked: str, made: Made, images: Mapping[int, Image.Image]
    ) -> ComparisonRecord:
        devices = dict.fromkeys(record.receipt.device for record in made.records.values())
        labels = dict.fromkeys(use.label for cell in plan.cells for use in cell.plan.loras)
        return ComparisonRecord(
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            device=", ".join(devices),
            base_label=plan.cells[0].plan.base.label,
            lora_labels=tuple(labels),
            plan_fingerprint=asked,
            wanted=plan.wanted,
            rows=plan.rows,
            columns=plan.columns,
            summary=summary(plan),
            uninvited=tuple(side.difference for side in uninvited(plan)),
            cells=self._cells(plan, asked, made),
            validity=judge(plan, {i: each.receipt for i, each in made.records.items()}),
            numbers=pair_numbers(plan, images),
            sheet_pixels_sha256=UNDRAWN,
            source_type=SourceType.GENERATED if self._workspace.settings.mark else None,
            producer=self._workspace.settings.aigc_producer,
            signer=self._workspace.signer,
        )

    def _cells(self, plan: ComparisonPlan, asked: str, made: Made) -> tuple[CellRecord, ...]:
        cells = list(blank_cells(plan))
        ours = self._workspace.gallery.comparisons.made_for(asked)
        for index, name in made.names.items():
            said = f"{cells[index].label}, on worker {name}"
            cells[index] = cells[index].model_copy(update={"label": said})
        for index, error in made.errors.items():
            cells[index] = failed(cells[index], error)
        for index, record in made.records.items():
            name = self._past.name(made.paths[index])
            found = index in made.reused and name not in ours
            cells[index] = done(cells[index], record, name, reused=found)
        return tuple(cells)


def pair_numbers(
    plan: ComparisonPlan, images: Mapping[int, Image.Image]
) -> tuple[PairNumbers, ...]:
    """The measures of every pair of arms on every seed, where both pictures are there."""
    return tuple(
        PairNumbers(
            left=left, right=right, measures=difference.measure(images[left], images[right])
        )
        for pair in arm_pairs(plan)
        for left, right in pair.cells
        if left in images and right in images
    )


def _sheet(record: ComparisonRecord, images: Mapping[int, Image.Image]) -> Image.Image:
    return draw.draw(record, images)
