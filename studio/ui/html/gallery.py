"""The gallery's markup: thumbnails, and one opened picture with its contract."""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from studio.contract.receipt import RunRecord
from studio.gallery import StoredComparison
from studio.ui.html import contract as sheet
from studio.ui.html import format, icons
from studio.ui.html.picture import download_link, file_url, picture
from studio.ui.html.tags import EMPTY, Html, address, div, join, span, tag


def thumbnail(
    name: str, small: Path, prompt: str, mode: str, base: str, loras: Sequence[str], seed: int
) -> Html:
    """One picture of the grid: a button, whose caption shows on hover and focus."""
    caption = span(
        "ls-caption",
        span("ls-strong", mode),
        span("", join((base, *loras), " · ")),
        span("ls-key", f"seed {seed}"),
    )
    image = tag("img", src=file_url(small), alt=prompt, loading="lazy")
    return tag(
        "button",
        image,
        caption,
        type="button",
        class_="ls-thumb",
        data_pick=name,
        aria_label=f"Open: {prompt}, {mode}, seed {seed}",
    )


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
    return div("ls-grid", *thumbnails)


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


def counted(shown: int, total: int) -> Html:
    if total == 0:
        return EMPTY
    line = format.plural(total, "item")
    return span("ls-origin", line if shown == total else f"{shown} of {line}")


def to_keep(name: str, media_type: str, data: bytes, signed: bool) -> Html:
    """A published file, to be downloaded: the link holds it."""
    link = f"data:{media_type};base64,{b64encode(data).decode('ascii')}"
    line = "Signed by this studio." if signed else "Not signed; SIGN=local signs it."
    return div(
        "ls-under",
        tag("a", icons.DOWNLOAD, name, href=link, download=name, class_="ls-button"),
        span("ls-origin", f"{len(data):,} bytes. {line}"),
    )
