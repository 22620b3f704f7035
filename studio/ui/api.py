"""The page's three named endpoints, for ``gradio_client`` and anything else that speaks JSON.

Each takes and gives plain JSON: the same requests, plans and records as everywhere. What stands
in the way comes as ``violations``, what broke as ``error``; neither is an exception.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import ValidationError

from studio.comparing import Comparing
from studio.comparison.events import CellFailed, Compared
from studio.errors import StudioError
from studio.events import Failed, Finished
from studio.gallery.comparison_files import sheet_of
from studio.grid import STRENGTHS, Axis, ComparisonPlan, Kind, compose
from studio.plan import RunPlan
from studio.request import GenerationRequest
from studio.ui.form import draw_seed
from studio.ui.stage import file_url
from studio.violations import Violation
from studio.workspace import Workspace

Json = dict[str, Any]


class Api:
    """The endpoints over one workspace; each call that runs something is a session of its own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._comparing = Comparing(workspace)

    def plan(self, request: Json) -> Json:
        """Exactly what a request would do: ``plan`` and ``fingerprint``, or ``violations``."""
        return _answered(partial(self._plan, request))

    def _plan(self, request: Json) -> Json:
        agreed = self._workspace.plan(read_request(request))
        if not isinstance(agreed, RunPlan):
            return _refused(agreed)
        return {"fingerprint": agreed.fingerprint, "plan": agreed.model_dump(mode="json")}

    def generate(self, request: Json) -> Json:
        """Make the images of a request: ``images`` (files) and their ``records``."""
        return _answered(partial(self._generate, request))

    def _generate(self, request: Json) -> Json:
        agreed = self._workspace.plan(read_request(request))
        if not isinstance(agreed, RunPlan):
            return _refused(agreed)
        images: list[Json] = []
        records: list[Json] = []
        answer: Json = {"images": images, "records": records}
        session = self._workspace.open_session()
        try:
            for event in self._workspace.run(agreed, session, threading.Event()):
                if isinstance(event, Finished):
                    images.append(_file(event.path))
                    records.append(event.record.model_dump(mode="json"))
                elif isinstance(event, Failed):
                    answer |= _error(event.code, event.message, event.way_out)
        finally:
            self._workspace.close_session(session)
        return answer

    def compare(
        self,
        kind: str,
        request: Json,
        strengths: list[float] = list(STRENGTHS),  # noqa: B006  # gradio reads it, nobody writes it
        against: str = "",
        rows: Json | None = None,
        columns: Json | None = None,
        hold: bool = True,
    ) -> Json:
        """Run a comparison: its ``record`` with the verdict, the contact ``sheet``, ``images``."""
        asked = (kind, request, strengths, against, rows, columns, hold)
        return _answered(partial(self._compare, *asked))

    def _compare(
        self,
        kind: str,
        request: Json,
        strengths: list[float],
        against: str,
        rows: Json | None,
        columns: Json | None,
        hold: bool,
    ) -> Json:
        if not isinstance(strengths, list):
            raise ValueError("The strengths are no list of numbers")
        wanted = compose(
            Kind(kind),
            read_request(request),
            values=strengths,
            other=against,
            rows=None if rows is None else Axis.model_validate(rows),
            columns=None if columns is None else Axis.model_validate(columns),
            hold=hold,
        )
        agreed = self._comparing.plan(wanted)
        if not isinstance(agreed, ComparisonPlan):
            return _refused(agreed)
        return self._run(agreed)

    def _run(self, agreed: ComparisonPlan) -> Json:
        answer: Json = {"record": None, "sheet": None, "images": []}
        session = self._workspace.open_session()
        try:
            for event in self._comparing.run(agreed, session, threading.Event()):
                if isinstance(event, CellFailed):
                    failed = event.error
                    answer |= _error(failed.code, failed.message, failed.way_out)
                elif isinstance(event, Compared):
                    outputs = self._workspace.gallery.outputs
                    pictures = [cell.picture for cell in event.record.cells]
                    answer |= {
                        "record": event.record.model_dump(mode="json"),
                        "fingerprint": event.record.fingerprint,
                        "sheet": _file(sheet_of(event.path)),
                        "images": [_file(outputs / name) if name else None for name in pictures],
                    }
        finally:
            self._workspace.close_session(session)
        return answer


def build(workspace: Workspace) -> None:
    """Name the endpoints; call inside the page."""
    api = Api(workspace)
    for endpoint in (api.plan, api.generate, api.compare):
        # The workspace has the queue of the device.
        gr.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)


def read_request(request: Json) -> GenerationRequest:
    """The request that ``request`` says; a seed is drawn where it has none.

    Raises:
        ValidationError: a field is missing, unknown or of another type.
        ValueError: it is no JSON object.
    """
    if not isinstance(request, dict):
        raise ValueError("The request is no JSON object")
    return GenerationRequest.model_validate({"seed": draw_seed(), **request})


def _answered(work: Callable[[], Json]) -> Json:
    try:
        return work()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        return _error("request", f"{where}: {first['msg']}.", "Correct the request's JSON.")
    except ValueError as error:
        return _error("request", f"{error}.", "Correct the request's JSON.")
    except StudioError as error:
        return _error(error.code, error.message, error.way_out)


def _refused(violations: tuple[Violation, ...]) -> Json:
    return {"violations": [item.model_dump(mode="json") for item in violations]}


def _error(code: str, message: str, way_out: str) -> Json:
    return {"error": {"code": code, "message": message, "way_out": way_out}}


def _file(path: Path) -> Json:
    """A file as gradio's clients know it: they fetch it and give its place on their machine."""
    return {
        "path": str(path),
        "url": f"/{file_url(path)}",
        "orig_name": path.name,
        "meta": {"_type": "gradio.FileData"},
    }
