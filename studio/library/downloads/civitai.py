"""CivitAI: what its interface says of a version, and what its refusals mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studio.library.downloads.addresses import CIVITAI_STORAGE, Allowed, CivitaiName, shown
from studio.library.downloads.civitai_answers import (
    LOOK_THERE,
    CivitaiFile,
    ListedModel,
    Version,
    choose_file,
    licence_of,
    plain,
    read_answer,
    read_listed,
)
from studio.library.downloads.errors import (
    AccessDenied,
    Archived,
    DownloadError,
    DownloadsDisabled,
    EarlyAccess,
    KeyMissing,
    KeyRefused,
    NotThere,
    RateLimited,
    SourceUnknown,
    StorageFault,
    UnexpectedAnswer,
)
from studio.library.downloads.http import Site, read_body, retry_after
from studio.library.downloads.plan import RemoteFile
from studio.presets.model_card import Published
from studio.settings import Settings

if TYPE_CHECKING:
    import requests

_PIECE = 6
"""Characters of a key that are too many to show."""


class CivitAI:
    """The interface at CIVITAI_BASE_URL."""

    def __init__(self, settings: Settings) -> None:
        self.base = settings.civitai_url
        hosts = (*CIVITAI_STORAGE, *settings.download_hosts)
        self.site = Site("CivitAI", Allowed(self.base, hosts), settings.civitai_api_key)

    @property
    def account(self) -> str:
        """Where keys are made."""
        return f"{self.base}/user/account"

    def page(self, model: object, version: object = None) -> str:
        """The address a person opens."""
        suffix = f"?modelVersionId={version}" if version else ""
        return f"{self.base}/models/{model}{suffix}"

    # Metadata

    def version(self, name: CivitaiName) -> Version:
        """What the interface says of a version.

        Raises:
            DownloadError: by its kind.
        """
        number = name.version or self._only_version(str(name.model))
        page = self.page(name.model or "?", number)
        answer = self._get(f"/api/v1/model-versions/{number}", page)
        version = read_answer(Version, answer)
        if name.model is not None and str(version.model_id) != name.model:
            raise NotThere(
                f"Version {number} belongs to model {version.model_id}, not {name.model}.",
                "Correct the AIR: copy it from the model's page.",
            )
        if version.status not in (None, "Published"):
            raise NotThere(
                f"Version {number} is not published (it is {version.status!r}).",
                f"Choose another one at {page}.",
            )
        return version

    def by_hashes(self, sha256: Sequence[str]) -> tuple[Version, ...]:
        """The published versions that have a file of one of these hashes, of which the site
        takes a hundred at a time; an entry that cannot be read is left out.

        Raises:
            DownloadError: by its kind.
        """
        asked = [each.upper() for each in sha256]
        answer = self._get("/api/v1/model-versions/by-hash", self.base, list, asked)
        return tuple(read_listed(Version, answer))

    def models(self, numbers: Sequence[int]) -> dict[int, ListedModel]:
        """What the site lists of these models, of which it takes a hundred at a time; one that it
        does not list, or unreadably, is left out.

        Raises:
            DownloadError: by its kind.
        """
        query = f"ids={','.join(map(str, numbers))}&limit=100&nsfw=true"
        answer = self._get(f"/api/v1/models?{query}", self.base)
        items = answer.get("items")
        found = read_listed(ListedModel, items if isinstance(items, list) else [])
        return {each.id: each for each in found}

    def _only_version(self, model: str) -> str:
        answer = self._get(f"/api/v1/models/{model}", self.page(model))
        versions = answer.get("modelVersions") if isinstance(answer, dict) else None
        found = [v for v in versions or () if isinstance(v, dict) and isinstance(v.get("id"), int)]
        if len(found) == 1:
            return str(found[0]["id"])
        names = ", ".join(f"{v['id']} ({plain(str(v.get('name', '')))[:40]})" for v in found[:8])
        raise SourceUnknown(
            f"The page of model {model} has {len(found)} versions: {names or 'none'}.",
            "Open the one you want and copy its link, which ends in ?modelVersionId=….",
        )

    def _licence(self, model: int) -> tuple[str, ...]:
        """The creator's conditions, a sentence each; empty where they are not told."""
        try:
            answer = self._get(f"/api/v1/models/{model}", self.page(model))
        except (NotThere, Archived):
            return ()
        return licence_of(answer) if isinstance(answer, dict) else ()

    def _get(self, path: str, page: str, kind: type = dict, sent: Any = None) -> Any:
        address = f"{self.base}{path}"
        status, answer, headers = self.site.json(address, sent)
        if status == 200:
            if not isinstance(answer, kind):
                what = "list" if kind is list else "object"
                raise UnexpectedAnswer(
                    f"{shown(address)} answered with no JSON {what}.", LOOK_THERE
                )
            return answer
        raise self.refusal(status, answer, headers, page, address)

    # Plans

    def published(
        self, version: Version, file: CivitaiFile, licence: tuple[str, ...] | None = None
    ) -> Published:
        """The facts of the file.

        Args:
            licence: asked for where it is None.
        """
        model = version.model
        hashes = {
            plain(name): value.lower()
            for name, value in file.hashes.items()
            if isinstance(value, str) and value.isalnum()
        }
        scans = {"pickle": file.pickle_scan, "virus": file.virus_scan}
        return Published(
            source="civitai",
            page=self.page(version.model_id, version.id),
            model_id=str(version.model_id),
            version=str(version.id),
            model_name=model.name,
            version_name=version.name,
            file_name=file.name,
            sha256=file.sha256,
            size=file.size,
            base_model=version.base_model,
            trained_words=tuple(word for word in version.trained_words if word),
            recommended_strength=version.recommended_strength,
            hashes=dict(sorted(hashes.items())[:12]),
            licence=self._licence(version.model_id) if licence is None else licence,
            nsfw=model.nsfw,
            preview=version.preview,
            scans={kind: result for kind, result in scans.items() if result},
            scanned_at=file.scanned_at,
        )

    def chosen(self, version: Version, file_id: str | None) -> CivitaiFile:
        """The file that would be fetched.

        Raises:
            DownloadsDisabled, Archived, SourceUnknown, WrongFile: it may not be, or which?
        """
        page = self.page(version.model_id, version.id)
        if version.usage_control not in (None, "Download"):
            raise DownloadsDisabled(page)
        if version.model.mode == "Archived":
            raise Archived(page)
        if version.model.mode == "TakenDown":
            raise NotThere("This model was taken down.", "Choose another LoRA.")
        return choose_file(version, file_id, page)

    def remote(self, version: Version, file: CivitaiFile) -> RemoteFile:
        """Where the file is; the id tells it from others of its version."""
        query = f"type={file.type.replace(' ', '%20')}&format=SafeTensor&fileId={file.id}"
        return RemoteFile(
            name=file.name,
            url=f"{self.base}/api/download/models/{version.id}?{query}",
            size=file.size,
            sha256=file.sha256,
        )

    # Refusals

    def judge(self, answer: requests.Response, page: str) -> None:
        """Raise what a download's status means."""
        status = answer.status_code
        if status in (200, 206, 416):
            return
        body: Any = None
        if self.site.allowed.is_api(answer.url) and status < 500:
            try:
                body = json.loads(read_body(answer))
            except (ValueError, RecursionError):
                body = None
        raise self.refusal(status, body, dict(answer.headers), page, answer.url)

    def refusal(
        self, status: int, body: Any, headers: dict[str, str], page: str, address: str
    ) -> DownloadError:
        """The named error of a status and what the interface said with it."""
        if not self.site.allowed.is_api(address):
            # A signed address that storage refuses: the next attempt gets a new one.
            return StorageFault(shown(address), f"refused the address it was given ({status})")
        told = _message(body)
        if status == 401:
            return self._unauthorised(told, page)
        if status == 403:
            return self._forbidden(body, told, page)
        if status == 404:
            return NotThere(
                "CivitAI does not know this version, or its storage does not answer for it.",
                f"Look at {page}; if it is there, try again later.",
            )
        if status == 410:
            return Archived(page)
        if status == 429:
            return RateLimited("CivitAI", retry_after(headers))
        if status >= 500:
            return StorageFault(shown(address), f"is out of order ({status})", status)
        return UnexpectedAnswer(f"CivitAI answered {status}{self._quoted(told)}.", LOOK_THERE)

    def _unauthorised(self, told: str, page: str) -> DownloadError:
        if "disabled" in told.lower():
            return DownloadsDisabled(page)
        if self.site.key is None:
            return KeyMissing("CivitAI", "CIVITAI_API_KEY", self.account)
        return KeyRefused("CivitAI", "CIVITAI_API_KEY", self.account)

    def _forbidden(self, body: Any, told: str, page: str) -> DownloadError:
        # Only what says so is early access: a plain 403 has other reasons.
        if isinstance(body, dict) and str(body.get("error", "")).lower() == "early access":
            deadline = body.get("deadline")
            return EarlyAccess(page, plain(deadline) if isinstance(deadline, str) else None)
        if "disabled" in told.lower():
            return DownloadsDisabled(page)
        return AccessDenied(
            f"CivitAI does not let your account have this file{self._quoted(told)}.",
            f"Look at {page} for what it asks for.",
        )

    def _quoted(self, told: str) -> str:
        """The interface's own words; never a key, or a piece of one, that it might repeat."""
        safe = "" if _repeats(self.site.key, told) else told[:200]
        return f": {safe!r}" if safe else ""


def _repeats(key: str | None, told: str) -> bool:
    if key is None:
        return False
    pieces = (key[start : start + _PIECE] for start in range(max(1, len(key) - _PIECE + 1)))
    return any(piece in told for piece in pieces)


def _message(body: Any) -> str:
    """The sentence in an error's JSON."""
    if not isinstance(body, dict):
        return ""
    texts = (body.get("message"), body.get("error"))
    return next((plain(text) for text in texts if isinstance(text, str) and text), "")
