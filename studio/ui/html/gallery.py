"""The gallery's markup: thumbnails, and one opened picture with its contract."""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from studio.comparison.review import Agreement, ReviewState
from studio.contract.receipt import RunRecord
from studio.gallery import StoredComparison
from studio.ui.html import contract as sheet
from studio.ui.html import format, icons
from studio.ui.html.picture import download_link, file_url, picture
from studio.ui.html.tags import EMPTY, Html, address, div, join, span, tag


def thumbnail(
    name: str,
    small: Path,
    prompt: str,
    mode: str,
    base: str,
    loras: Sequence[str],
    seed: int,
    standing: ReviewState | None,
) -> Html:
    """One picture of the grid: a button with its reviewers' mark, whose caption shows on hover and
    focus."""
    decided = standing is not None and standing is not ReviewState.UNDECIDED
    said = f", {standing.value}" if decided and standing else ""
    caption = span(
        "ls-caption",
        span("ls-strong", mode),
        span("", join((base, *loras), " · ")),
        span("ls-key", f"seed {seed}"),
    )
    image = tag("img", src=file_url(small), alt=prompt, loading="lazy")
    opens = tag(
        "button",
        image,
        mark(standing) if decided and standing else EMPTY,
        caption,
        type="button",
        class_="ls-thumb",
        data_pick=name,
        aria_label=f"Open: {prompt}, {mode}, seed {seed}{said}",
    )
    box = tag(
        "input",
        type="checkbox",
        data_select=name,
        aria_label=f"Select: {prompt}, {mode}, seed {seed}",
    )
    return div("ls-tile", opens, box)


_MARKS = {
    ReviewState.APPROVED: icons.CHECK,
    ReviewState.REJECTED: icons.CROSS,
    ReviewState.DISAGREED: icons.ALERT,
}


def mark(standing: ReviewState) -> Html:
    """What the reviewers make of a picture, in its corner."""
    return span(f"ls-verdict ls-verdict-{standing.value}", _MARKS[standing], title=standing.label)


def comparison(item: StoredComparison, small: Path) -> Html:
    """A whole comparison as one item: its contact sheet, and its verdict at all times."""
    style = f"ls-badge ls-badge-{item.verdict.value}"
    verdict = span(style, item.verdict.value.title())
    caption = span(
        "ls-caption",
        span("ls-strong", item.title),
        span("", item.summary),
        span("ls-key", format.plural(item.cells, "cell")),
    )
    image = tag("img", src=file_url(small), alt=item.title, loading="lazy")
    return tag(
        "button",
        image,
        verdict,
        caption,
        type="button",
        class_="ls-thumb ls-thumb-many",
        data_pick=item.name,
        aria_label=f"Open the comparison: {item.title}, {item.verdict.value}",
    )


def broken(name: str, why: str) -> Html:
    """In the place of an item that has no thumbnail: its name and the reason; it still opens,
    which leads to verifying and deleting it."""
    return tag(
        "button",
        span("ls-nothing", icons.ALERT, span("ls-file", name)),
        span("ls-caption", why),
        type="button",
        class_="ls-thumb",
        data_pick=name,
        aria_label=f"Open: {name}. {why}",
    )


def grid(thumbnails: Sequence[Html]) -> Html:
    """The items, and what decides on those of them that are ticked."""
    decide = [
        tag("button", said, type="button", class_="ls-button", data_decide=key, disabled=True)
        for key, said in (("approve", "Approve selected"), ("reject", "Reject selected"))
    ]
    every = tag("button", "Select all", type="button", class_="ls-button", data_all=True)
    count = span("ls-bulk-count ls-origin", "None selected", role="status")
    return join((div("ls-bulk", every, *decide, count), div("ls-grid", *thumbnails)))


def agreed(found: Agreement) -> Html:
    """How far the reviewers agree, and on how much that stands."""
    if found.alpha is None:
        said = "no alpha: every decision is the same, or no picture has two"
    else:
        said = f"Krippendorff's alpha {format.number(round(found.alpha, 3))} (nominal)"
    on = format.plural(found.pictures, "picture")
    line = f"{said}; {found.reviewers} reviewers, {on} that two or more decided on."
    return tag("p", span("ls-strong", "Agreement: "), line)


def nothing(filtered: bool) -> Html:
    line = (
        "No picture matches these filters."
        if filtered
        else "No picture yet. The first one you generate appears here."
    )
    return div("ls-nothing", icons.FRAME, tag("p", line))


def opened(name: str, path: Path, record: RunRecord) -> Html:
    """The picture, large, and its file."""
    return div(
        "ls-opened",
        picture(path, record),
        div(
            "ls-under",
            download_link(path),
            tag("code", path.name, class_="ls-file"),
        ),
        data_address=address(picture=name),
    )


def contract(record: RunRecord, damage: Sequence[str] = ()) -> Html:
    """The same sheet as in Studio, and the record as JSON behind a fold."""
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    as_json = tag(
        "details",
        tag("summary", "Record as JSON"),
        tag("pre", tag("code", text)),
        class_="ls-json",
        data_keep="json",
    )
    return join((sheet.of_record(record, damage), as_json))


def said(line: str, bad: bool = False) -> Html:
    """The answer to an action."""
    if not line:
        return EMPTY
    icon = icons.ALERT if bad else icons.CHECK
    return tag(
        "p", icon, span("", line), class_="ls-said ls-problem" if bad else "ls-said", role="status"
    )


def counted(before: int, shown: int, total: int, page: int, most: int) -> Html:
    """Which page it is of how many, and how many items there are; counting may have stopped one
    above ``most``."""
    if total == 0:
        return EMPTY
    stopped = total == most + 1
    line = f"over {most:,} items" if stopped else f"{total:,} {'item' if total == 1 else 'items'}"
    if shown == total:
        return span("ls-origin", line)
    pages = f"over {most // page:,}" if stopped else f"{-(-total // page):,}"
    number = f"{before // page + 1:,}{'+' if before == most + 1 else ''}"
    return span("ls-origin", f"Page {number} of {pages} · {line}")


def to_keep(name: str, media_type: str, data: bytes, signed: bool) -> Html:
    """A published file, to be downloaded: the link holds it."""
    link = f"data:{media_type};base64,{b64encode(data).decode('ascii')}"
    line = "Signed by this studio." if signed else "Not signed; SIGN=local signs it."
    return div(
        "ls-under",
        tag("a", icons.DOWNLOAD, name, href=link, download=name, class_="ls-button"),
        span("ls-origin", f"{len(data):,} bytes. {line}"),
    )
