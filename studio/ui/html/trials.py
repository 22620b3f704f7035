"""Trials as markup: the list, runs that can be tried, what files say, the cost, how one goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studio.contract.base import in_time
from studio.contract.events import Loading, Progress, Queued
from studio.contract.violations import Violation
from studio.errors import StudioError
from studio.trials.design import TrialDesign
from studio.trials.events import CellBegun, TrialEnd
from studio.trials.report.drawing import LINES, plain
from studio.trials.training_run import TrainingRun
from studio.trials.words import ENDS, arm_name, file_remarks, strengths_text
from studio.ui.html import format, icons
from studio.ui.html.bar import bar
from studio.ui.html.tags import EMPTY, Html, address, div, span, tag
from studio.workspace.trial_desk import MINI, TrialStanding, TrialState
from studio.workspace.trying import TrialForecast

if TYPE_CHECKING:
    from studio.trials.weights import CheckpointWeights

_MARKS: Mapping[TrialState, Html] = {
    TrialState.RUNNING: icons.RUNNING,
    TrialState.WAITING: icons.NOTICE,
    TrialState.ELSEWHERE: icons.RUNNING,
    TrialState.STOPPED: icons.STOPPED,
    TrialState.OVER: icons.CHECK,
}


def listed(trials: Sequence[TrialStanding], problems: Sequence[StudioError], chosen: str) -> Html:
    """Every trial, the newest first, each a button; then those that cannot be read."""
    if not trials and not problems:
        return tag("p", "There are none yet. Choose a run to try.", class_="ls-origin")
    rows = (_row(each, each.name == chosen) for each in trials)
    bad = (tag("p", str(each), class_="ls-problem") for each in problems)
    return div("ls-trials", *rows, *bad)


def _row(each: TrialStanding, chosen: bool) -> Html:
    return tag(
        "button",
        span("ls-strong", each.name),
        _state(each.state),
        _bar(each),
        span("ls-origin", _counted(each)),
        type="button",
        class_="ls-trial",
        data_pick=each.name,
        aria_pressed="true" if chosen else "false",
    )


def _state(state: TrialState) -> Html:
    return span(
        f"ls-trial-state ls-{state.name.lower()}",
        _MARKS[state],
        span("", state.value),
        data_state=state.name.lower(),
    )


def _counted(each: TrialStanding) -> str:
    files = format.plural(len(each.design.checkpoints), "checkpoint")
    failed = f", {each.failed} failed" if each.failed else ""
    return f"{each.pictures:,} of at most {each.most:,} pictures{failed} · {files}"


def _bar(each: TrialStanding) -> Html:
    share = 100 if each.state is TrialState.OVER else 100 * each.pictures // max(each.most, 1)
    return bar(f"{each.pictures} of at most {each.most} pictures", share)


def offered(runs: Sequence[TrainingRun]) -> Html:
    """Runs that can be tried, each a button; picking one looks into its files."""
    return div("ls-runs", *map(_offer, runs))


def _offer(run: TrainingRun) -> Html:
    first = Path(run.checkpoints[0].path)
    comes = first.is_relative_to(MINI)
    where = "Comes with the studio" if comes else first.parent.name
    count = format.plural(len(run.checkpoints), "checkpoint")
    return tag(
        "button",
        span("ls-strong", run.name),
        span("ls-origin", f"{count} · {where}"),
        type="button",
        class_="ls-trial",
        data_pick=str(first),
    )


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


def cost(design: TrialDesign, forecast: TrialForecast) -> Html:
    """The exact cost, before anything is generated."""
    rule = design.rule
    arms = format.plural(len(design.arms), "arm")
    exact = len(rule.rounds) == 1 and design.images is None and design.minutes is None
    most = f"{'Exactly' if exact else 'At most'} {format.plural(forecast.most, 'picture')}"
    found = f", {forecast.found} of them in the gallery already" if forecast.found else ""
    prompts = format.plural(len(design.prompts), "prompt")
    seeds = format.plural(len(rule.seeds), "seed")
    lines = [f"{most}{found}: {arms} and the base, on {prompts} and up to {seeds}."]
    if len(rule.rounds) > 1:
        lines.append(
            f"The first round takes {forecast.first}; each doubles the seeds of the arms that are "
            f"left, and {', '.join(goal.measure for goal in rule.goals)} decides which those are."
        )
    if forecast.seconds is None:
        lines.append("No time estimate yet: nothing has been generated with this base.")
    else:
        lines.append(f"About {in_time(forecast.seconds)} at most.")
    return div("ls-trial-cost", *(tag("p", line) for line in lines), data_most=forecast.most)


def refused(found: Sequence[Violation]) -> Html:
    problems = (tag("li", item.describe(), data_code=item.code) for item in found)
    return tag("ul", *problems, class_="ls-compare-problems")


def trial(each: TrialStanding, trouble: str) -> Html:
    """The head of an open trial: what it is, how it stands, how far it is."""
    design = each.design
    facts = " · ".join(
        (
            design.base,
            f"strength {strengths_text(design)}",
            design.trigger or "no trigger words",
            f"begun {design.created_at[:16].replace('T', ' ')}",
        )
    )
    return tag(
        "section",
        tag(
            "header",
            tag("h2", each.name),
            _state(each.state),
        ),
        div(
            "ls-line",
            _bar(each),
            tag("p", _going(each), class_="ls-trial-going"),
            tag("p", facts, class_="ls-origin"),
            tag("p", icons.ALERT, span("", trouble), class_="ls-said ls-problem", role="alert")
            if trouble
            else EMPTY,
        ),
        class_="ls-sheet ls-seal ls-trial-head",
        data_state=each.state.name.lower(),
        data_pictures=each.pictures,
        data_address=address(trial=each.name),
    )


def _going(each: TrialStanding) -> str:
    said = _counted(each)
    if each.state is TrialState.ELSEWHERE:
        return f"{said}. Another process runs it; stop it there."
    if each.begun is not None and each.state is TrialState.RUNNING:
        return f"{said} · {_now(each.begun)}"
    if each.ended is not None and each.ended.why is not TrialEnd.CANCELLED:
        return f"{said}. {ENDS[each.ended.why]}"
    return said


def _now(begun: CellBegun) -> str:
    cell, event = begun.cell, begun.event
    match event:
        case Progress(step=step, steps=steps):
            stage = f"step {step} of {steps}"
        case Loading(stage=stage):
            pass
        case Queued(ahead=ahead):
            stage = f"{format.plural(ahead, 'run')} ahead" if ahead else "next"
        case _:
            stage = event.line
    name = "the base" if cell.role.value.startswith("base") else arm_name(cell.arm)
    return f"now {name}, {cell.prompt}, seed {cell.seed}: {stage}"


def taken(slug: str, name: str, cards: Sequence[str]) -> Html:
    """What was made of the arm that somebody took."""
    links = [
        tag(
            "a",
            icons.DOWNLOAD,
            f"Card as {card.rpartition('.')[2].upper()}",
            class_="ls-button",
            href=f"trials/{name}/{card}",
            download=card,
        )
        for card in cards
    ]
    line = f"Taken: the preset {slug} is there now, with its epoch card."
    return div("ls-taken", tag("p", icons.CHECK, span("", line)), div("ls-under", *links))


def sheet_link(name: str) -> Html:
    """The whole sheet to keep."""
    link = {"href": f"trials/{name}/sheet.html", "download": f"{name}.html"}
    return div("ls-under", tag("a", icons.DOWNLOAD, "Sheet", class_="ls-button", **link))


def nothing_yet() -> Html:
    line = "The first numbers appear here as soon as there are pictures to compare."
    return div("ls-nothing", icons.FRAME, tag("p", line))
