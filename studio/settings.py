"""The environment and .env, read once into a frozen value."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from studio.contract.limits import VisitorLimits
from studio.contract.placement import Dtype, Offload
from studio.errors import SettingsError

BUILT_IN_PRESETS = Path(__file__).resolve().parent.parent / "presets"
LOCAL_PRESETS = BUILT_IN_PRESETS / "local.yaml"

Option = TypeVar("Option", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Workers:
    """What runs plans instead of the studio itself: workers on this machine, or in a cluster.

    Attributes:
        devices: of each local worker, as DEVICE names them.
        address: of the cluster, ``host:port``; None for local workers.
    """

    devices: tuple[str, ...] = ()
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things lie and how the studio listens.

    Attributes:
        model_base_path: what preset paths are relative to; the guide's MODEL_BASE_PATH.
        more_folders: the other folders of the library, after the first in MODEL_BASE_PATH.
        whole_library: whether all below them is looked through, not only the folders where
            weights are kept by custom: somebody chose them.
        linked_folders: more folders that links in the library may lead into.
        outputs: pictures, and their index where ``index`` is None.
        index: the folder of the index; a local one, where the outputs are on a mounted bucket.
        state: hash cache and pins.
        preset_dirs: folders of presets read after the built-in ones.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        memory_budget: bytes that resident bases and LoRAs may take; None is automatic.
        dtype: of every base that a request names none for; None is the preset's, else chosen
            by the weights and the memory that are there.
        offload, vae_tiling: as set; None is chosen by the memory that is there.
        vae_slicing: decode the pictures of a batch one by one.
        civitai_api_key, hf_token: never shown, logged or written.
        civitai_url, hf_endpoint: the sites' base addresses, without a slash at the end.
        download_hosts: more hosts that the sites' downloads may lead to.
        auto_download: whether a run fetches the weights it misses; None where nobody said.
        on_space: whether this is a Hugging Face Space.
        sign_in: whether the Space lets visitors sign in (``hf_oauth``).
        public: whether the page is for strangers, where somebody said so.
        zero_gpu: whether it is a ZeroGPU Space; ``gpu_bases``: slugs of what runs on its GPU.
        mcp: whether the page is an MCP server too.
        hosts: more names under which a page that is not public is asked, without ports.
        max_download: bytes of the largest file that is fetched.
        offline: whether nothing at all is fetched or asked.
        local_presets: the studio's own preset file, the only one it writes.
        clip_model: folder of a CLIP model that comparisons are scored with; None for none.
        mark: whether pictures carry the mark that says a model made them.
        sign: whether pictures are signed: ``local`` or a file of certificates (PEM); None for not.
        sign_key: file of the private key, where it is not in the certificates' own.
        trust: files of root certificates (PEM) whose signatures are called trusted.
        visitors: what each one may have where the page is public.
        workers: what runs the plans instead of the studio itself; None for nothing.
        worker_store: where a worker keeps weights that it was sent; None is below ``state``.
        aigc_producer: who China's label (GB 45438) in the mark names; None leaves it out.
    """

    model_base_path: Path
    outputs: Path
    state: Path
    preset_dirs: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    device: str = "auto"
    memory_budget: int | None = None
    dtype: Dtype | None = None
    offload: Offload | None = None
    vae_tiling: bool | None = None
    vae_slicing: bool = False
    civitai_api_key: str | None = field(default=None, repr=False)
    hf_token: str | None = field(default=None, repr=False)
    civitai_url: str = "https://civitai.com"
    download_hosts: tuple[str, ...] = ()
    hf_endpoint: str = "https://huggingface.co"
    auto_download: bool | None = None
    on_space: bool = False
    sign_in: bool = False
    public: bool | None = None
    hosts: tuple[str, ...] = ()
    max_download: int = 64_000_000_000
    offline: bool = False
    local_presets: Path = LOCAL_PRESETS
    clip_model: Path | None = None
    mark: bool = True
    aigc_producer: str | None = None
    sign: str | None = None
    sign_key: Path | None = None
    trust: tuple[Path, ...] = ()
    more_folders: tuple[Path, ...] = ()
    linked_folders: tuple[Path, ...] = ()
    whole_library: bool = True
    visitors: VisitorLimits = field(default_factory=VisitorLimits)
    index: Path | None = None
    zero_gpu: bool = False
    gpu_bases: tuple[str, ...] = ()
    mcp: bool = False
    workers: Workers | None = None
    worker_store: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str], directory: Path) -> Self:
        """Settings from ``environ`` over ``directory/.env``; relative paths start there.

        Raises:
            SettingsError: naming the variable, when a value cannot be read; or the studio was
                installed without the presets that belong to it.
        """
        if not BUILT_IN_PRESETS.is_dir():
            raise SettingsError(
                f"The built-in presets are not there: {BUILT_IN_PRESETS} is no folder.",
                "Install the studio in place, from its folder: `pip install -e .`.",
            )
        dotenv = dotenv_values(directory / ".env") if (directory / ".env").is_file() else {}
        values = {key: value for key, value in dotenv.items() if value} | {
            key: value for key, value in environ.items() if value
        }
        outputs = _path(values, "OUTPUTS", directory, "outputs")
        folders = _folders(values.get("MODEL_BASE_PATH", ""), directory) or (directory.resolve(),)
        return cls(
            model_base_path=folders[0],
            more_folders=folders[1:],
            whole_library="MODEL_BASE_PATH" in values,
            linked_folders=_folders(values.get("LINKED_FOLDERS", ""), directory),
            outputs=outputs,
            index=_path(values, "INDEX_DIR", directory, ".") if "INDEX_DIR" in values else None,
            state=_path(values, "STATE_DIR", directory, str(outputs / ".state")),
            preset_dirs=tuple(
                (directory / part).resolve()
                for part in values.get("PRESETS", "").split(":")
                if part
            ),
            # Hugging Face Spaces say where to listen through gradio's own variable.
            host=values.get("HOST", values.get("GRADIO_SERVER_NAME", "127.0.0.1")),
            port=_port(values),
            share=_flag(values, "SHARE"),
            device=values.get("DEVICE", "auto"),
            memory_budget=_gigabytes(values, "MEMORY_BUDGET_GB"),
            dtype=_choice(values, "DTYPE", Dtype),
            offload=_choice(values, "OFFLOAD", Offload),
            vae_tiling=None if _is_auto(values, "VAE_TILING") else _flag(values, "VAE_TILING"),
            vae_slicing=_flag(values, "VAE_SLICING"),
            civitai_api_key=_key(values, "CIVITAI_API_KEY"),
            hf_token=_key(values, "HF_TOKEN"),
            civitai_url=_site(values, "CIVITAI_BASE_URL", "https://civitai.com"),
            download_hosts=_listed(values, "DOWNLOAD_HOSTS"),
            hf_endpoint=_site(values, "HF_ENDPOINT", "https://huggingface.co"),
            auto_download=_flag(values, "AUTO_DOWNLOAD") if "AUTO_DOWNLOAD" in values else None,
            on_space=bool(values.get("SPACE_ID")),
            zero_gpu=_flag(values, "SPACES_ZERO_GPU"),
            gpu_bases=_listed(values, "GPU_BASES"),
            mcp=_flag(values, "MCP") or _flag(values, "GRADIO_MCP_SERVER"),
            sign_in=bool(values.get("OAUTH_CLIENT_ID") and values.get("OAUTH_CLIENT_SECRET")),
            public=_flag(values, "PUBLIC") if "PUBLIC" in values else None,
            # A Space is told its own name.
            hosts=_listed(values, "HOSTS") + _listed(values, "SPACE_HOST"),
            max_download=_gigabytes(values, "MAX_DOWNLOAD_GB") or 64_000_000_000,
            offline=_flag(values, "HF_HUB_OFFLINE"),
            local_presets=_path(values, "LOCAL_PRESETS", directory, str(LOCAL_PRESETS)),
            clip_model=_path(values, "CLIP_MODEL", directory, ".")
            if "CLIP_MODEL" in values
            else None,
            mark=_flag(values, "MARK", "1"),
            aigc_producer=values.get("AIGC_PRODUCER"),
            sign=_sign(values, directory),
            sign_key=_path(values, "SIGN_KEY", directory, ".") if "SIGN_KEY" in values else None,
            trust=_folders(values["TRUST"], directory) if "TRUST" in values else (),
            visitors=VisitorLimits(
                runs=_count(values, "VISITOR_RUNS", 3),
                work=_count(values, "VISITOR_WORK", 150),
                cells=_count(values, "VISITOR_CELLS", 24),
                upload=_count(values, "VISITOR_UPLOAD_MB", 256) * 10**6,
                loras=_count(values, "VISITOR_LORAS", 3, least=0),
                lora=_count(values, "VISITOR_LORA_MB", 256) * 10**6,
                guest_hours=_count(values, "GUEST_HOURS", 24),
                member_items=_count(values, "MEMBER_PICTURES", 1000),
            ),
            workers=_workers(values),
            worker_store=_path(values, "WORKER_STORE", directory, ".")
            if "WORKER_STORE" in values
            else None,
        )

    def __post_init__(self) -> None:
        if self.share and self.public is False:
            raise SettingsError(
                "SHARE opens the page to strangers, and PUBLIC=0 says that it is yours alone.",
                "Set one of them to the other's value.",
            )
        if self.aigc_producer is not None and not self.mark:
            raise SettingsError(
                "AIGC_PRODUCER puts a label into the mark, and MARK=0 leaves the mark out.",
                "Unset one of them.",
            )
        if self.aigc_producer is not None and not 0 < len(self.aigc_producer.strip()) <= 200:
            raise SettingsError(
                "AIGC_PRODUCER has no or more than 200 characters.",
                "Set it to the producer's name or code.",
            )

    @property
    def library_folders(self) -> tuple[Path, ...]:
        """Where weights lie; what is fetched goes into the first."""
        return (self.model_base_path, *self.more_folders)

    @property
    def is_public(self) -> bool:
        """Whether strangers can open the page: over a link, on a Space, or from the network,
        unless PUBLIC says it."""
        if self.public is not None:
            return self.public
        return self.share or self.on_space or not _is_loopback(self.host)

    @property
    def signs_in(self) -> bool:
        """Whether visitors can sign in: a Space has its own identity for it, and elsewhere the
        cookie that says who somebody is could be made by anybody."""
        return self.on_space and self.sign_in and self.is_public

    @property
    def visitors_bring(self) -> bool:
        """Whether visitors may bring LoRAs of their own; a worker would keep what it was sent."""
        return self.is_public and self.visitors.loras > 0 and self.workers is None

    @property
    def runs_may_fetch(self) -> bool:
        """Whether a run fetches what it misses; on a public page only its owner says so."""
        if self.offline:
            return False
        return not self.is_public if self.auto_download is None else self.auto_download


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _path(values: Mapping[str, str], name: str, directory: Path, default: str) -> Path:
    return (directory / Path(values.get(name, default)).expanduser()).resolve()


