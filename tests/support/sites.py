"""Two real HTTP servers on loopback: one is the sites' interface, the other their storage.

Other ports are other origins, so the rules between hosts are real. ``Site.files`` says how the
storage behaves for each file, ``Site.answers`` what the interface says instead of its usual.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "sesame-civitai-9f3a"
TOKEN = "hf_sesame-token-77aa"


@dataclass
class Stored:
    """A file in storage and how it is served.

    Attributes:
        breaks: bytes after which each further answer is cut by a reset; then it is whole.
        truncates: the same, but the connection ends as if all had come.
        silent_after: bytes after which nothing more comes, while the connection stays.
        pace: seconds between two blocks of ``block`` bytes.
        ranges: ``right``, ``ignored`` (200), ``shifted`` (206, other bytes), ``refused`` (416).
        sent: bytes that left, over all answers.
    """

    data: bytes
    etag: str | None = '"v1"'
    content_type: str = "application/octet-stream"
    breaks: list[int] = field(default_factory=list)
    truncates: list[int] = field(default_factory=list)
    pace: float = 0.0
    block: int = 4096
    ranges: str = "right"
    packed: bool = False
    statuses: list[int] = field(default_factory=list)
    silent_after: int | None = None
    length: bool = True
    sent: int = 0


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    host: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """What is said instead: a status, a body, more headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, value: Any, **headers: str) -> Answer:
        spelled = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status, json.dumps(value).encode(), {"Content-Type": "application/json"} | spelled
        )


class Site:
    """The state of both servers, which the tests set and read."""

    def __init__(self) -> None:
        self.api = _serve(self, "api")
        self.storage = _serve(self, "storage")
        self.seen: list[Seen] = []
        self.files: dict[str, Stored] = {}
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cards: dict[str, dict[str, Any]] = {}
        self.needs_key = False
        self.gated: set[str] = set()
        self.is_mute = False
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        return _address(self.api)

    @property
    def storage_url(self) -> str:
        return _address(self.storage)

    def fall_silent(self) -> None:
        """Until the test is over."""
        self._closing.wait(60.0)

    def close(self) -> None:
        self._closing.set()
        for server in (self.api, self.storage):
            server.shutdown()
            server.server_close()

    # CivitAI

    def publish(
        self,
        version: int,
        data: bytes,
        model: int = 1000,
        name: str = "ink.safetensors",
        **more: Any,
    ) -> dict[str, Any]:
        """A version with one file, which storage serves; returns its facts, to be changed."""
        self.files[name] = Stored(data)
        digest = hashlib.sha256(data).hexdigest()
        file = {
            "id": version * 10,
            "name": name,
            "type": "Model",
            "sizeKB": len(data) / 1024,
            "metadata": {"format": "SafeTensor"},
            "pickleScanResult": "Success",
            "virusScanResult": "Success",
            "scannedAt": "2026-01-02T03:04:05Z",
            "hashes": {"SHA256": digest.upper(), "AutoV2": digest[:10].upper()},
            "primary": True,
        }
        facts = {
            "id": version,
            "modelId": model,
            "name": "v1",
            "baseModel": "SD 1.5",
            "trainedWords": ["phrsink", "pen and ink illustration"],
            "status": "Published",
            "usageControl": "Download",
            "model": {"name": "Pen & Ink", "type": "LORA", "nsfw": False},
            "files": [file],
            "images": [{"url": "https://image.example/1.jpeg", "type": "image"}],
            **more,
        }
        self.versions[str(version)] = facts
        before = self.models.get(str(model), {"modelVersions": []})["modelVersions"]
        self.models[str(model)] = {
            "id": model,
            "allowNoCredit": False,
            "allowCommercialUse": ["Image"],
            "allowDerivatives": True,
            "allowDifferentLicense": False,
            "modelVersions": [*before, {"id": version, "name": "v1"}],
        }
        return facts

    def list_version(self, model: int, version: int, base: str, day: int, name: str = "") -> None:
        """Have the model's page list a version, in place of what it listed under that number."""
        listed = self.models[str(model)]["modelVersions"]
        listed[:] = [each for each in listed if each["id"] != version]
        date = f"2026-01-{day:02}T00:00:00.000Z"
        listed.append({"id": version, "name": name, "baseModel": base, "publishedAt": date})

    # What arrived

    def asked(self, host: str, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.host == host and path in seen.path]

    def keys_at(self, host: str) -> list[str]:
        return [
            s.headers["authorization"] for s in self.asked(host) if "authorization" in s.headers
        ]


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()
    try:
        yield site
    finally:
        site.close()


