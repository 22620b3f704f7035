"""The studio's exceptions: what broke, as data, with a stable code and the way out."""

from pathlib import Path


class StudioError(Exception):
    """Something the studio cannot do; ``code`` is stable, ``way_out`` is one sentence."""

    code = "studio"

    def __init__(self, message: str, way_out: str) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.message} {self.way_out}"


class SettingsError(StudioError):
    """An environment variable or .env line that cannot be read."""

    code = "settings"


class HeaderError(StudioError):
    """A safetensors header that is truncated, lying, hostile or too large."""

    code = "header"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"This is not a usable safetensors file: {reason}.",
            "Fetch the file again from where it was published.",
        )
        self.reason = reason


class WeightsError(StudioError):
    """Weights that changed, vanished or cannot be read between the plan and the run."""

    code = "weights"

    def __init__(self, message: str, way_out: str, path: Path | None = None) -> None:
        super().__init__(message, way_out)
        self.path = path


class EngineError(StudioError):
    """The device, a pipeline or a LoRA did not do what the plan says."""

    code = "engine"


class LoraRefused(EngineError):
    """A LoRA did not pass the gate: ``evidence`` says where, in sentences."""

    code = "lora_refused"

    def __init__(self, slug: str, evidence: tuple[str, ...], way_out: str) -> None:
        super().__init__(f"LoRA {slug!r} is refused: {' '.join(evidence)}", way_out)
        self.slug = slug
        self.evidence = evidence


class ContractBroken(EngineError):
    """The receipt does not match the plan; no image is kept."""

    code = "contract_broken"


class OutOfMemory(EngineError):
    """The device has no room left; the studio stays usable."""

    code = "out_of_memory"


class UnsupportedDtype(EngineError):
    """The device cannot compute in the plan's dtype."""

    code = "unsupported_dtype"


class DeviceError(EngineError):
    """The device is not there, or failed while it computed."""

    code = "device"


class BaseRefused(EngineError):
    """A base model's folder is not what it must be; nothing was loaded in its stead."""

    code = "base_refused"


class UnsupportedArchitecture(EngineError):
    """The engine has no pipeline for this architecture."""

    code = "unsupported_architecture"


class PictureWithheld(EngineError):
    """The base's own safety checker replaced the picture; it is not kept."""

    code = "picture_withheld"


class NotFinite(EngineError):
    """The numbers of a picture overflowed or lost their meaning; it is not kept."""

    code = "not_finite"


class PromptRefused(EngineError):
    """The prompt encoder cannot read the prompt as it is written."""

    code = "prompt_refused"


class UnusableReference(StudioError):
    """A reference image that cannot be read, or is not the one the plan names."""

    code = "reference"

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(f"The reference image cannot be used: {reason}.", way_out)
        self.reason = reason


class GalleryError(StudioError):
    """A picture or the index cannot be read or written."""

    code = "gallery"


class RecordError(GalleryError):
    """A PNG without a record, or with one that does not parse."""

    code = "record"
