"""Makes pictures again from their own plans, and keeps what came of it as evidence."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from studio.backends import Generated
from studio.comparison.replay import (
    NotReplayed,
    Replayed,
    ReplayRecord,
    ReplayWanted,
    judge,
)
from studio.contract.base import is_sha256
from studio.contract.events import Cancelled, Failed, Loading, Progress, Queued, Stalled
from studio.contract.placement import Offload, Placement
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.errors import GalleryError, StudioError
from studio.gallery import record_png, replays
from studio.gallery.comparisons import files
from studio.gallery.comparisons.verification import is_comparison
from studio.workspace.workspace import Workspace

Replaying = Queued | Loading | Progress | Stalled | Cancelled | Replayed | NotReplayed


def find(workspace: Workspace, text: str) -> ReplayWanted:
    """The pictures that ``text`` names: a file, a comparison's file with all its cells, or the
    fingerprint of a plan or a record.

    Raises:
        GalleryError: it names none.
    """
    place = Path(text)
    if is_comparison(place):
        stored = place.with_name(files.stem_of(place) + files.JSON_SUFFIX)
        outputs = stored.resolve().parent.parent
        cells = files.read(stored).pictured
        return ReplayWanted(tuple(outputs / str(cell.picture) for cell in cells))
    if place.is_file():
        return ReplayWanted((place.resolve(),))
    gallery = workspace.gallery
    found = gallery.with_fingerprint(text) if is_sha256(text) else []
    if not found:
        raise GalleryError(
            f"{text!r} is neither a file nor the fingerprint of a plan or record in "
            f"{gallery.outputs}.",
            "Give the picture's file, or all 64 digits.",
        )
    return ReplayWanted(tuple(each.path for each in found))


def replay(
    workspace: Workspace, wanted: ReplayWanted, session: str, cancel: threading.Event
) -> Generator[Replaying, None, None]:
    """Make each picture again; ``Replayed`` or ``NotReplayed`` for each, ``Cancelled`` at the end
    of a run that was cancelled.

    Raises:
        KeyError: the session is not open.
    """
    for path in wanted.pictures:
        for event in _one(workspace, path, session, cancel):
            yield event
            if isinstance(event, Cancelled):
                return


def _one(
    workspace: Workspace, path: Path, session: str, cancel: threading.Event
) -> Iterator[Replaying]:
    try:
        answer = workspace.verify(path)
        if answer.record is None or not answer.ok:
            said = answer.findings[0].text
            yield NotReplayed(path, reason=said, way_out="Take a copy that was not changed.")
            return
        lost = workspace.seek(answer.record.plan)
        if lost:
            yield NotReplayed(path, lost)
            return
        yield from _run(workspace, path, answer.record, session, cancel)
    except StudioError as error:
        yield NotReplayed(path, reason=error.message, way_out=error.way_out)


def _run(
    workspace: Workspace, path: Path, before: RunRecord, session: str, cancel: threading.Event
) -> Iterator[Replaying]:
    plan, index = _placed_here(workspace, before.plan), before.receipt.image.index
    with closing(workspace.running.rerun(plan, index, session, cancel)) as events:
        for event in events:
            match event:
                case Generated():
                    yield _judged(workspace, path, before, event)
                case Failed():
                    yield NotReplayed(path, reason=event.message, way_out=event.way_out)
                case _:
                    yield event


def _placed_here(workspace: Workspace, plan: RunPlan) -> RunPlan:
    """The plan itself; where its base was offloaded and this device holds no other memory, not
    offloaded. That changes no pixel, and so no fingerprint."""
    rules = workspace.planning.memory_rules(plan.base.slug)
    if plan.placement is None or rules is None or rules.device == plan.placement.device:
        return plan
    here = Placement(
        device=rules.device,
        offload=Offload.NONE,
        reason="Replayed on another device.",
        vae_slicing=plan.placement.vae_slicing,
    )
    return plan.model_copy(update={"placement": here})


def _judged(workspace: Workspace, path: Path, before: RunRecord, made: Generated) -> Replayed:
    distance = replays.distance(record_png.decode(path.read_bytes()), made.image)
    found = judge(before, made.receipt, workspace.libraries, distance)
    record = ReplayRecord(
        record_fingerprint=before.fingerprint,
        plan_fingerprint=before.plan_fingerprint,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        outcome=found.outcome,
        stage=found.stage,
        changes=found.changes,
        distance=distance,
        libraries=workspace.libraries,
        receipt=made.receipt,
    )
    return Replayed(path, replays.keep(path, record), record)
