"""Why a file was not fetched; each with a stable code and the way out."""

from pathlib import Path

from studio.errors import StudioError


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
