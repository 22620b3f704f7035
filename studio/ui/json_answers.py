"""What endpoints and tools answer: progress, results and what went wrong, as plain JSON."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studio.comparison.axes import ComparisonPlan
from studio.comparison.events import CellDone, CellWorking
from studio.contract.events import Loading, Progress, Queued, Stalled
from studio.contract.violations import Violation
from studio.errors import StudioError
from studio.ui.html.picture import file_url

JsonObject = dict[str, Any]
Answers = Iterator[JsonObject]
"""Any number of ``{"progress": …}``, then the answer."""


def answered(work: Callable[[], Answers]) -> Answers:
    """What ``work`` gives; an error of the request or of the run as its answer."""
    try:
        yield from work()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        yield failure("request", f"{where}: {first['msg']}.", "Correct the request's JSON.")
    except ValueError as error:
        yield failure("request", f"{error}.", "Correct the request's JSON.")
    except StudioError as error:
        yield failure(error.code, error.message, error.way_out)


def run_progress(event: Queued | Loading | Progress | Stalled) -> JsonObject:
    """How far a run is: its place in the queue, its stage, or its image and step from 1."""
    match event:
        case Queued():
            return {"ahead": event.ahead}
        case Loading():
            return {"stage": event.stage}
        case Stalled():
            return {"stage": event.stage, "stalled": event.seconds}
        case Progress():
            return {
                "image": event.index + 1,
                "images": event.count,
                "step": event.step,
                "steps": event.steps,
            }


def cell_progress(plan: ComparisonPlan, event: CellWorking | CellDone) -> JsonObject:
    """``cell`` counts from 1; a finished one comes with its ``picture``."""
    place: JsonObject = {"cell": event.cell + 1, "cells": len(plan.cells)}
    if isinstance(event, CellDone):
        return {**place, "picture": file_data(event.path), "reused": event.reused}
    return {**place, "done": event.done, **run_progress(event.event)}


def refused(violations: Sequence[Violation]) -> JsonObject:
    return {"violations": [item.model_dump(mode="json") for item in violations]}


def failure(code: str, message: str, way_out: str) -> JsonObject:
    return {"error": {"code": code, "message": message, "way_out": way_out}}


def file_data(path: Path) -> JsonObject:
    """A file as gradio's clients know it: they fetch it and give its place on their machine."""
    return {
        "path": str(path),
        "url": f"/{file_url(path)}",
        "orig_name": path.name,
        "meta": {"_type": "gradio.FileData"},
    }


def how_far(said: JsonObject) -> tuple[int, int | None, str]:
    """Done, of how many (None where nobody can tell), and of what, from a ``progress``."""
    cell = f"cell {said['cell']} of {said['cells']}" if "cell" in said else ""
    if "step" in said:
        what = f"image {said['image']} of {said['images']}"
        return said["step"], said["steps"], f"{cell}, {what}" if cell else what
    if "ahead" in said:
        return 0, None, f"{said['ahead']} ahead in the queue"
    if "stage" in said:
        return 0, None, said["stage"]
    return said["cell"], said["cells"], cell


def linked(value: Any, root: str) -> Any:
    """``value`` with the whole link in place of each file, and no place on this machine."""
    if isinstance(value, dict):
        if value.get("meta") == {"_type": "gradio.FileData"}:
            return f"{root}{value['url']}"
        return {key: linked(each, root) for key, each in value.items()}
    return [linked(each, root) for each in value] if isinstance(value, list) else value


def told_safely(asked: Callable[[], JsonObject]) -> str:
    """What ``asked`` gives, as text; an error of the studio as its answer."""
    try:
        return as_text(asked())
    except StudioError as error:
        return as_text(failure(error.code, error.message, error.way_out))


def as_text(answer: JsonObject) -> str:
    """As an agent reads it: indented, and every character as itself."""
    return json.dumps(answer, ensure_ascii=False, indent=1)
