"""The studio's exceptions: what broke, as data, with a stable code and the way out."""

from pathlib import Path


def is_failure(error: BaseException) -> bool:
    """Whether something failed, which a thread outlives; else it is to end.

    What a library in Rust meets on a hostile file (tokenizers on a pattern that never ends) is no
    Exception to Python.
    """
    return isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime"


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


class SigningError(StudioError):
    """A signature that cannot be made."""

    code = "signing"


class HeaderError(StudioError):
    """A safetensors header that is truncated, lying, hostile or too large."""

    code = "header"

    def __init__(
        self, reason: str, way_out: str = "Fetch the file again from where it was published."
    ) -> None:
        super().__init__(f"This is not a usable safetensors file: {reason}.", way_out)
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


class WorkerError(StudioError):
    """A worker, or the cluster it is in, does not do what it is there for."""

    code = "worker"


class NoWorker(WorkerError):
    """None of the workers is of the class that a plan was resolved for."""

    code = "no_worker"


class QueueFull(StudioError):
    """As many runs wait as there may be."""

    code = "queue_full"

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(f"This run was not queued: {reason}.", way_out)


class NoSuchRun(StudioError):
    """A run that is not among its owner's, or not in the state that was meant."""

    code = "no_such_run"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no such run of yours any more: {run_id!r:.40}.", "Look again.")


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


class RecallError(StudioError):
    """A file that does not say how it was made, or says it unreadably."""

    code = "recall"


class UnusableReference(StudioError):
    """A reference image that cannot be read, or is not the one the plan names."""

    code = "reference"

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(f"The reference image cannot be used: {reason}.", way_out)
        self.reason = reason


class GalleryError(StudioError):
    """A picture or the index cannot be read or written."""

    code = "gallery"


class LockHeld(GalleryError):
    """Another process, perhaps one that was stopped, does not give a lock back."""

    code = "lock_held"

    def __init__(self, path: Path, seconds: int) -> None:
        super().__init__(
            f"Another process has held {path.name} for {seconds} seconds.",
            "End the other studio on this folder, then try again.",
        )


class RecordError(GalleryError):
    """A PNG without a record, or with one that does not parse."""

    code = "record"


class NewerRecord(RecordError):
    """A record that a later release wrote; it may well be whole."""

    code = "newer_record"

    def __init__(self, what: str, version: int, known: int) -> None:
        super().__init__(
            f"{what} was written by a newer studio: its schema version is {version}, and this "
            f"studio reads up to {known}.",
            "Update the studio, then open it again.",
        )


class LoraNotTaken(StudioError):
    """A LoRA of a visitor's own that was not taken in.

    Args:
        code: of why, where that has one.
    """

    code = "lora_not_taken"

    def __init__(self, message: str, way_out: str, code: str = code) -> None:
        super().__init__(message, way_out)
        self.code = code


class PresetsError(StudioError):
    """The studio's own preset file cannot be changed."""

    code = "presets"


class TrialError(StudioError):
    """A trial that cannot be begun, read or carried on."""

    code = "trial"
