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


class PresetsError(StudioError):
    """The studio's own preset file cannot be changed."""

    code = "presets"


class DownloadError(StudioError):
    """A file that cannot be fetched; what was there before is untouched."""

    code = "download"


class SourceUnknown(DownloadError):
    """A text that names no file on CivitAI or Hugging Face."""

    code = "source_unknown"


class Offline(DownloadError):
    """The studio was told to stay off the network."""

    code = "offline"

    def __init__(self) -> None:
        super().__init__(
            "The studio is offline: HF_HUB_OFFLINE is set.",
            "Unset it, or put the file in its place by hand.",
        )


class KeyMissing(DownloadError):
    """The site wants to know who asks, and there is no key."""

    code = "key_missing"

    def __init__(self, site: str, variable: str, where: str) -> None:
        super().__init__(
            f"{site} gives this file only to people who are logged in, and there is no key.",
            f"Make a key at {where}, write {variable}=… into .env, and start the studio again.",
        )
        self.variable = variable


class KeyRefused(DownloadError):
    """The key is wrong or expired, or does not open this file."""

    code = "key_refused"

    def __init__(self, site: str, variable: str, where: str) -> None:
        super().__init__(
            f"{site} does not accept the key in {variable} for this file.",
            f"Check at {where} that the key is valid and that your account may have the file.",
        )
        self.variable = variable


class DownloadsDisabled(DownloadError):
    """The creator does not let the file be downloaded; no key helps."""

    code = "downloads_disabled"

    def __init__(self, page: str) -> None:
        super().__init__(
            "The creator has disabled downloads of this file; no key helps.",
            f"Choose another version at {page}, or another LoRA.",
        )


class EarlyAccess(DownloadError):
    """The file is for paying members until a date."""

    code = "early_access"

    def __init__(self, page: str, deadline: str | None) -> None:
        until = f" until {deadline}" if deadline else ""
        super().__init__(
            f"This version is in early access{until}.",
            f"Wait until then, buy access at {page}, or choose an older version there.",
        )
        self.deadline = deadline


class Gated(DownloadError):
    """A repository whose licence has to be accepted first."""

    code = "gated"

    def __init__(self, repository: str, page: str, has_token: bool) -> None:
        super().__init__(
            f"{repository} is gated: its licence has to be accepted first.",
            f"Accept it at {page}"
            + (
                " with the account that HF_TOKEN belongs to."
                if has_token
                else ", make a token at https://huggingface.co/settings/tokens, and write "
                "HF_TOKEN=… into .env."
            ),
        )
        self.repository = repository


class AccessDenied(DownloadError):
    """The site refuses, for a reason of its own."""

    code = "access_denied"


class Archived(DownloadError):
    """The model is archived: its page is there, its files are not."""

    code = "archived"

    def __init__(self, page: str) -> None:
        super().__init__(
            "This model is archived; its files cannot be downloaded any more.",
            f"Look at {page} for a newer version, or put a copy of yours in its place.",
        )


class NotThere(DownloadError):
    """No such model, version, repository, revision or file."""

    code = "not_there"


class RateLimited(DownloadError):
    """Too many requests; ``retry_after`` in seconds where the site says it."""

    code = "rate_limited"

    def __init__(self, site: str, retry_after: float | None) -> None:
        when = f"in {retry_after:.0f} seconds" if retry_after is not None else "later"
        super().__init__(f"{site} is rate-limiting requests.", f"Try again {when}.")
        self.retry_after = retry_after


class StorageFault(DownloadError):
    """The site or its storage is broken or cannot be reached; ``status`` where it answered."""

    code = "storage_fault"

    def __init__(self, host: str, what: str, status: int | None = None) -> None:
        super().__init__(
            f"{host} {what}.", "Try again later; what is there already is kept and resumed."
        )
        self.host = host
        self.status = status


class UnexpectedAnswer(DownloadError):
    """The site's answer is not what its interface promises."""

    code = "unexpected_answer"


class RedirectRefused(DownloadError):
    """An answer led to an address that no weights come from."""

    code = "redirect_refused"

    def __init__(self, sender: str, goal: str) -> None:
        super().__init__(
            f"{sender} sent the download on to {goal}, where the studio fetches nothing from.",
            "If that host is the site's own storage, add it to DOWNLOAD_HOSTS.",
        )
        self.goal = goal


class NotWeights(DownloadError):
    """What came is no safetensors file, whatever its name says."""

    code = "not_weights"

    def __init__(self, name: str, found: str) -> None:
        super().__init__(
            f"What came for {name} is {found}, not weights; nothing of it was kept.",
            "Open its page in a browser: the site may ask for a login, or the file may be gone.",
        )
        self.found = found


class WrongFile(DownloadError):
    """A whole safetensors file that is not what the preset needs."""

    code = "wrong_file"


class SizeWrong(DownloadError):
    """More or fewer bytes than promised."""

    code = "size_wrong"

    def __init__(self, name: str, expected: int, found: int) -> None:
        super().__init__(
            f"{name} should have {expected:,} bytes, but {found:,} came; nothing was kept.",
            "Try again; if it stays so, the published file and its description disagree.",
        )
        self.expected = expected
        self.found = found


class HashWrong(DownloadError):
    """The bytes are not the ones that were published or pinned."""

    code = "hash_wrong"

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(
            f"{name} should have SHA-256 {expected}, but what came has {found}; nothing was kept.",
            "Try again; if it stays so, the file was replaced since: compare with its page.",
        )
        self.expected = expected
        self.found = found


class TooLarge(DownloadError):
    """Larger than MAX_DOWNLOAD_GB allows."""

    code = "too_large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} has {size / 1e9:.1f} GB, more than the {limit / 1e9:g} GB allowed.",
            "Allow more with MAX_DOWNLOAD_GB.",
        )
        self.size = size
        self.limit = limit


class DiskFull(DownloadError):
    """Not enough room where the weights belong."""

    code = "disk_full"

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        super().__init__(
            f"{needed / 1e9:.2f} GB are needed in {folder}, and {free / 1e9:.2f} GB are free.",
            "Free some space, or set MODEL_BASE_PATH to a folder on another disk.",
        )
        self.needed = needed
        self.free = free


class PlaceTaken(DownloadError):
    """Something else already lies where the weights belong."""

    code = "place_taken"
