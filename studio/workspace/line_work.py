"""What carries out the entries of the lines, and what they say where it fails."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from studio.comparison.axes import ComparisonPlan
from studio.contract.events import Failed
from studio.contract.plan import RunPlan
from studio.errors import StudioError
from studio.trials.design import TrialDesign
from studio.workspace.comparing import Comparing
from studio.workspace.line import Plan, Work
from studio.workspace.replaying import replay
from studio.workspace.trying import Trying
from studio.workspace.workspace import Workspace

logger = logging.getLogger("studio.workspace.line_work")


def use_case_of(workspace: Workspace, plan: Plan, previews: bool, fresh: bool) -> Work:
    """What carries out a run, a comparison, a replay or a trial that was begun.

    Args:
        previews: of a run; ``fresh``: of a comparison, as ``Comparing.run``.

    Raises:
        TrialError: the trial is not there.
    """
    if isinstance(plan, RunPlan):
        return partial(workspace.run, plan, previews=previews)
    if isinstance(plan, ComparisonPlan):
        return partial(Comparing(workspace).run, plan, fresh=fresh)
    if isinstance(plan, TrialDesign):
        trying = Trying(workspace)
        return partial(trying.run, trying.store.open(plan.name))
    return partial(replay, workspace, plan)


@contextmanager
def errors_said(run_id: str, say: Callable[[Failed], None]) -> Iterator[None]:
    """An error in this context ends the run, which says so, and nothing else: it is a thread's
    boundary, and the entries after it go on."""
    try:
        yield
    except StudioError as error:
        logger.warning("run %s failed: %s", run_id, error)
        say(Failed(run_id, error.code, error.message, error.way_out))
    except Exception as error:
        # What it was stands in the log.
        logger.exception("Run %s met an unexpected error.", run_id)
        text = f"Unexpected error during the run: {type(error).__name__}."
        say(Failed(run_id, "unexpected", text, "Report it with the log."))
