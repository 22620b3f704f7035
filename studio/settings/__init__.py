"""The environment and .env, read once into a frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from studio.contract.limits import VisitorLimits
from studio.contract.placement import Dtype, Offload
from studio.errors import SettingsError
from studio.settings.variables import OFF, Variables
from studio.settings.workers import Workers, read_workers

BUILT_IN_PRESETS = Path(__file__).resolve().parents[2] / "presets"
LOCAL_PRESETS = BUILT_IN_PRESETS / "local.yaml"


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
        env = Variables.read(environ, directory)
        values = env.values
        outputs = env.path("OUTPUTS", "outputs")
        folders = env.folders("MODEL_BASE_PATH") or (directory.resolve(),)
        return cls(
            model_base_path=folders[0],
            more_folders=folders[1:],
            whole_library="MODEL_BASE_PATH" in values,
            linked_folders=env.folders("LINKED_FOLDERS"),
            outputs=outputs,
            index=env.optional_path("INDEX_DIR"),
            state=env.path("STATE_DIR", outputs / ".state"),
            preset_dirs=tuple(
                (directory / part).resolve()
                for part in values.get("PRESETS", "").split(":")
                if part
            ),
            # Hugging Face Spaces say where to listen through gradio's own variable.
            host=values.get("HOST", values.get("GRADIO_SERVER_NAME", "127.0.0.1")),
            port=env.port("PORT", 7860),
            share=env.flag("SHARE"),
            device=values.get("DEVICE", "auto"),
            memory_budget=env.gigabytes("MEMORY_BUDGET_GB"),
            dtype=env.choice("DTYPE", Dtype),
            offload=env.choice("OFFLOAD", Offload),
            vae_tiling=None if env.is_auto("VAE_TILING") else env.flag("VAE_TILING"),
            vae_slicing=env.flag("VAE_SLICING"),
            civitai_api_key=env.key("CIVITAI_API_KEY"),
            hf_token=env.key("HF_TOKEN"),
            civitai_url=env.site("CIVITAI_BASE_URL", "https://civitai.com"),
            download_hosts=env.listed("DOWNLOAD_HOSTS"),
            hf_endpoint=env.site("HF_ENDPOINT", "https://huggingface.co"),
            auto_download=env.optional_flag("AUTO_DOWNLOAD"),
            on_space=bool(values.get("SPACE_ID")),
            zero_gpu=env.flag("SPACES_ZERO_GPU"),
            gpu_bases=env.listed("GPU_BASES"),
            mcp=env.flag("MCP") or env.flag("GRADIO_MCP_SERVER"),
            sign_in=bool(values.get("OAUTH_CLIENT_ID") and values.get("OAUTH_CLIENT_SECRET")),
            public=env.optional_flag("PUBLIC"),
            # A Space is told its own name.
            hosts=env.listed("HOSTS") + env.listed("SPACE_HOST"),
            max_download=env.gigabytes("MAX_DOWNLOAD_GB") or 64_000_000_000,
            offline=env.flag("HF_HUB_OFFLINE"),
            local_presets=env.path("LOCAL_PRESETS", LOCAL_PRESETS),
            clip_model=env.optional_path("CLIP_MODEL"),
            mark=env.flag("MARK", default=True),
            aigc_producer=values.get("AIGC_PRODUCER"),
            sign=_sign(env),
            sign_key=env.optional_path("SIGN_KEY"),
            trust=env.folders("TRUST"),
            visitors=VisitorLimits(
                runs=env.count("VISITOR_RUNS", 3),
                work=env.count("VISITOR_WORK", 150),
                cells=env.count("VISITOR_CELLS", 24),
                upload=env.count("VISITOR_UPLOAD_MB", 256) * 10**6,
                loras=env.count("VISITOR_LORAS", 3, least=0),
                lora=env.count("VISITOR_LORA_MB", 256) * 10**6,
                guest_hours=env.count("GUEST_HOURS", 24),
                member_items=env.count("MEMBER_PICTURES", 1000),
            ),
            workers=read_workers(values),
            worker_store=env.optional_path("WORKER_STORE"),
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


def _sign(env: Variables) -> str | None:
    """``local`` or a file's whole path."""
    said = env.values.get("SIGN", "0").lower()
    if said in OFF:
        return None
    return said if said == "local" else str(env.path("SIGN", ""))
