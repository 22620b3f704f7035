"""Who asks: under which name of the studio, from which site's page, and for whom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from studio.settings import Settings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip")
_HOST = re.compile(r"[\w.-]+(?::\d*)?|\[[\da-fA-F:.]+\](?::\d*)?", re.ASCII)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


@dataclass(frozen=True, slots=True)
class RequestRefused(Exception):
    """A request that goes no further: its HTTP status, why, and the way out."""

    status: int
    reason: str
    way_out: str


def check_name(headers: Headers, settings: Settings) -> None:
    """Whether a studio that is not public is asked under a name of its own, and directly.

    Raises:
        Refused: it is not.
    """
    if settings.is_public:
        return
    names = [headers.get("host", "")]
    if settings.public is None and any(name in headers for name in _FORWARDED):
        raise RequestRefused(
            403,
            "This studio is its owner's alone, and somebody forwards requests to it.",
            "If strangers may come, set PUBLIC=1. If it stays yours, set PUBLIC=0, and HOSTS to "
            "the names it is asked under.",
        )
    if "x-forwarded-host" in headers:
        names.append(headers["x-forwarded-host"])
    for name in names:
        if not _is_own(name, settings):
            raise RequestRefused(
                403,
                f"This studio does not answer to {name[:80]!r}.",
                "Open it under the address that it printed, or name this one in HOSTS.",
            )


def _is_own(name: str, settings: Settings) -> bool:
    host = _host(name)
    if host in _LOOPBACK | {settings.host.strip("[]").lower(), *settings.hosts}:
        return True
    return _is_everywhere(settings.host) and _address(host) is not None


def _is_everywhere(host: str) -> bool:
    """Whether it listens on every address; an address, unlike a name, leads to nobody else."""
    address = _address(host)
    return address is not None and ip_address(address).is_unspecified


def _address(host: str) -> str | None:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


def check_site(method: str, headers: Headers, settings: Settings) -> None:
    """Whether a request comes from a page of the studio, or from no page at all; a link that is
    followed is no request of the page it stood on.

    Raises:
        Refused: another site's page sends it.
    """
    if method in SAFE and (settings.on_space or _is_navigation(headers)):
        return
    site = headers.get("sec-fetch-site")
    if site is None:  # no browser, an old one, or one that does not trust plain http
        origin = headers.get("origin")
        own = {headers.get("host"), headers.get("x-forwarded-host")}
        foreign = origin is not None and urlsplit(origin).netloc not in own
    else:
        foreign = site not in ("same-origin", "none")
    if foreign:
        raise RequestRefused(
            403, "A page of another site asked for this.", "Open the studio itself and ask there."
        )


def _is_navigation(headers: Headers) -> bool:
    wanted = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return wanted == ("navigate", "document")


def visitor(host: str, headers: Mapping[str, str]) -> str:
    """Whose shares are counted: ``host``, the connection's other end, or what it says for whom it
    asks where it is a proxy on this machine or network; anybody else could say anything.

    A household or a server has 2**64 addresses of IPv6, which count as one.
    """
    name = "x-forwarded-for"
    lines = headers.getlist(name) if isinstance(headers, Headers) else [headers.get(name, "")]
    said = ",".join(lines).rpartition(",")[2].strip()
    sender = said if said and not _is_far(host) else host
    address = _address(sender) or _address(_host(sender))
    if address is None:
        return sender
    known = ip_address(address)
    if known.version == 4:
        return address
    mapped = known.ipv4_mapped
    return str(mapped or ip_network((address, 64), strict=False))


def _is_far(host: str) -> bool:
    address = _address(host)
    return address is not None and ip_address(address).is_global


def _host(name: str) -> str:
    """Of ``host``, ``host:port`` and ``[address]:port``; empty of anything else."""
    try:
        return (urlsplit(f"//{name}").hostname or "") if _HOST.fullmatch(name) else ""
    except ValueError:
        return ""