def _folders(text: str, directory: Path) -> tuple[Path, ...]:
    """Separated as the system separates paths."""
    parts = [part for part in text.split(os.pathsep) if part]
    return tuple(dict.fromkeys((directory / Path(part).expanduser()).resolve() for part in parts))


def _sign(values: Mapping[str, str], directory: Path) -> str | None:
    """``local`` or a file's whole path."""
    said = values.get("SIGN", "0")
    if said.lower() in ("0", "false", "no", "off"):
        return None
    return said.lower() if said.lower() == "local" else str(_path(values, "SIGN", directory, ""))


MOST_WORKERS = 64
_DEVICE = re.compile(r"cpu|cuda:\d{1,3}")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\]):\d{1,5}")


def _workers(values: Mapping[str, str]) -> Workers | None:
    """A number, devices or an address; the GPUs that are named are named once."""
    raw = values.get("WORKERS", "none").strip()
    if raw.lower() in ("none", "0"):
        return None
    if raw.isdecimal() and int(raw) <= MOST_WORKERS:
        return Workers(devices=(values.get("DEVICE", "auto"),) * int(raw))
    named = tuple(part.strip().lower() for part in raw.split(","))
    if all(_DEVICE.fullmatch(device) for device in named):
        twice = sorted({each for each in named if each != "cpu" and named.count(each) > 1})
        if twice:
            raise SettingsError(
                f"WORKERS names {twice[0]} more than once.",
                "Name each GPU once: two workers on one would hold every base twice in its memory "
                "and wait for each other.",
            )
        return Workers(devices=named)
    if raw.startswith("ray://"):
        raise SettingsError(
            f"WORKERS is {raw!r}, the port of Ray's client, which the studio does not use.",
            "Set it to the cluster's own address, as host:6379.",
        )
    if _ADDRESS.fullmatch(raw):
        return Workers(address=raw)
    raise SettingsError(
        f"WORKERS is {raw!r}.",
        f"Set it to none, a number up to {MOST_WORKERS}, devices such as cuda:0,cuda:1, or a Ray "
        "cluster's address, host:port.",
    )


