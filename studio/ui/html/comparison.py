"""A comparison as markup: its seal, the grid of cells, what each shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from studio.comparison.axes import ComparisonPlan, Role
from studio.comparison.differences import Difference, summary
from studio.comparison.record import KIND_LABELS, CellRecord, CellState, ComparisonRecord
from studio.comparison.validity import Validity, Verdict, seal_words
from studio.contract.base import in_time
from studio.contract.events import Loading, Progress, Queued, Stalled
from studio.contract.request import GenerationRequest
from studio.ui.html import format, icons
from studio.ui.html.bar import bar
from studio.ui.html.picture import file_url
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag
from studio.workspace.comparing import Forecast

_SEALS = {
    Verdict.VALID: ("ls-proven", icons.PROVEN),
    Verdict.INVALID: ("ls-bad", icons.CROSS),
    Verdict.INCOMPLETE: ("ls-stopped", icons.STOPPED),
}
_ROLES = {
    Role.SCALE_ZERO: "Control: the LoRA at strength 0",
    Role.BASE_AGAIN: "Control: the base once more",
}


_FEW = 6
"""Cells up to which each says by itself what differs in it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What the grid shows, while it is being made and when it is done.

    Attributes:
        working: cells that are being made.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[CellRecord]
    outputs: Path
    working: frozenset[int] = frozenset()


def empty() -> Html:
    line = "Choose what to vary on the left; the cells appear here as they are made."
    return div("ls-nothing ls-compare-empty", icons.FRAME, tag("p", line))


def trouble(text: str) -> Html:
    return tag("p", icons.ALERT, span("", text), class_="ls-said ls-problem", role="alert")


def forecast_line(forecast: Forecast) -> str:
    """How many cells, and about how long."""
    said = format.plural(forecast.cells, "cell")
    if forecast.found:
        said += f", {forecast.found} of them in the gallery already"
    if forecast.seconds is None:
        return f"{said}. No time estimate yet: nothing has been generated with this base."
    return f"{said}. About {in_time(forecast.seconds)}."


def seal(validity: Validity, differs: str, uninvited: Sequence[Difference], title: str) -> Html:
    """The verdict with its reasons, and what differs in one line."""
    style, icon = _SEALS[validity.verdict]
    name = seal_words(validity.verdict, uninvited)
    reasons = [tag("li", reason.text) for reason in validity.reasons]
    return tag(
        "section",
        tag("header", span("ls-state", icon, span("", name)), span("ls-key", title)),
        tag("ul", *reasons, class_="ls-reasons") if reasons else EMPTY,
        div("ls-line", tag("p", differs, class_="ls-differs"), not_asked_for(uninvited)),
        class_=f"ls-sheet ls-seal {style}",
        data_verdict=validity.verdict.value,
        role="status",
    )


def running(plan: ComparisonPlan, uninvited: Sequence[Difference]) -> Html:
    """What is being made, and of which request."""
    made = tag(
        "section",
        tag(
            "header",
            span("ls-state", icons.RUNNING, span("", "Comparing")),
            span("ls-key", KIND_LABELS[plan.wanted.kind]),
        ),
        div("ls-line", tag("p", summary(plan), class_="ls-differs"), not_asked_for(uninvited)),
        class_="ls-sheet ls-seal ls-running",
    )
    labels = dict.fromkeys(use.label for cell in plan.cells for use in cell.plan.loras)
    return join((made, _made_of(plan.wanted.request, plan.cells[0].plan.base.label, labels)))


def seal_of(record: ComparisonRecord) -> Html:
    """With the request that the comparison was made of, which need not be that of the form."""
    made_of = _made_of(record.wanted.request, record.base_label, record.lora_labels)
    return join((seal(record.validity, record.summary, record.uninvited, record.title), made_of))


def _made_of(request: GenerationRequest, base: str, loras: Iterable[str]) -> Html:
    made = " · ".join((request.mode.label, base, *islice(loras, 3), f"seed {request.seed}"))
    return div(
        "ls-made-of",
        tag("p", request.prompt, class_="ls-of-prompt"),
        tag("p", made, class_="ls-origin"),
    )


def pages(found: Sequence[tuple[str, str]], shown: str) -> Html:
    """The prompts of a series, each a button that opens its comparison; nothing for a single one.

    Args:
        found: name and prompt of each comparison, ``shown`` the name of the one that is open.
    """
    if len(found) < 2:
        return EMPTY
    buttons = [
        tag(
            "button",
            span("ls-key", f"{number}"),
            span("", prompt),
            type="button",
            class_="ls-button",
            data_pick=name,
            aria_current="page" if name == shown else None,
        )
        for number, (name, prompt) in enumerate(found, 1)
    ]
    return tag("nav", *buttons, class_="ls-pages", aria_label="Prompts of this series")


def overtaken(stored: Validity, today: Validity | None) -> Html:
    """That a stored verdict is not the one its cells would get now; nothing where it is."""
    if today is None or today.verdict is stored.verdict:
        return EMPTY
    said = " ".join(reason.text for reason in today.reasons[:2])
    verdict = seal_words(today.verdict, ()).lower()
    line = f"Re-evaluated with the current rules, the verdict is: {verdict}."
    return trouble(f"{line} {said} Run it again.")