def _address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


def _serve(site: Site, host: str) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"site": site, "host": host})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site
    host: str

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._body = self.rfile.read(int(headers.get("content-length", 0)))
        self.site.seen.append(Seen(self.host, self.path, headers, self._body))
        if self.site.is_mute:
            self.site.fall_silent()
        parts = urlsplit(self.path)
        said = self._said(parts.path)
        if said is not None:
            self._send(said)
        elif self.host == "storage":
            self._stored(unquote(parts.path).removeprefix("/files/"), headers)
        else:
            self._interface(unquote(parts.path), parse_qs(parts.query), headers)

    do_HEAD = do_POST = do_GET

    def _said(self, path: str) -> Answer | None:
        """The answer a test has put in this path's place; of a list, one after the other."""
        said = self.site.answers.get(f"{self.host}:{path}")
        if isinstance(said, list):
            return said.pop(0) if said else None
        return said

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" in answer.headers:  # a lie: what is missing never comes
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _json(self, status: int, value: Any, **headers: str) -> None:
        self._send(Answer.of(status, value, **headers))

    # The interface

    def _interface(self, path: str, query: dict[str, list[str]], headers: dict[str, str]) -> None:
        if match := re.fullmatch(r"/api/v1/model-versions/(\d+)", path):
            self._json_of(self.site.versions.get(match[1]))
        elif path == "/api/v1/model-versions/by-hash":
            asked = json.loads(self._body)
            if len(asked) > 100:
                self._json(400, {"error": "Too many hashes"})
                return
            found = (self._by_hash(each) for each in asked)
            self._json(200, [each for each in found if each is not None])
        elif path == "/api/v1/models":
            asked = query["ids"][0].split(",")
            listed = [self.site.models[each] for each in asked if each in self.site.models]
            self._json(200, {"items": listed, "metadata": {}})
        elif match := re.fullmatch(r"/api/v1/models/(\d+)", path):
            self._json_of(self.site.models.get(match[1]))
        elif match := re.fullmatch(r"/api/download/models/(\d+)", path):
            self._download(match[1], query, headers)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._repository(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3], headers)
        else:
            self._json(404, {"error": "not found"})

    def _json_of(self, value: Any) -> None:
        if value is None:
            self._json(404, {"error": "Model not found"})
        else:
            self._json(200, value)

    def _by_hash(self, digest: str) -> Any:
        for facts in self.site.versions.values():
            hashes = [str(file["hashes"].get("SHA256", "")) for file in facts["files"]]
            if digest.upper() in hashes:
                return facts
        return None

    def _download(
        self, version: str, query: dict[str, list[str]], headers: dict[str, str]
    ) -> None:
        if self.site.needs_key and headers.get("authorization") != f"Bearer {KEY}":
            message = "The creator of this asset requires you to be logged in to download it"
            self._json(401, {"error": "Unauthorized", "message": message})
            return
        files = self.site.versions[version]["files"]
        wanted = query.get("fileId", [str(files[0]["id"])])[0]
        name = next(file["name"] for file in files if str(file["id"]) == wanted)
        location = f"{self.site.storage_url}/files/{name}?X-Amz-Signature=signed-secret"
        self._send(Answer(307, b"", {"Location": location}))

    # The Hub

    def _commit(self, repository: str) -> str:
        content = sorted(self.site.repositories[repository].items())
        return hashlib.sha1(repr([(n, len(d)) for n, d in content]).encode()).hexdigest()

    def _repository(self, repository: str, revision: str | None) -> None:
        if repository not in self.site.repositories:
            self._json(
                401, {"error": "Invalid username or password."}, X_Error_Code="RepoNotFound"
            )
            return
        commit = self._commit(repository)
        if revision not in (None, "main", commit):
            self._json(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
            return
        siblings = [_sibling(n, d) for n, d in self.site.repositories[repository].items()]
        card = self.site.cards.get(repository, {})
        body = {
            "id": repository,
            "sha": commit,
            "siblings": siblings,
            "cardData": card,
            "tags": [],
        }
        self._json(200, body)

    def _resolve(self, repository: str, revision: str, name: str, headers: dict[str, str]) -> None:
        files = self.site.repositories.get(repository, {})
        given = headers.get("authorization")
        if repository in self.site.gated and given != f"Bearer {TOKEN}":
            self._json(401 if given is None else 403, {}, X_Error_Code="GatedRepo")
        elif name not in files:
            self._json(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        elif _is_large(name):
            key = f"{repository}/{name}"
            self.site.files.setdefault(key, Stored(files[name]))
            location = f"{self.site.storage_url}/files/{key}?Signature=signed-secret"
            self._send(Answer(302, b"", {"Location": location}))
        else:
            self._send(Answer(200, files[name], {"Content-Type": "text/plain; charset=utf-8"}))

    # Storage

    def _stored(self, name: str, headers: dict[str, str]) -> None:
        if "authorization" in headers:
            self._send(Answer(400, b"<Error>Only one auth mechanism allowed</Error>"))
            return
        stored = self.site.files.get(name)
        if stored is None:
            self._send(Answer(404, b"<Error>NoSuchKey</Error>"))
            return
        if stored.statuses:
            self._send(Answer(stored.statuses.pop(0), b"<Error>SlowDown</Error>"))
            return
        found = self._range(stored, headers)
        if found is None:
            self._send(Answer(416, b"", {"Content-Range": f"bytes */{len(stored.data)}"}))
            return
        self._stream(stored, *found)

    def _range(self, stored: Stored, headers: dict[str, str]) -> tuple[int, int | None] | None:
        """First and last byte of the answer, of the whole file without the last.

        None where the range cannot be had.
        """
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if match is None or stored.ranges == "ignored":
            return 0, None
        if "if-range" in headers and headers["if-range"] != stored.etag:
            return 0, None
        start, last = int(match[1]), len(stored.data) - 1
        if stored.ranges == "refused" or start > last:
            return None
        if not start and not match[2]:
            return 0, None
        return start, min(int(match[2] or last), last)

    def _stream(self, stored: Stored, start: int, last: int | None) -> None:
        shown = max(0, start - 7) if stored.ranges == "shifted" and start else start
        end = len(stored.data) if last is None else last + 1
        data = gzip.compress(stored.data) if stored.packed else stored.data[shown:end]
        self.send_response(200 if last is None else 206)
        self.send_header("Content-Type", stored.content_type)
        if stored.length:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if stored.etag:
            self.send_header("ETag", stored.etag)
        if stored.packed:
            self.send_header("Content-Encoding", "gzip")
        if last is not None:
            self.send_header("Content-Range", f"bytes {shown}-{last}/{len(stored.data)}")
        self.end_headers()
        cut = stored.breaks.pop(0) if stored.breaks else None
        ends = stored.truncates.pop(0) if stored.truncates else None
        limit = cut if cut is not None else ends
        self._blocks(stored, data if limit is None else data[:limit])
        if limit is not None:
            if cut is not None:  # an RST, not a FIN
                self.connection.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            self.connection.close()
            self.close_connection = True

    def _blocks(self, stored: Stored, data: bytes) -> None:
        step = stored.block if stored.pace else max(len(data), 1)
        if stored.silent_after is not None:
            self.wfile.write(data[: stored.silent_after])
            self.wfile.flush()
            self.site.fall_silent()
        for position in range(0, len(data), step):
            self.wfile.write(data[position : position + step])
            stored.sent += len(data[position : position + step])
            self.wfile.flush()
            time.sleep(stored.pace)


def _is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    facts: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if _is_large(name):
        digest = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
    return facts
