"""The picture's place: empty, in the making, or there with its receipt beside it."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from studio.contract.audit import discrepancies
from studio.contract.events import Progress
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.gallery import Picture
from studio.library.downloads import DownloadEvent
from studio.ui.html import download as download_html
from studio.ui.html import format, icons
from studio.ui.html.bar import titled
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
    return _stage("busy", _frame(span("ls-empty", icons.RUNNING)), titled(line))


def queue_line(ahead: int) -> str:
    if ahead == 0:
        return "Next in the queue"
    return f"In the queue: {format.plural(ahead, 'run')} ahead"


def fetching(event: DownloadEvent, label: str) -> Html:
    """Weights come: how much, how fast, how long."""
    side = join((tag("p", label, class_="ls-strong"), download_html.progress(event)))
    return _stage("busy", _frame(span("ls-empty", icons.RUNNING)), side)


def progress(event: Progress, preview: Html, left: str) -> Html:
    """A step is done; ``preview`` is the picture so far, ``left`` how long the rest takes."""
    which = f"Picture {event.index + 1} of {event.count}" if event.count > 1 else "Denoising"
    side = join((progress_bar(event, left), tag("p", which, class_="ls-origin")))
    return _stage("busy", _frame(preview), side)


def progress_bar(event: Progress, left: str) -> Html:
    """How far the picture is, as a line over a bar."""
    share = round(100 * event.step / event.steps)
    line = " · ".join(part for part in (f"Step {event.step} of {event.steps}", left) if part)
    return titled(line, share)


def preview_of(png: bytes) -> Html:
    source = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
    return tag("img", src=source, alt="The picture so far", class_="ls-preview")


def done(path: Path, record: RunRecord) -> Html:
    """A picture with what it is of, its receipt, and what can be done with it."""
    seed = record.receipt.image.seed
    actions = div(
        "ls-under",
        download_link(path),
        tag("button", f"Reuse seed {seed}", type="button", class_="ls-button", data_pick="seed"),
        tag("button", "Use its settings", type="button", class_="ls-button", data_pick="use"),
    )
    side = join((of_line(record.plan, seed), receipt_body(record)))
    return _stage("done", div("ls-pictures", picture(path, record), actions), side)


def of_line(plan: RunPlan, seed: int) -> Html:
    """Which plan, prompt and seed a picture is of."""
    return div(
        "ls-of",
        tag("p", plan.prompt.typed, class_="ls-of-prompt"),
        tag(
            "p",
            span("ls-key", "plan "),
            tag("code", format.short_hash(plan.fingerprint), title=plan.fingerprint),
            span("ls-key", " seed "),
            span("ls-figure", seed),
        ),
    )


def earlier(picture: Picture) -> Html:
    """Beneath the sheet of another plan: whose the picture is."""
    return tag(
        "p",
        icons.NOTICE,
        span(
            "",
            "The picture below is an earlier one: plan ",
            tag("code", format.short_hash(picture.fingerprint)),
            f", seed {picture.seed}.",
        ),
        tag("button", "Its contract", type="button", class_="ls-link", data_pick=picture.name),
        class_="ls-earlier",
    )


def going_on() -> Html:
    """The reader looks at another picture than the one in the making."""
    return tag(
        "p",
        icons.RUNNING,
        span("", "A run goes on."),
        tag("button", "Show it", type="button", class_="ls-link", data_pick=""),
        class_="ls-going",
    )


def strip(made: Sequence[tuple[Picture, Path]], looked: str) -> Html:
    """The session's pictures, newest first, each with a small file; none where the only one is on
    the stage."""
    if not made or [each.name for each, _ in made] == [looked]:
        return EMPTY
    head = div(
        "ls-strip-head",
        span("ls-key", f"This session: {format.plural(len(made), 'picture')}"),
        tag("button", "Download all", type="button", class_="ls-link", data_download_all=True),
    )
    return join((head, div("ls-strip", *(_tile(each, small, looked) for each, small in made))))


def waiting_runs(runs: Sequence[tuple[RunPlan, str]]) -> Html:
    """What waits behind the run that goes on, each with its name, and may be put first or taken
    out."""
    if not runs:
        return EMPTY
    head = div("ls-strip-head", span("ls-key", f"Waiting: {format.plural(len(runs), 'run')}"))
    rows = (_waiting_row(plan, run_id, index == 0) for index, (plan, run_id) in enumerate(runs))
    return join((head, tag("ol", *rows, class_="ls-waiting-runs")))


def _waiting_row(plan: RunPlan, run_id: str, is_next: bool) -> Html:
    said = f"{plan.prompt.typed} · {plan.mode.label} · seed {plan.seed}"

    def button(what: str, text: str) -> Html:
        name = f"{text}: {said}"
        key = f"{what} {run_id}"
        return tag("button", text, type="button", class_="ls-link", data_pick=key, aria_label=name)

    first = EMPTY if is_next else button("first", "Put first")
    return tag("li", span("ls-waiting-text", said), first, button("remove", "Remove"))


def _tile(item: Picture, small: Path, looked: str) -> Html:
    return tag(
        "button",
        tag("img", src=file_url(small), alt=""),
        type="button",
        data_pick=item.name,
        data_large=file_url(item.path),
        data_file=item.path.name,
        data_caption=f"{item.prompt} · {item.mode.label} · seed {item.seed}",
        aria_label=f"{item.prompt}, {item.mode.label}, seed {item.seed}",
        aria_current="true" if item.name == looked else None,
    )


def picture(path: Path, record: RunRecord) -> Html:
    """One picture in its frame, marked where its receipt does not match its plan."""
    prompt, seed = record.plan.prompt.typed, record.receipt.image.seed
    image = tag(
        "img",
        src=file_url(path),
        alt=f"Picture of: {prompt}",
        width=record.receipt.image.width,
        height=record.receipt.image.height,
    )
    link = tag(
        "a",
        image,
        href=file_url(path),
        data_large=file_url(path),
        data_caption=f"{prompt} · {record.plan.mode.label} · seed {seed}",
    )
    if discrepancies(record.plan, record.receipt):
        return tag("figure", link, span("ls-stamp", "Broken"), class_="ls-frame ls-marked")
    return tag("figure", link, class_="ls-frame")


def download_link(path: Path) -> Html:
    return tag(
        "a",
        icons.DOWNLOAD,
        "Download PNG",
        href=file_url(path),
        download=path.name,
        class_="ls-button ls-download",
    )


def stopped(line: str, bad: bool = False) -> Html:
    """The run ended early, before its first picture."""
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
