"""The Hugging Face Hub: what a repository holds, through huggingface_hub, and its refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import __version__
from studio.architecture.diffusers_folder import INDEX
from studio.library.downloads.addresses import HUB_STORAGE, Allowed, HubName, shown
from studio.library.downloads.civitai_answers import plain
from studio.library.downloads.errors import (
    AccessDenied,
    DownloadError,
    Gated,
    KeyMissing,
    KeyRefused,
    NotThere,
    RateLimited,
    SourceUnknown,
    StorageFault,
    UnexpectedAnswer,
    WrongFile,
)
from studio.library.downloads.http import Site, read_body, retry_after
from studio.library.downloads.hub_layout import choose_layout
from studio.library.downloads.plan import RemoteFile
from studio.presets.model_card import Published
from studio.settings import Settings

if TYPE_CHECKING:
    import requests
    from huggingface_hub.hf_api import ModelInfo

_TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True, slots=True)
class GuestKey:
    """The key of somebody else than the studio's owner: it, or nothing, is shown to the Hub for
    them, and what the owner has is not theirs."""

    token: str | None = field(default=None, repr=False)


class Hub:
    """The Hub at HF_ENDPOINT.

    Args:
        guest: whose key is shown; None is the owner.
    """

    def __init__(self, settings: Settings, guest: GuestKey | None = None) -> None:
        self.base = settings.hf_endpoint
        self._token = settings.hf_token
        self._guest = guest
        self._hosts = (*HUB_STORAGE, *settings.download_hosts)

    @cached_property
    def token(self) -> str | None:
        """HF_TOKEN, else the one of ``hf auth login``."""
        from huggingface_hub import get_token

        if self._guest is not None:
            return self._guest.token
        return self._token or get_token()

    @cached_property
    def site(self) -> Site:
        return Site("Hugging Face", Allowed(self.base, self._hosts), self.token)

    def page(self, repository: str) -> str:
        return f"{self.base}/{repository}"

    # Metadata

    def info(self, repository: str, revision: str | None) -> ModelInfo:
        """The repository at one commit, with its files' sizes and hashes.

        Raises:
            DownloadError: by its kind.
        """
        from huggingface_hub import HfApi

        api = HfApi(
            endpoint=self.base,
            token=self.token or False,
            library_name="lora-studio",
            library_version=__version__,
        )
        with self._errors(repository):
            return api.model_info(repository, revision=revision, files_metadata=True)

    @contextmanager
    def _errors(self, repository: str) -> Iterator[None]:
        """The library's errors in the studio's words; theirs hold whole addresses."""
        from huggingface_hub import errors

        try:
            yield
        except errors.HfHubHTTPError as error:
            response = error.response
            code = response.headers.get("X-Error-Code", "")
            raise self._refusal(
                response.status_code, code, dict(response.headers), repository, self.base
            ) from None
        except (OSError, ValueError) as error:
            raise StorageFault(
                shown(self.base), f"cannot be reached ({type(error).__name__})"
            ) from None
        except Exception as error:
            # The library's transport has changed its classes before; only this one is foreign.
            if not type(error).__module__.startswith(("httpx", "httpcore")):
                raise
            raise StorageFault(
                shown(self.base), f"cannot be reached ({type(error).__name__})"
            ) from None

    def cached(self, repository: str, name: str, commit: str) -> Path | None:
        """A file that is in the library's own cache already."""
        from huggingface_hub import try_to_load_from_cache

        if self._guest is not None:
            return None
        found = try_to_load_from_cache(repository, name, revision=commit)
        return Path(found) if isinstance(found, str) else None

    # Plans

    def files(self, info: ModelInfo, name: HubName) -> tuple[tuple[RemoteFile, ...], Any]:
        """One LoRA's file: the one that is named, or the only one there is.

        Raises:
            NotThere, SourceUnknown, WrongFile: it is not there, or which?
        """
        there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        weights = [n for n in there if n.lower().endswith(".safetensors")]
        if name.file is not None and name.file not in there:
            raise NotThere(
                f"{name.repository} has no file {name.file!r} at {str(info.sha)[:12]}.",
                f"It has {_listed(weights)}.",
            )
        if name.file is None and len(weights) != 1:
            raise SourceUnknown(
                f"{name.repository} has {len(weights)} .safetensors files: {_listed(weights)}.",
                "Say which one: owner/name/file.safetensors.",
            )
        chosen = name.file or weights[0]
        if not chosen.lower().endswith(".safetensors"):
            raise WrongFile(
                f"{chosen} is no .safetensors file.", f"{name.repository} has {_listed(weights)}."
            )
        return (self._remote(info, there[chosen], chosen),), chosen

    def layout(
        self, info: ModelInfo, index: dict[str, Any], variant: str | None
    ) -> tuple[tuple[RemoteFile, ...], tuple[str, ...]]:
        """A model's files in diffusers layout, and notes about the others; asks nobody.

        Raises:
            WrongFile: it has no safetensors.
        """
        there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        chosen = choose_layout(info.id, there, index, variant)
        return tuple(self._remote(info, there[n], n) for n in chosen.files), chosen.notes

    def index(self, info: ModelInfo) -> dict[str, Any] | None:
        """``model_index.json``; None where the repository has none.

        Raises:
            DownloadError: by its kind.
        """
        from huggingface_hub import hf_hub_url

        if INDEX not in {sibling.rfilename for sibling in info.siblings or ()}:
            return None

        url = hf_hub_url(info.id, INDEX, revision=info.sha, endpoint=self.base)
        answer = self.site.open(url)
        try:
            self.judge(answer, info.id)
            index = json.loads(read_body(answer))
        except (ValueError, RecursionError):
            index = None
        finally:
            answer.close()
        if not isinstance(index, dict):
            raise UnexpectedAnswer(
                f"{INDEX} of {info.id} is not a JSON object.", "Choose another."
            )
        return index

    def _remote(self, info: ModelInfo, sibling: Any, name: str) -> RemoteFile:
        from huggingface_hub import hf_hub_url

        lfs = sibling.lfs
        return RemoteFile(
            name=name,
            url=hf_hub_url(info.id, name, revision=info.sha, endpoint=self.base),
            size=lfs.size if lfs else sibling.size,
            sha256=lfs.sha256.lower() if lfs else None,
            git_sha1=None if lfs else sibling.blob_id,
        )

    def published(self, info: ModelInfo, file_name: str, remote: RemoteFile | None) -> Published:
        """The facts of the model's card."""
        card = vars(info.card_data) if info.card_data else {}
        base = card.get("base_model")
        base = base[0] if isinstance(base, list) and base else base
        prompt = card.get("instance_prompt")
        licence = card.get("license_name") or card.get("license")
        tags = [tag for tag in info.tags or () if isinstance(tag, str)]
        return Published(
            source="huggingface",
            page=self.page(info.id),
            model_id=info.id,
            version=str(info.sha),
            model_name=info.id.split("/")[-1],
            file_name=file_name,
            sha256=remote.sha256 if remote else None,
            size=remote.size if remote else None,
            base_model=plain(base) if isinstance(base, str) else None,
            trained_words=(plain(prompt),) if isinstance(prompt, str) and prompt.strip() else (),
            licence=(plain(licence),) if isinstance(licence, str) else (),
            nsfw=True if "not-for-all-audiences" in tags else None,
        )

    # Refusals

    def judge(self, answer: requests.Response, repository: str) -> None:
        """Raise what a download's status means."""
        status = answer.status_code
        if status in (200, 206, 416):
            return
        code = answer.headers.get("X-Error-Code", "")
        raise self._refusal(status, code, dict(answer.headers), repository, answer.url)

    def _refusal(
        self, status: int, code: str, headers: dict[str, str], repository: str, address: str
    ) -> DownloadError:
        page = self.page(repository)
        if not self.site.allowed.is_api(address):
            return StorageFault(shown(address), f"refused the address it was given ({status})")
        if code == "GatedRepo":
            return Gated(repository, page, self.token is not None)
        if code == "RevisionNotFound":
            return NotThere(f"{repository} has no such revision.", f"Look at {page}.")
        if code == "EntryNotFound":
            return NotThere(f"{repository} has no such file.", f"Look at {page}.")
        if status == 429:
            return RateLimited("Hugging Face", retry_after(headers))
        if status >= 500:
            return StorageFault(shown(address), f"is out of order ({status})", status)
        if status in (401, 404):
            return self._hidden(repository, status)
        return AccessDenied(
            f"Hugging Face does not give {repository} out ({status}).", f"Look at {page}."
        )

    def _hidden(self, repository: str, status: int) -> DownloadError:
        """The Hub answers alike for a repository that is private and one that is not."""
        if status == 401 and self.token is not None:
            return KeyRefused("Hugging Face", "HF_TOKEN", _TOKENS)
        if self.token is None and status == 401:
            return KeyMissing("Hugging Face", "HF_TOKEN", _TOKENS)
        return NotThere(
            f"Hugging Face has no {repository}, or it is private.",
            "Check its name; for a private one, set HF_TOKEN.",
        )


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(plain(name) for name in names[:6]) + more
