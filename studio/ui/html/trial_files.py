"""What a training run's files say of their updates, as markup: plots, remarks, numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from studio.trials.report.drawing import LINES, plain
from studio.trials.training_run import TrainingRun
from studio.trials.words import file_remarks
from studio.ui.html.tags import EMPTY, Html, div, span, tag

if TYPE_CHECKING:
    from studio.trials.weights import CheckpointWeights


def reading(run: TrainingRun, done: int) -> Html:
    """While the files are read."""
    count = len(run.checkpoints)
    what = f"Reading file {min(done + 1, count)} of {count}"
    return div(
        "ls-transfer",
        tag("p", f"{what}…", class_="ls-origin"),
        tag("progress", value=done, max=count, aria_label=what),
    )


def files(run: TrainingRun, told: Sequence[CheckpointWeights], rounded: str) -> Html:
    """What the files alone say: how large each update is and how far it moved.

    Args:
        rounded: what the share that is rounded away is of, or why there is none.
    """
    names = tuple(dict.fromkeys(name for each in told for name in each.components))
    numbered = [each.checkpoint.step for each in told]
    places = [
        step if step is not None and None not in numbered else place
        for place, step in enumerate(numbered, start=1)
    ]
    at = list(zip(places, told, strict=True))
    sizes = {"whole update": [(step, each.norm) for step, each in at]}
    if len(names) > 1:
        sizes |= {
            name: [(step, each.components.get(name, 0.0)) for step, each in at] for name in names
        }
    moved = {"moved": [(step, each.moved) for step, each in at if each.moved is not None]}
    lost = {"rounded": [(step, each.rounded) for step, each in at if each.rounded is not None]}
    said = [
        tag("li", f"{each.checkpoint.when}: {line}")
        for each in told
        for line in file_remarks(each)
    ]
    return div(
        "report ls-report",
        tag(
            "header",
            tag("h2", run.name),
            span("key", f"{len(run.checkpoints)} checkpoints. {run.rests_on}"),
        ),
        div(
            "wide",
            _plotted("Size of the update", "Frobenius norm over all layers", sizes),
            _plotted("Change since the checkpoint before", "as a share of it", moved),
            _plotted("Rounded away by a merge", "as a share of the update", lost)
            if lost["rounded"]
            else EMPTY,
        ),
        tag("p", rounded, class_="ls-origin"),
        tag("ul", *said, class_="alarms") if said else EMPTY,
        _numbers(told),
    )


def _plotted(title: str, unit: str, lines: Mapping[str, Sequence[tuple[int, float]]]) -> Html:
    legend = [
        tag("li", span(""), name, class_=f"s{place % LINES}") for place, name in enumerate(lines)
    ]
    return tag(
        "figure",
        tag("h3", title, " ", span("unit", unit)),
        plain(lines, f"{title} over the steps"),
        tag("ul", *legend, class_="legend") if len(lines) > 1 else EMPTY,
    )


def _numbers(told: Sequence[CheckpointWeights]) -> Html:
    heads = ("Saved at", "Size", "Moved", "Cosine to the one before", "Rounded away", "File")
    rows = [
        tag(
            "tr",
            tag("th", each.checkpoint.when, scope="row"),
            tag("td", f"{each.norm:.4g}"),
            tag("td", "" if each.moved is None else f"{each.moved:.1%}"),
            tag("td", "" if each.cosine is None else f"{each.cosine:.4f}"),
            tag("td", "" if each.rounded is None else f"{each.rounded:.1%}"),
            tag("td", tag("code", each.checkpoint.path.name)),
        )
        for each in told
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *rows),
    )
    scroll = div("scroll", table, tabindex=0, role="region", aria_label="Numbers of each file")
    return tag("details", tag("summary", "In numbers"), scroll)
