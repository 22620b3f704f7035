"""Which addresses may be asked, and which one may see the key. Pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
CIVITAI_STORAGE = (".civitai.com", ".civitai.red", ".r2.cloudflarestorage.com")
"""Where CivitAI's downloads lead: its own storage and its buckets at Cloudflare."""
HUB_STORAGE = (".huggingface.co", ".hf.co")
"""Where the Hub's downloads lead: ``cdn-lfs.hf.co``, ``cas-bridge.xethub.hf.co`` and others."""

Origin = tuple[str, str, int]
"""Scheme, host, port."""


def origin_of(address: str) -> Origin | None:
    """None where it is no http(s) address, or carries a name and password."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or parts.username or parts.password:
        return None
    return scheme, host, port if port is not None else _PORTS[scheme]


@dataclass(frozen=True, slots=True)
class Allowed:
    """A site's own address and the hosts its files may come from.

    Attributes:
        api: the base address; only this origin ever sees the key.
        hosts: ``.example.com`` is every host below it, over https on its usual port alone;
            ``http://127.0.0.1:9000`` is exactly that origin.
    """

    api: str
    hosts: tuple[str, ...] = ()

    def is_api(self, address: str) -> bool:
        return origin_of(address) == origin_of(self.api)

    def allows(self, address: str) -> bool:
        origin = origin_of(address)
        if origin is None:
            return False
        return origin == origin_of(self.api) or any(self._fits(origin, h) for h in self.hosts)

    @staticmethod
    def _fits(origin: Origin, entry: str) -> bool:
        if "://" in entry:
            return origin == origin_of(entry)
        scheme, host, port = origin
        if (scheme, port) != ("https", 443):
            return False
        return host.endswith(entry) if entry.startswith(".") else host == entry.lower()


def shown(address: str) -> str:
    """Scheme and host, for people: paths and queries of storage hold signatures."""
    origin = origin_of(address)
    if origin is None:
        return "an address that is not on the web"
    scheme, host, port = origin
    return f"{scheme}://{host}" + ("" if port == _PORTS[scheme] else f":{port}")