def _port(values: Mapping[str, str]) -> int:
    raw = values.get("PORT", "7860")
    if not raw.isdecimal() or not 0 <= int(raw) <= 65535:
        raise SettingsError(f"PORT is {raw!r}.", "Set it to a number from 0 to 65535.")
    return int(raw)


def _site(values: Mapping[str, str], name: str, default: str) -> str:
    raw = values.get(name, default).rstrip("/")
    parts = urlsplit(raw)
    own = parts.hostname in ("localhost", "127.0.0.1", "::1")
    whole = parts.hostname and not (parts.query or parts.fragment or parts.username)
    schemes = ("https", "http") if own else ("https",)
    if not whole or parts.scheme not in schemes:
        raise SettingsError(
            f"{name} is {raw!r}.",
            "Set it to an https address; plain http, which anybody can read, is for localhost.",
        )
    return raw


def _flag(values: Mapping[str, str], name: str, default: str = "0") -> bool:
    raw = values.get(name, default).lower()
    if raw in ("1", "true", "yes", "on"):
        return True
    if raw in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{name} is {raw!r}.", "Set it to 1 or 0.")


def _key(values: Mapping[str, str], name: str) -> str | None:
    """What can stand in a header; the value is nowhere shown."""
    key = values.get(name, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise SettingsError(
            f"{name} holds a blank, a line break or a character that no key has.",
            "Copy the key again; quotes around it are not part of it.",
        )
    return key or None


def _listed(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    """What stands between commas, in small letters."""
    return tuple(part.strip().lower() for part in values.get(name, "").split(",") if part.strip())


def _is_auto(values: Mapping[str, str], name: str) -> bool:
    return values.get(name, "auto").lower() == "auto"


def _choice(values: Mapping[str, str], name: str, kind: type[Option]) -> Option | None:
    """One of ``kind``; None is automatic."""
    raw = values.get(name, "auto").lower()
    if raw == "auto":
        return None
    try:
        return kind(raw)
    except ValueError as error:
        *others, last = kind
        known = ", ".join(("auto", *others))
        raise SettingsError(f"{name} is {raw!r}.", f"Set it to {known} or {last}.") from error


def _count(values: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    raw = values.get(name, str(default))
    if not raw.isascii() or not raw.isdecimal() or not least <= int(raw) < 10**9:
        raise SettingsError(f"{name} is {raw!r}.", f"Set it to a whole number, at least {least}.")
    return int(raw)


def _gigabytes(values: Mapping[str, str], name: str) -> int | None:
    raw = values.get(name)
    if raw is None:
        return None
    try:
        amount = float(raw)
    except ValueError as error:
        raise SettingsError(f"{name} is {raw!r}.", "Set it to a number of gigabytes.") from error
    if not 0 < amount < 1e6:
        raise SettingsError(f"{name} is {raw!r}.", "Set it to a positive number of gigabytes.")
    return int(amount * 1e9)
