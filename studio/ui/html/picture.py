"""The picture's place: empty, in the making, or there with its receipt beside it."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from studio.contract.audit import discrepancies
from studio.contract.events import Finished, Progress
from studio.contract.receipt import RunRecord
from studio.library.downloads import DownloadEvent
from studio.ui.html import download as download_html
from studio.ui.html import format, icons
from studio.ui.html.receipt import receipt_body
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag


def file_url(path: Path) -> str:
    """Where the browser gets a file that gradio may serve; relative, so proxies keep it."""
    return f"gradio_api/file={quote(path.as_posix())}"


def idle() -> Html:
    return _stage(
        "idle", _frame(span("ls-empty", icons.FRAME, "The picture appears here.")), EMPTY
    )


def waiting(line: str) -> Html:
    """Before the first step: queue position or a loading stage, of unknown length."""
    bar = div("ls-progress ls-unknown", span(""), role="progressbar", aria_label=line)
    side = join((tag("p", line, class_="ls-stage-line"), bar))
    return _stage("busy", _frame(span("ls-empty", icons.RUNNING)), side)


def fetching(event: DownloadEvent, label: str) -> Html:
    """Weights come: how much, how fast, how long."""
    side = join((tag("p", label, class_="ls-strong"), download_html.progress(event)))
    return _stage("busy", _frame(span("ls-empty", icons.RUNNING)), side)


def queued(ahead: int) -> Html:
    if ahead == 0:
        return waiting("Next in the queue")
    return waiting(f"In the queue: {format.plural(ahead, 'run')} ahead")


def progress(event: Progress, preview: Html) -> Html:
    """A step is done; ``preview`` is the picture so far."""
    share = round(100 * event.step / event.steps)
    line = f"Step {event.step} of {event.steps}"
    bar = div(
        "ls-progress",
        span("", style=f"width:{share}%"),
        role="progressbar",
        aria_label=line,
        aria_valuenow=share,
        aria_valuemin=0,
        aria_valuemax=100,
    )
    which = f"Picture {event.index + 1} of {event.count}" if event.count > 1 else "Denoising"
    side = join(
        (
            tag("p", line, class_="ls-stage-line"),
            bar,
            tag("p", which, class_="ls-origin"),
        )
    )
    return _stage("busy", _frame(preview), side)


def preview_of(png: bytes) -> Html:
    source = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
    return tag("img", src=source, alt="The picture so far", class_="ls-preview")


def pictures(done: Sequence[Finished]) -> Html:
    """The pictures of a run; the receipt beside them is the last one's."""
    last = done[-1].record
    frames = join(picture(event.path, event.record) for event in done)
    many = f"ls-many ls-of-{min(len(done), 4)}" if len(done) > 1 else ""
    download = join(download_link(event.path, event.record, len(done) > 1) for event in done)
    side = join((receipt_body(last), div("ls-under", download)))
    return _stage("done", div(f"ls-pictures {many}", frames), side)


def picture(path: Path, record: RunRecord) -> Html:
    """One picture in its frame, marked where its receipt does not match its plan."""
    image = tag(
        "img",
        src=file_url(path),
        alt=f"Picture of: {record.plan.prompt.typed}",
        width=record.receipt.image.width,
        height=record.receipt.image.height,
    )
    link = tag("a", image, href=file_url(path), target="_blank", rel="noopener")
    if discrepancies(record.plan, record.receipt):
        return tag("figure", link, span("ls-stamp", "Broken"), class_="ls-frame ls-marked")
    return tag("figure", link, class_="ls-frame")


def download_link(path: Path, record: RunRecord, with_seed: bool = False) -> Html:
    said = f"Download, seed {record.receipt.image.seed}" if with_seed else "Download PNG"
    return tag(
        "a",
        icons.DOWNLOAD,
        said,
        href=file_url(path),
        download=path.name,
        class_="ls-button ls-download",
    )


def stopped(done: Sequence[Finished], line: str, bad: bool = False) -> Html:
    """The run ended early; what was finished before stays in sight."""
    said = tag("p", line, class_="ls-stage-line ls-alert" if bad else "ls-stage-line")
    if done:
        frames = join(picture(event.path, event.record) for event in done)
        many = f"ls-many ls-of-{min(len(done), 4)}" if len(done) > 1 else ""
        return _stage("done", div(f"ls-pictures {many}", frames), said)
    mark = icons.CROSS if bad else icons.STOPPED
    return _stage("idle", _frame(span("ls-empty", mark, line)), EMPTY)


def _frame(content: Html) -> Html:
    return tag("figure", content, class_="ls-frame ls-blank")


def _stage(state: str, left: Html, side: Html) -> Html:
    return tag(
        "section",
        left,
        div("ls-side", side),
        class_=f"ls-stage ls-stage-{state}",
        data_state=state,
        aria_label="Picture",
        aria_live="polite" if state != "busy" else None,
    )
