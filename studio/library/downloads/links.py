"""What people write for a LoRA or a model → what it names. Pure: nothing is asked."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from studio.errors import SourceUnknown
from studio.presets.air import Air

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
