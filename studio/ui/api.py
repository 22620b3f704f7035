"""The page's three named endpoints, for ``gradio_client`` and anything else that speaks JSON.

Each takes and gives plain JSON: the same requests, plans and records as everywhere. What stands
in the way comes as ``violations``, what broke as ``error``; neither is an exception. Those that
run something say how far they are (``progress``) until their answer, which is the last thing they
give; a client that leaves, or cancels its job, ends the run. Clients take turns, and each has so
many runs at most; one too many is answered with the error ``queue_full``.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial

import gradio as gr

from studio.comparison.axes import (
    STRENGTHS,
    Axis,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    compose,
)
from studio.comparison.effects import paired_effects
from studio.comparison.events import (
    CellDone,
    CellFailed,
    CellWorking,
    Compared,
    NothingCompared,
)
from studio.contract.events import Cancelled, Failed, Finished, Loading, Progress, Queued, Stalled
from studio.contract.plan import RunPlan
from studio.gallery.comparisons.files import sheet_of
from studio.ui.clients import client_of, is_heard
from studio.ui.json_answers import (
    Answers,
    JsonObject,
    answered,
    cell_progress,
    failure,
    file_data,
    refused,
    run_progress,
)
from studio.ui.json_requests import read_request
from studio.workspace.comparing import Comparing
from studio.workspace.line import AnyEvent
from studio.workspace.runs import Runs
from studio.workspace.workspace import Workspace

_AGAIN = "Ask again; pictures that were finished are in the gallery."


class Api:
    """The endpoints over one workspace; what they run ends with its reader."""

    def __init__(self, workspace: Workspace, runs: Runs) -> None:
        self._workspace = workspace
        self._runs = runs
        self._comparing = Comparing(workspace)

    def plan(self, request: JsonObject) -> JsonObject:
        """Exactly what a request would do: ``plan`` and ``fingerprint``, or ``violations``."""
        (answer,) = answered(partial(self._plan, request))
        return answer

    def _plan(self, request: JsonObject) -> Answers:
        agreed = self._workspace.plan(read_request(request))
        if isinstance(agreed, RunPlan):
            yield {"fingerprint": agreed.fingerprint, "plan": agreed.model_dump(mode="json")}
        else:
            yield refused(agreed)

    def generate(self, request: JsonObject, client: gr.Request) -> Answers:
        """Make the images of a request: ``progress``, then ``images`` (files) and their
        ``records``."""
        yield from answered(partial(self._generate, request, client))

    def _generate(self, request: JsonObject, client: gr.Request) -> Answers:
        agreed = self._workspace.plan(read_request(request))
        if not isinstance(agreed, RunPlan):
            yield refused(agreed)
            return
        images: list[JsonObject] = []
        records: list[JsonObject] = []
        answer: JsonObject = {"images": images, "records": records}
        with closing(self._attended(agreed, client)) as events:
            for event in events:
                match event:
                    case Queued() | Loading() | Progress() | Stalled():
                        yield {"progress": run_progress(event)}
                    case Finished():
                        images.append(file_data(event.path))
                        records.append(event.record.model_dump(mode="json"))
                    case Failed():
                        answer |= failure(event.code, event.message, event.way_out)
                    case Cancelled():
                        answer |= failure("cancelled", "The run was cancelled.", _AGAIN)
        yield answer

    def _attended(
        self, plan: RunPlan | ComparisonPlan, client: gr.Request, fresh: bool = False
    ) -> Generator[AnyEvent, None, None]:
        settings = self._workspace.settings
        name = client_of(client, settings)
        with closing(self._runs.attended(f"api {name}", plan, name, fresh)) as events:
            for event in events:
                if settings.is_public and not is_heard(client):
                    yield Cancelled("")
                    return
                yield event

    def compare(
        self,
        kind: str,
        request: JsonObject,
        client: gr.Request,
        strengths: list[float] = list(STRENGTHS),  # noqa: B006  # gradio reads it, nobody writes it
        against: str = "",
        rows: JsonObject | None = None,
        columns: JsonObject | None = None,
        hold: bool = True,
        fresh: bool = False,
    ) -> Answers:
        """Run a comparison: ``progress``, then its ``record`` with the verdict, the contact
        ``sheet`` and ``images``."""
        axes = (rows, columns)
        asked = partial(self._asked, kind, request, strengths, against, axes, hold)
        yield from answered(partial(self._compare, asked, client, fresh))

    def _asked(
        self,
        kind: str,
        request: JsonObject,
        strengths: list[float],
        against: str,
        axes: tuple[JsonObject | None, JsonObject | None],
        hold: bool,
    ) -> ComparisonRequest:
        if not isinstance(strengths, list):
            raise ValueError("The strengths are not a list of numbers")
        if not isinstance(against, str):
            raise ValueError("against, the other LoRA, is not a slug")
        rows, columns = (None if axis is None else Axis.model_validate(axis) for axis in axes)
        return compose(
            Question(kind),
            read_request(request),
            values=strengths,
            other=against,
            rows=rows,
            columns=columns,
            hold=hold,
        )

    def _compare(
        self, asked: Callable[[], ComparisonRequest], client: gr.Request, fresh: bool
    ) -> Answers:
        if not isinstance(fresh, bool):
            raise ValueError(f"fresh is {fresh!r}, and must be true or false")
        agreed = self._comparing.plan(asked())
        if isinstance(agreed, ComparisonPlan):
            yield from self._run(agreed, client, fresh)
        else:
            yield refused(agreed)

    def _run(self, agreed: ComparisonPlan, client: gr.Request, fresh: bool) -> Answers:
        answer: JsonObject = {"record": None, "sheet": None, "images": []}
        with closing(self._attended(agreed, client, fresh)) as events:
            for event in events:
                match event:
                    case CellWorking() | CellDone():
                        yield {"progress": cell_progress(agreed, event)}
                    case CellFailed():
                        failed = event.error
                        answer |= failure(failed.code, failed.message, failed.way_out)
                    case Failed():
                        answer |= failure(event.code, event.message, event.way_out)
                    case Compared():
                        answer |= self._compared(event)
                    case Cancelled() | NothingCompared(cancelled=True):
                        answer |= failure("cancelled", "The run was cancelled.", _AGAIN)
        yield answer

    def _compared(self, event: Compared) -> JsonObject:
        outputs = self._workspace.gallery.outputs
        pictures = [cell.picture for cell in event.record.cells]
        return {
            "record": event.record.model_dump(mode="json"),
            "fingerprint": event.record.fingerprint,
            "effects": [
                each.summary().model_dump(mode="json") for each in paired_effects(event.record)
            ],
            "sheet": file_data(sheet_of(event.path)),
            "images": [file_data(outputs / name) if name else None for name in pictures],
        }


def build(api: Api, documented: bool = True) -> None:
    """Name the endpoints; call inside the page.

    Args:
        documented: whether gradio lists them, and makes tools of them; else they only answer.
    """
    visibility = "public" if documented else "undocumented"
    for endpoint in (api.plan, api.generate, api.compare):
        # The workspace has the queue of the device; a plan waits for nobody.
        gr.api(
            endpoint,
            api_name=endpoint.__name__,
            concurrency_limit=None,
            api_visibility=visibility,
        )
