"""Requests with the rules that keep the key at home: redirects by hand, listed hosts only."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from studio import __version__
from studio.library.downloads.addresses import Allowed, shown
from studio.library.downloads.errors import (
    DownloadError,
    RedirectRefused,
    StorageFault,
    UnexpectedAnswer,
)

if TYPE_CHECKING:
    import requests

USER_AGENT = f"lora-studio/{__version__}"
MAX_REDIRECTS = 5
MAX_ANSWER = 16 * 2**20
"""Bytes of the largest answer that is read into memory."""
CONNECT_SECONDS, READ_SECONDS = 10.0, 20.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Site:
    """One site and how it is asked; safe for one thread at a time.

    Attributes:
        name: for sentences.
        key: sent as Bearer, in the first request to the site's own origin and nowhere else.
    """

    name: str
    allowed: Allowed
    key: str | None = field(default=None, repr=False)

    @cached_property
    def _session(self) -> requests.Session:
        import requests  # takes a while that commands without a download should not pay

        session = requests.Session()
        session.headers.clear()
        # A cookie from one host must not reach another on the same name and other port.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def open(
        self, address: str, headers: Mapping[str, str] | None = None, sent: Any = None
    ) -> requests.Response:
        """The answer to a GET, its body unread, after at most five redirects.

        ``answer.url`` is the last address. The caller closes it. Any status but a redirect
        is the caller's to judge.

        Args:
            sent: JSON; with it, a POST is made, and made again where a redirect leads.

        Raises:
            RedirectRefused: it leads to a host or a scheme that is not listed, or in circles.
            StorageFault: no connection, or none in time.
        """
        key = self.key
        sender = shown(address)
        for _ in range(MAX_REDIRECTS + 1):
            if not self.allowed.allows(address):
                raise RedirectRefused(sender, shown(address))
            answer = self._ask(address, headers or {}, key, sent)
            goal = answer.headers.get("Location")
            if answer.status_code not in _REDIRECTS or goal is None:
                return answer
            answer.close()
            # From here on without the key: storage refuses it, and it is none of its business.
            key = None
            sender, address = shown(address), urljoin(address, goal)
            if self._is_login(address):
                answer.status_code = 401
                return answer
        raise RedirectRefused(sender, "one address after another, in circles")

    def _is_login(self, address: str) -> bool:
        """CivitAI answers clients that it takes for browsers with its page for logging in."""
        return self.allowed.is_api(address) and urlsplit(address).path.startswith("/login")

    def _ask(
        self, address: str, headers: Mapping[str, str], key: str | None, sent: Any
    ) -> requests.Response:
        import requests

        own = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if key is not None and self.allowed.is_api(address):
            own["Authorization"] = f"Bearer {key}"
        try:
            return self._session.request(
                "GET" if sent is None else "POST",
                address,
                json=sent,
                headers=own | dict(headers),
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                auth=_untouched,
            )
        except (requests.RequestException, OSError, ValueError) as error:
            raise fault(address, error) from None

    def json(self, address: str, sent: Any = None) -> tuple[int, Any, dict[str, str]]:
        """(status, the JSON of the answer, its headers); None where the body is none.

        Raises:
            as ``open``, and UnexpectedAnswer where the body is too large.
        """
        answer = self.open(address, {"Accept": "application/json"}, sent)
        try:
            body = read_body(answer)
        finally:
            answer.close()
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        return answer.status_code, said, dict(answer.headers)


def read_body(answer: requests.Response) -> bytes:
    """The whole of a small answer.

    Raises:
        UnexpectedAnswer: it is larger than any metadata.
        StorageFault: the connection broke.
    """
    import requests

    parts, size = [], 0
    try:
        for part in answer.iter_content(2**16):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise UnexpectedAnswer(
                    f"{shown(answer.url)} answered with more than {MAX_ANSWER // 2**20} MiB.",
                    "Check the address that the studio was given.",
                )
    except (requests.RequestException, OSError) as error:
        raise fault(answer.url, error) from None
    return b"".join(parts)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a Retry-After in either form; None where there is none."""
    value = {name.lower(): text for name, text in headers.items()}.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    date = email.utils.parsedate_tz(value)
    if date is None:
        return None
    return max(0.0, email.utils.mktime_tz(date) - time.time())


def _untouched(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials from ~/.netrc: requests looks there when it is given no auth."""
    return request


def fault(address: str, error: Exception) -> DownloadError:
    """What a broken connection means; the library's own text holds signed addresses."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        what = f"did not answer within {READ_SECONDS:.0f} seconds"
    elif isinstance(error, requests.exceptions.SSLError):
        what = "has an invalid TLS certificate"
    elif isinstance(error, requests.exceptions.ProxyError):
        what = "cannot be reached through the proxy"
    else:
        what = f"cannot be reached ({type(error).__name__})"
    return StorageFault(shown(address), what)