def not_asked_for(uninvited: Sequence[Difference]) -> Html:
    """What differs although nobody asked: the comparison answers another question then."""
    return join(
        tag(
            "p",
            icons.ALERT,
            span("", item.not_asked_for),
            class_="ls-uninvited",
        )
        for item in uninvited
    )


def grid(shown: Grid) -> Html:
    """A table for each seed, and the controls beneath."""
    repeats = 1 + max((cell.place.repeat for cell in shown.cells), default=0)
    tables = [_table(shown, repeat, repeats > 1) for repeat in range(repeats)]
    controls = [
        _cell(shown, index)
        for index, cell in enumerate(shown.cells)
        if cell.place.role is not Role.ARM
    ]
    below = div("ls-controls", *controls) if controls else EMPTY
    return div("ls-arms", *tables, below)


def _table(shown: Grid, repeat: int, named: bool) -> Html:
    at = {
        (cell.place.row, cell.place.column): index
        for index, cell in enumerate(shown.cells)
        if cell.place.repeat == repeat and cell.place.role is Role.ARM
    }
    sided = len(shown.rows) > 1
    head = tag(
        "tr",
        tag("td") if sided else EMPTY,
        *(tag("th", label, scope="col") for label in shown.columns),
    )
    rows = [
        tag(
            "tr",
            tag("th", label, scope="row") if sided else EMPTY,
            *(
                tag("td", _cell(shown, at[row, column]) if (row, column) in at else EMPTY)
                for column in range(len(shown.columns))
            ),
        )
        for row, label in enumerate(shown.rows)
    ]
    seed = shown.cells[at[0, 0]].seed if (0, 0) in at else 0
    caption = tag("caption", f"Seed {seed}") if named else EMPTY
    style = f"--ls-across:{len(shown.columns)}"
    table = tag("table", caption, head, *rows, class_="ls-arm-table", style=style)
    return div("ls-scroll", table, tabindex=0, role="group", aria_label="Cells")


def _cell(shown: Grid, index: int) -> Html:
    cell = shown.cells[index]
    # In a grid the heads name what varies, once.
    many = len(shown.rows) * len(shown.columns) > _FEW and cell.place.role is Role.ARM
    alike = len({each.mode for each in shown.cells}) == 1
    caption = tag(
        "figcaption",
        EMPTY if many and alike else span("ls-strong", cell.mode.label),
        EMPTY if many else span("ls-origin", _shows(cell, shown.cells)),
        span("ls-origin", "from the gallery") if cell.reused else EMPTY,
        span("ls-origin", f"in one call with {cell.together - 1} others, equal up to rounding")
        if cell.together > 1
        else EMPTY,
    )
    return tag(
        "figure",
        _picture(shown, index),
        caption,
        class_=f"ls-arm ls-{cell.state.value}",
        data_cell=index,
        data_state=cell.state.value,
    )


def _shows(cell: CellRecord, cells: Sequence[CellRecord]) -> str:
    """What differs in a cell, or what its control is; where several workers made it, on which."""
    if cell.place.role is Role.ARM:
        return cell.differs or "the first cell"
    several = sum(each.place == cell.place for each in cells) > 1
    return f"Control: {cell.label}" if several else _ROLES[cell.place.role]


def _picture(shown: Grid, index: int) -> Html:
    cell = shown.cells[index]
    if cell.picture is not None:
        url = file_url(shown.outputs / cell.picture)
        image = tag("img", src=url, alt=cell.label, loading="lazy")
        return tag(
            "button",
            image,
            type="button",
            class_="ls-arm-picture",
            data_pick=index,
            aria_label=f"Look closer: {cell.label}",
        )
    if cell.error is not None:
        text = join((tag("p", cell.error.message), tag("p", cell.error.way_out)))
        return div("ls-arm-picture ls-arm-error", icons.ALERT, text)
    mark = icons.RUNNING if index in shown.working else EMPTY
    return div("ls-arm-picture ls-blank", span("ls-empty", mark))


def within(event: Queued | Loading | Progress | Stalled) -> float:
    """How much of its cell is done, 0 to 1."""
    return event.step / event.steps if isinstance(event, Progress) else 0.0


def progress(
    cell: str, done: int, total: int, event: Queued | Loading | Progress | Stalled, left: str
) -> Html:
    """One line over a bar: which cell, how far it is, how far all are, and how long they take."""
    match event:
        case Queued(ahead=ahead):
            stage = f"in the queue, {format.plural(ahead, 'run')} ahead" if ahead else "next"
        case Loading(stage=stage):
            pass
        case Stalled():
            stage = event.line
        case Progress(step=step, steps=steps):
            stage = f"step {step} of {steps}"
    share = round(100 * (done + within(event)) / total)
    parts = (f"Cell {min(done + 1, total)} of {total}", cell, stage, left)
    line = " · ".join(part for part in parts if part)
    return div("ls-comparing", bar(line, share), tag("p", line, class_="ls-origin"))


def counted(cells: Sequence[CellRecord]) -> str:
    made = sum(cell.state is CellState.DONE for cell in cells)
    return f"{made} of {format.plural(len(cells), 'cell')}"
