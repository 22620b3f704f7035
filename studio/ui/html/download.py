"""A download as markup: its plan before, its progress, and how it ended."""

from studio.contract.base import in_bytes, in_time
from studio.errors import StudioError
from studio.library.downloads import (
    Checking,
    DownloadEvent,
    DownloadPlan,
    Fetched,
    Fetching,
    Stopped,
    Waiting,
)
from studio.library.stock import MissingWeights
from studio.library.transfers import Transfer
from studio.presets.model_card import Published
from studio.ui.html import icons
from studio.ui.html.bar import titled
from studio.ui.html.tags import EMPTY, Html, div, join, link, span, tag

FILES = 40
"""Most files of a model that are listed."""


def facts(plan: DownloadPlan) -> Html:
    """Everything a download plan says, as rows."""
    published = plan.published
    rows: list[tuple[str, object]] = [
        ("Fetches", plan.describe()),
        ("From", link(published.page)),
        ("Goes to", tag("code", plan.target)),
        ("Made for", published.base_model),
        ("Licence", " ".join(published.licence)),
        ("Scans", _scans(published)),
        ("Files", _files(plan)),
    ]
    return tag(
        "dl",
        *(
            div("ls-row", tag("dt", name), tag("dd", value))
            for name, value in rows
            if value not in (None, "", EMPTY)
        ),
    )


def _scans(published: Published) -> str:
    return ", ".join(f"{kind}: {result}" for kind, result in published.scans.items())


def _files(plan: DownloadPlan) -> Html:
    if plan.kind != "model":
        return EMPTY
    listed = [tag("li", tag("code", f.name), " ", in_bytes(f.size)) for f in plan.files[:FILES]]
    more = len(plan.files) - len(listed)
    summary = tag("summary", f"{len(plan.files)} files")
    rest = tag("li", f"and {more} more") if more > 0 else EMPTY
    return tag("details", summary, tag("ul", *listed, rest), class_="ls-files", data_keep="files")


def notes(plan: DownloadPlan) -> Html:
    """What is worth knowing before; a contradiction in red."""
    items = [tag("li", note) for note in plan.notes]
    conflict = (
        tag("p", icons.ALERT, span("", plan.conflict), class_="ls-said ls-problem")
        if plan.conflict
        else EMPTY
    )
    return join((conflict, tag("ul", *items, class_="ls-plan-notes") if items else EMPTY))


def missing(item: MissingWeights) -> Html:
    """What a run would fetch first, as far as it is known."""
    title = tag("h2", item.preset.label)
    if isinstance(item.known, DownloadPlan):
        return div("ls-fetch", title, facts(item.known), notes(item.known))
    if item.known is not None:
        said = tag("p", icons.ALERT, span("", str(item.known)), class_="ls-said ls-problem")
        return div("ls-fetch", title, said)
    return div("ls-fetch", title, tag("p", "Looking up the file…", class_="ls-dim"))


def progress(event: DownloadEvent) -> Html:
    """A bar with how much, how fast and how long, and the file's name."""
    if isinstance(event, Fetching):
        total = event.total
        share = None if not total else min(100, round(100 * event.done / total))
        return join((titled(line(event), share), tag("p", event.file, class_="ls-origin")))
    if isinstance(event, Checking):
        share = round(100 * event.done / event.total) if event.total else None
        return join((titled(line(event), share), tag("p", event.file, class_="ls-origin")))
    return titled(line(event))


def line(event: DownloadEvent) -> str:
    """ "45.2 MB of 218 MB · 12.3 MB/s · 14 s left" """
    match event:
        case Fetching():
            parts = [f"{in_bytes(event.done)} of {in_bytes(event.total)}"]
            if event.speed is not None:
                parts.append(f"{in_bytes(round(event.speed))}/s")
            if event.remaining is not None:
                parts.append(f"{in_time(event.remaining)} left")
            return " · ".join(parts)
        case Checking():
            return f"Checking the {in_bytes(event.total)} that are there"
        case Waiting():
            return "Waiting: another download of it is going on"
        case Stopped():
            return f"Stopped; {in_bytes(event.kept)} are kept for the next time"
        case Fetched(already=True):
            return "Already downloaded"
    return "Fetched, checked and in its place"


def transfer(state: Transfer | None) -> Html:
    """A background download as it stands; nothing where there is none."""
    if state is None:
        return EMPTY
    if state.error is not None:
        return failed(state.error)
    if state.event is None:
        return div("ls-transfer", titled("Looking up the file…"))
    if isinstance(state.event, Fetched | Stopped):
        lines = [line(state.event)]
        if isinstance(state.event, Fetched):
            lines += state.event.notes
        said = join(tag("p", icons.CHECK, span("", text), class_="ls-said") for text in lines)
        return div("ls-transfer", said, role="status")
    return div("ls-transfer", progress(state.event))


def failed(error: StudioError) -> Html:
    return div(
        "ls-transfer",
        tag("p", icons.ALERT, span("", error.message), class_="ls-said ls-problem"),
        tag("p", error.way_out, class_="ls-way-out"),
        role="alert",
        data_code=error.code,
    )
