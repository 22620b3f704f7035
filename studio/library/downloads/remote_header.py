"""What a published file is, from its header alone: asked for by range, before any download."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from studio.architecture import LABELS
from studio.errors import HeaderError
from studio.inspection import LoraInspection, inspect
from studio.inspection.description import describe, unread_alphas
from studio.inspection.header import LENGTH_FIELD, SafetensorsHeader, header_length, parse
from studio.inspection.verdict import UNKNOWN
from studio.library.downloads.addresses import CivitaiName, HubName, parse_source, shown
from studio.library.downloads.civitai import CivitAI
from studio.library.downloads.errors import Offline, SizeWrong, UnexpectedAnswer
from studio.library.downloads.http import Site, fault
from studio.library.downloads.hub import Hub
from studio.library.downloads.plan import RemoteFile
from studio.library.downloads.transfer import Judge
from studio.presets.model_card import Published
from studio.settings import Settings

if TYPE_CHECKING:
    import requests

FIRST_LOOK = 64 * 1024
"""Bytes asked for at first; the header of most LoRAs ends within them."""
_BLOCK = 16 * 1024


def describe_remote(settings: Settings, text: str) -> dict[str, Any]:
    """What ``describe_file`` says of a file on disk, of one on the Hub or CivitAI.

    The SHA-256 is the publisher's, or None; ``sha256_from`` and ``notes`` say so. AutoV3 and
    the values of ``.alpha`` tensors lie beyond the header, and stay unknown.

    Args:
        text: ``hf:owner/name/file.safetensors[@revision]``, a link, or an AIR.

    Raises:
        DownloadError: by its kind; HeaderError: it is no safetensors file.
    """
    if settings.offline:
        raise Offline
    published, remote, site, judge = _ask(settings, text)
    header, size, read = _read(site, judge, remote)
    found = inspect(header)
    notes = [f"Read from the file's first {read:,} bytes; nothing else of it was fetched."]
    if remote.sha256:
        notes.append(f"SHA-256 as {published.site} publishes it; it was not computed.")
    notes += unread_alphas(found, "were not fetched")
    described = describe(
        text,
        found.disputed(_conflicts(published, found)),
        size=size,
        sha256=remote.sha256,
        autov3=None,
        sha256_from="publisher" if remote.sha256 else None,
    )
    return described | {
        "page": published.page,
        "revision": published.version,
        "publisher_says": published.base_model,
        "notes": notes,
    }


def _conflicts(published: Published, found: LoraInspection) -> tuple[str, ...]:
    """Where the publisher's base model is of none of the families that the tensors allow."""
    said, families = published.family, {found.architecture, *found.candidates} - {UNKNOWN}
    if said is None or not families or said in families:
        return ()
    label = LABELS.get(found.architecture, "another family")
    return (f"{published.site} lists it for {published.base_model!r}; its tensors say {label}.",)


def _ask(settings: Settings, text: str) -> tuple[Published, RemoteFile, Site, Judge]:
    """The one file that ``text`` names, and how its site is asked."""
    source = parse_source(text, settings.civitai_url, settings.hf_endpoint)
    if isinstance(source, CivitaiName):
        return _ask_civitai(CivitAI(settings), source)
    return _ask_hub(Hub(settings), source)


def _ask_civitai(
    civitai: CivitAI, source: CivitaiName
) -> tuple[Published, RemoteFile, Site, Judge]:
    version = civitai.version(source)
    file = civitai.chosen(version, source.file_id)
    published = civitai.published(version, file)

    def judge(answer: requests.Response) -> None:
        civitai.judge(answer, published.page)

    return published, civitai.remote(version, file), civitai.site, judge


def _ask_hub(hub: Hub, source: HubName) -> tuple[Published, RemoteFile, Site, Judge]:
    info = hub.info(source.repository, source.revision)
    (remote,), name = hub.files(info, source)

    def judge(answer: requests.Response) -> None:
        hub.judge(answer, source.repository)

    return hub.published(info, name, remote), remote, hub.site, judge


def _read(site: Site, judge: Judge, remote: RemoteFile) -> tuple[SafetensorsHeader, int, int]:
    """(header, bytes of the whole file, bytes that were read).

    Raises:
        HeaderError: it is none, or longer than any honest one; nothing more is read then.
    """
    first, size = _range(site, judge, remote, 0, FIRST_LOOK)
    end = LENGTH_FIELD + header_length(first)
    data = first
    if len(first) < end and len(first) < size:
        more, size_again = _range(site, judge, remote, len(first), end)
        if size_again != size:
            raise SizeWrong(remote.name, size, size_again)
        data += more
    return parse(data, size), size, len(data)


def _range(
    site: Site, judge: Judge, remote: RemoteFile, start: int, end: int
) -> tuple[bytes, int]:
    """Bytes ``start`` to ``end`` and the file's size; a server that sends more is cut off."""
    with closing(site.open(remote.url, {"Range": f"bytes={start}-{end - 1}"})) as answer:
        judge(answer)
        if answer.status_code == 416:
            raise HeaderError("it is empty" if start == 0 else "it is cut short")
        begins, size = _place(answer)
        if size is None:
            size = remote.size
        if begins not in (0, start) or size is None:
            raise UnexpectedAnswer(
                f"{shown(answer.url)} does not say which bytes of which file it sends.",
                "Try again later, or download the file and inspect it here.",
            )
        if remote.size is not None and size != remote.size:
            raise SizeWrong(remote.name, remote.size, size)
        data = _first(answer, end - begins)
        return data[start - begins :], size


def _place(answer: requests.Response) -> tuple[int, int | None]:
    """Where the answer begins, and how large the whole file is, as far as it says so."""
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        return -1, None
    if answer.status_code == 206:
        match = re.fullmatch(
            r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)",
            answer.headers.get("Content-Range", "").strip(),
        )
        if match is None:
            return -1, None
        return int(match[1]), int(match[2]) if match[2] != "*" else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _first(answer: requests.Response, wanted: int) -> bytes:
    """At most ``wanted`` bytes of the body; the rest stays where it is."""
    import requests

    parts: list[bytes] = []
    left = wanted
    try:
        for part in answer.iter_content(_BLOCK):
            parts.append(part[:left])
            left -= len(parts[-1])
            if left <= 0:
                break
    except (requests.RequestException, OSError) as error:
        raise fault(answer.url, error) from None
    return b"".join(parts)
