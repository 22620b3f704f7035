"""Pictures of the gallery that need not be made again, and how long earlier ones took."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError
from studio.gallery import Filter, Picture
from studio.workspace.workspace import Workspace

logger = logging.getLogger("studio.workspace.past")

_PACE = 8
"""Pictures of a base that an estimate is made from."""


class Past:
    """What a workspace's gallery has already."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def candidates(self, plan: RunPlan) -> Iterator[Path]:
        """Pictures of exactly this plan that could stand where one is wanted; not verified."""
        made = self._workspace.gallery.made_by(plan)
        if not made:
            return
        device = self._device(plan.base.slug)
        found = self._readable(made)
        yield from (path for path, record in found if _fits(record, device))

    def found(self, plan: RunPlan) -> tuple[Path, RunRecord] | None:
        """The first candidate that verifies."""
        for path in self.candidates(plan):
            answer = self._workspace.verify(path)
            if answer.ok and answer.record is not None:
                return path, answer.record
        return None

    def paces(self, plans: Iterable[RunPlan]) -> Iterator[RunRecord]:
        """Recent pictures of the plans' bases, which say how long the next ones take."""
        gallery = self._workspace.gallery
        for base in dict.fromkeys(plan.base.slug for plan in plans):
            past = gallery.query(Filter(base=base), limit=_PACE)
            yield from (record for _, record in self._readable(past))

    def name(self, path: Path) -> str:
        """A picture's name below the outputs.

        Raises:
            GalleryError: it lies elsewhere.
        """
        outputs = self._workspace.gallery.outputs
        if not path.is_relative_to(outputs):
            raise GalleryError(f"{path} is not in {outputs}.", "Generate it again.")
        return path.relative_to(outputs).as_posix()

    def _readable(self, pictures: Iterable[Picture]) -> Iterator[tuple[Path, RunRecord]]:
        """Those that can be read, with their records; a damaged picture is no past and no cell."""
        for picture in pictures:
            try:
                record = self._workspace.gallery.read(picture.path)
            except GalleryError as error:
                logger.info("passed over: %r: %s", picture.name, error.message)
            else:
                yield picture.path, record

    def _device(self, base: str) -> str | None:
        """What the pictures to be made will run on, as receipts name it; None where it is not
        there, which the run will say."""
        rules = self._workspace.planning.memory_rules(base)
        if rules is None:
            return None
        if rules.device != "cuda":
            return rules.device
        index = self._workspace.settings.device.partition(":")[2]
        return f"cuda:{int(index or 0)}"


def _fits(record: RunRecord, device: str | None) -> bool:
    """Whether a picture can be a cell: its noise is known, it ran where the others will run, and
    it shared its call with no other, as those of earlier releases could."""
    receipt = record.receipt
    there = device is None or receipt.device == device
    return receipt.image.noise_sha256 is not None and there and receipt.together == 1
