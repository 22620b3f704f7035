"""Trials as markup: the list, runs that can be tried, the cost, how one goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.contract.base import in_time
from studio.contract.events import Loading, Progress, Queued
from studio.contract.violations import Violation
from studio.errors import StudioError
from studio.trials.design import TrialDesign
from studio.trials.events import CellBegun, TrialEnd
from studio.trials.training_run import TrainingRun
from studio.trials.words import ENDS, arm_name, strengths_text
from studio.ui.html import format, icons
from studio.ui.html.bar import bar
from studio.ui.html.tags import EMPTY, Html, address, div, span, tag
from studio.workspace.trial_desk import MINI, TrialStanding, TrialState
from studio.workspace.trial_plan import TrialForecast

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
