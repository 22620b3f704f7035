"""What people write for weights, which hosts may be asked, and names safe for a disk. Pure."""

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from studio.library.downloads.errors import SourceUnknown
from studio.presets.air import Air

_PORTS = {"http": 80, "https": 443}
CIVITAI_STORAGE = (".civitai.com", ".civitai.red", ".r2.cloudflarestorage.com")
"""Where CivitAI's downloads lead: its own storage and its buckets at Cloudflare."""
HUB_STORAGE = (".huggingface.co", ".hf.co")
"""Where the Hub's downloads lead: ``cdn-lfs.hf.co``, ``cas-bridge.xethub.hf.co`` and others."""

WebOrigin = tuple[str, str, int]
"""Scheme, host, port."""


def origin_of(address: str) -> WebOrigin | None:
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
    def _fits(origin: WebOrigin, entry: str) -> bool:
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


_CIVITAI_HOSTS = frozenset(
    {"civitai.com", "www.civitai.com", "civitai.red", "www.civitai.red", "civitai.green"}
)
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_NO_MODELS = frozenset({"datasets", "spaces", "collections", "docs", "papers", "blog", "settings"})
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_HELP = (
    "Give an AIR, a link to a model's page on CivitAI or Hugging Face, owner/name or "
    "owner/name/file.safetensors, or a .safetensors file."
)


@dataclass(frozen=True, slots=True)
class CivitaiName:
    """A version on CivitAI; only a page's link may leave it open."""

    model: str | None
    version: str | None
    file_id: str | None = None
    air: Air | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository on the Hugging Face Hub, or one file of it."""

    repository: str
    file: str | None = None
    revision: str | None = None


def parse_source(text: str, civitai: str, hub: str) -> CivitaiName | HubName:
    """What ``text`` names.

    Args:
        civitai, hub: the base addresses in use, whose links are read beside the sites' own.

    Raises:
        SourceUnknown: it names nothing that can be fetched.
    """
    text = text.strip()
    if text.startswith("hf:"):
        return _hub_name(text.removeprefix("hf:"))
    if re.match(r"https?://", text, re.IGNORECASE):
        return _link(text, civitai, hub)
    if ":" in text:
        return _air(text)
    owner, slash, rest = text.partition("/")
    name, _, file = rest.partition("/")
    if slash and _REPOSITORY.fullmatch(f"{owner}/{name}"):
        if not file and name.lower().endswith(".safetensors"):
            raise SourceUnknown(
                f"{text[:80]!r} is no file, neither here nor in the library.",
                "Name it as studio weights scan prints it, or as owner/name/file.safetensors.",
            )
        return HubName(f"{owner}/{name}", file or None)
    raise SourceUnknown(f"{text[:80]!r} names no weights.", _HELP)


def _hub_name(text: str) -> HubName:
    """``owner/name[/file][@revision]``."""
    path, _, revision = text.partition("@")
    owner, _, rest = path.partition("/")
    name, _, file = rest.partition("/")
    if not _REPOSITORY.fullmatch(f"{owner}/{name}"):
        raise SourceUnknown(f"{text[:80]!r} names no repository.", _HELP)
    return HubName(f"{owner}/{name}", file or None, revision or None)


def _air(text: str) -> CivitaiName | HubName:
    try:
        air = Air.parse(text)
    except ValueError as error:
        raise SourceUnknown(f"{text[:80]!r} is no AIR: {error}.", _HELP) from error
    if air.source == "huggingface" and _REPOSITORY.fullmatch(air.id):
        return HubName(air.id, None, air.version)
    if air.source != "civitai":
        raise SourceUnknown(f"The studio fetches nothing from {air.source!r}.", _HELP)
    if air.version is None:
        raise SourceUnknown(
            f"{air} names no version, so it names no bytes.",
            "Copy the AIR with its version (@…) from the model's page.",
        )
    return CivitaiName(air.id, air.version, air.file_id, air)


def _link(text: str, civitai: str, hub: str) -> CivitaiName | HubName:
    parts = urlsplit(text)
    host = parts.netloc.lower()
    path = [unquote(part) for part in parts.path.split("/") if part]
    query = parse_qs(parts.query)
    name: CivitaiName | HubName | None
    if host in _CIVITAI_HOSTS or host == urlsplit(civitai).netloc.lower():
        name = _civitai_page(path, query)
    elif host in _HUB_HOSTS or host == urlsplit(hub).netloc.lower():
        name = _hub_page(path)
    else:
        raise SourceUnknown(f"{host or text[:80]!r} is neither CivitAI nor Hugging Face.", _HELP)
    if name is None:
        raise SourceUnknown(f"The link to {host} leads to no model.", _HELP)
    return name


def _civitai_page(path: list[str], query: dict[str, list[str]]) -> CivitaiName | None:
    """``/models/{model}[/slug][?modelVersionId={version}]``, ``/api/download/models/{version}``
    and ``/api/v1/model-versions/{version}``."""
    version = _number(query.get("modelVersionId"))
    if len(path) >= 2 and path[0] == "models" and path[1].isdecimal():
        return CivitaiName(path[1], version)
    interface = (["api", "download", "models"], ["api", "v1", "model-versions"])
    if len(path) == 4 and path[:3] in interface and path[3].isdecimal():
        return CivitaiName(None, path[3], _number(query.get("fileId")))
    return None


def _number(values: list[str] | None) -> str | None:
    return values[0] if values and values[0].isdecimal() else None


def _hub_page(path: list[str]) -> HubName | None:
    """``/{owner}/{name}[/(blob|resolve|tree)/{revision}[/{file}]]``."""
    if path[:1] == ["models"]:
        path = path[1:]
    if len(path) < 2 or path[0] in _NO_MODELS or not _REPOSITORY.fullmatch(f"{path[0]}/{path[1]}"):
        return None
    repository, rest = f"{path[0]}/{path[1]}", path[2:]
    if not rest:
        return HubName(repository)
    if rest[0] not in ("blob", "resolve", "tree", "raw") or len(rest) < 2:
        return None
    file = "/".join(rest[2:]) if rest[0] != "tree" else ""
    revision = None if rest[1] == "main" else rest[1]
    return HubName(repository, file or None, revision)


MAX_NAME = 180
"""Bytes; disks take 255, and a part's name and a version's number are added."""
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


def safe_name(published: str, fallback: str) -> str:
    """A file name that ends in ``.safetensors``, from one that anybody may have chosen.

    Letters, digits, ``_ . -`` stay; everything else, folders too, becomes ``-``.
    """
    name = published.replace("\\", "/").rsplit("/", 1)[-1]
    stem = re.sub(r"(?i)\.safetensors$", "", name)
    plain = unicodedata.normalize("NFKC", stem)
    plain = _cut(re.sub(r"[^\w.-]+", "-", plain).strip(".-_ ")).strip(".-_ ")
    if not plain or _RESERVED.fullmatch(plain):
        plain = fallback
    return f"{plain}.safetensors"


def _cut(name: str) -> str:
    """As many whole characters as MAX_NAME bytes hold."""
    return name.encode("utf-8")[:MAX_NAME].decode("utf-8", "ignore")


def hub_name(repository: str, file: str) -> str:
    """A Hub file's name with its repository's: many are called the same."""
    stem = re.sub(r"(?i)\.safetensors$", "", file.rsplit("/", 1)[-1])
    folder = "-".join(file.split("/")[:-1])
    parts = [repository.split("/")[-1], folder, stem]
    generic = stem.lower() in ("pytorch_lora_weights", "lora", "model", "adapter_model")
    return "-".join(part for part in (parts[:-1] if generic else parts) if part)
