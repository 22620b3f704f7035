"""Who may ask, what may be sent and which files are given: over HTTP on loopback."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.datastructures import Headers

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.limits import VisitorLimits
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, Overrides
from studio.settings import Settings
from studio.ui import askers, gate, launch, uploads
from studio.workspace.workspace import Workspace
from tests.support.ports import free_port

CROSS = {"Sec-Fetch-Site": "cross-site"}


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    port: int
    workspace: Workspace
    picture: Path
    app: Any

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        link = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        link.request(method, path, body, sent)
        answer = link.getresponse()
        got = answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        link.close()
        return got

    def status(self, path: Path | str, **headers: str) -> int:
        """Of the file at ``path``."""
        return self.ask("GET", f"/gradio_api/file={quote(str(path))}", **headers)[0]


@contextmanager
def served(folder: Path, **changes: object) -> Iterator[Served]:
    """A studio with one picture whose OUTPUTS is ``folder``, the folder it works in."""
    folder.mkdir()
    settings = Settings(folder, folder, folder / ".state", port=0, device="cpu")
    workspace = Workspace.open(dataclasses.replace(settings, **changes))  # type: ignore[arg-type]
    request = GenerationRequest(
        base="mini", mode=Mode.BASE, prompt="a cat", seed=1, settings=Overrides(steps=1)
    )
    plan = workspace.plan(request)
    assert isinstance(plan, RunPlan)
    last = list(workspace.run(plan, workspace.open_session(), threading.Event()))[-1]
    assert isinstance(last, Finished)
    demo = launch(workspace, prevent_thread_lock=True, quiet=True, server_port=free_port())
    try:
        yield Served(demo.server_port, workspace, last.path, demo.app)
    finally:
        demo.close()
        workspace.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("local") / "outputs") as studio:
        yield studio


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = VisitorLimits(upload=2 * uploads.LEAST)
    outputs = tmp_path_factory.mktemp("public") / "outputs"
    with served(outputs, public=True, visitors=limits) as studio:
        yield studio


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost:7860", "[::1]:7860", "LOCALHOST"])
def test_a_local_studio_answers_to_its_own_names(local: Served, name: str) -> None:
    assert local.ask("GET", "/config", Host=name)[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        *("rebind.test", "rebind.test:7860", "127.0.0.1.rebind.test", "0.0.0.0", "[::1", ""),
        *("rebind.test@127.0.0.1", "127.0.0.1/.rebind.test", "rebind.test:@localhost"),
    ],
)
def test_a_local_studio_answers_to_no_other_name(local: Served, name: str) -> None:
    for method, path in (("GET", "/config"), ("POST", "/gradio_api/call/plan"), ("GET", "/")):
        assert local.ask(method, path, b"{}", Host=name)[0] == 403
    assert local.status(local.picture, Host=name) == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Host"])
def test_what_is_forwarded_to_a_local_studio_is_refused_with_the_ways_out(
    local: Served, header: str
) -> None:
    status, body, _ = local.ask("GET", "/config", **{header: "127.0.0.1"})
    assert status == 403
    assert b"PUBLIC=1" in body
    assert b"PUBLIC=0" in body


def test_a_public_studio_answers_to_any_name(public: Served) -> None:
    assert public.ask("GET", "/config", Host="studio.example", X_Forwarded_For="1.2.3.4")[0] == 200


def names(**settings: object) -> Settings:
    return Settings(Path("/m"), Path("/o"), Path("/s"), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "headers", "answers"),
    [
        (names(public=False, host="0.0.0.0"), {"host": "192.168.1.5:7860"}, True),
        (names(public=False, host="0.0.0.0"), {"host": "rebind.test"}, False),
        (names(public=False, host="192.168.1.5"), {"host": "192.168.1.5"}, True),
        (names(public=False, host="192.168.1.5"), {"host": "192.168.1.6"}, False),
        (names(hosts=("studio.home",)), {"host": "studio.home:80"}, True),
        (
            names(public=False, hosts=("studio.home",)),
            {"host": "127.0.0.1", "x-forwarded-host": "studio.home"},
            True,
        ),
        (names(public=False), {"host": "127.0.0.1", "x-forwarded-host": "rebind.test"}, False),
        (names(on_space=True), {"host": "x.hf.space"}, True),
        (names(on_space=True, public=False, hosts=("x.hf.space",)), {"host": "y.test"}, False),
    ],
)
def test_hosts_and_public_say_who_a_studio_answers_to(
    settings: Settings, headers: dict[str, str], answers: bool
) -> None:
    if answers:
        askers.check_name(Headers(headers), settings)
    else:
        with pytest.raises(askers.RequestRefused):
            askers.check_name(Headers(headers), settings)


@pytest.mark.parametrize(
    "headers",
    [
        CROSS,
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Origin": "http://other.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_another_sites_page_sends_nothing(
    local: Served, public: Served, headers: dict[str, str]
) -> None:
    folder = uploads.folder()
    before = set(folder.rglob("*"))
    for studio in (local, public):
        for path in ("upload", "call/plan", "queue/join", "run/predict"):
            assert studio.ask("POST", f"/gradio_api/{path}", *form(b"x"), **headers)[0] == 403
    assert set(folder.rglob("*")) == before


def test_another_sites_page_neither_shows_nor_frames_anything(
    local: Served, public: Served
) -> None:
    for studio in (local, public):
        assert studio.status(studio.picture, **CROSS, Sec_Fetch_Dest="image") == 403
        framed = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        assert studio.ask("GET", "/", **CROSS, **framed)[0] == 403
        followed = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        status, _, headers = studio.ask("GET", "/", **CROSS, **followed)
        assert status == 200
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_a_space_is_shown_in_the_frame_of_its_site() -> None:
    framed = {**CROSS, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    askers.check_site("GET", Headers(framed), names(on_space=True))
    with pytest.raises(askers.RequestRefused):
        askers.check_site("POST", Headers(framed), names(on_space=True))


def form(data: bytes, name: str = "x.bin") -> tuple[bytes]:
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return (head.encode() + data + b"\r\n--b--\r\n",)


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def test_the_gallerys_files_are_given(local: Served) -> None:
    (item,) = local.workspace.gallery.query()
    assert local.status(local.picture) == 200
    assert local.status(local.workspace.gallery.thumbnail(item)) == 200
    assert local.ask("HEAD", f"/gradio_api/file={local.picture}")[0] in (200, 405)


def test_nothing_else_that_lies_in_the_outputs_is_given(local: Served) -> None:
    """OUTPUTS is here the folder that is worked in, and that models are read from."""
    outputs = local.workspace.gallery.outputs
    Image.new("RGB", (8, 8)).save(outputs / "holiday.png")
    for name in (".env", "taxes.txt", "log", "models/x.safetensors", ".state.old/hashes.sqlite"):
        (outputs / name).parent.mkdir(exist_ok=True)
        (outputs / name).write_bytes(b"secret")
    stranger = outputs / "references" / f"{'a' * 64}.png"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_bytes(b"secret")
    link = local.picture.with_name("link.png")
    link.symlink_to(local.picture)
    there = [path for path in outputs.rglob("*") if path.is_file()]
    given = {path.name for path in there if local.status(path) == 200}
    (item,) = local.workspace.gallery.query()
    thumb = local.workspace.gallery.thumbnail(item).name
    assert given <= {local.picture.name, thumb}
    assert local.picture.name in given
    spelled = (
        f"{local.picture.parent}/../.env",
        f"{outputs}//.env",
        f"{outputs}/.env\0.png",
        os.path.relpath(outputs / ".env"),
        "x" * 5000,
        f"file://{outputs}/.env",
    )
    for route in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/file/"):
        for each in spelled:
            status, body, _ = local.ask("GET", route + quote(each, safe="/"))
            assert b"secret" not in body
            assert status in (403, 404)


@pytest.fixture
def site() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that notes what it is asked."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def test_no_address_is_fetched_for_anybody(public: Served, site: tuple[int, list[str]]) -> None:
    port, asked = site
    addresses = (f"http://127.0.0.1:{port}/x.png", "http://93.184.216.34/x.png", "https://x.test/")
    for address in addresses:
        for route in ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="):
            status, body, _ = public.ask("GET", route + quote(address, safe="/:"))
            assert status in (400, 403, 404)
            assert b"gallery" in body or b"docs/api.md" in body or b"Not Found" in body
        file = {"path": address, "meta": {"_type": "gradio.FileData"}}
        sent = json.dumps({"data": [{"base": "mini", "references": [file]}]}).encode()
        for path in ("call/plan", "queue/join", "run/predict", "api/plan"):
            assert public.ask("POST", f"/gradio_api/{path}", sent)[0] == 403
    assert not asked


OPEN = {
    "/", "/config", "/theme.css", "/robots.txt", "/favicon.ico", "/manifest.json", "/openapi.json",
    "/static/{path:path}", "/assets/{path:path}", "/svelte/{path:path}", "/login",
    "/logout", "/pwa_icon", "/monitoring",
    *(
        f"/gradio_api/{name}"
        for name in (
            "user", "login_check", "token", "app_id", "info", "openapi.json", "upload",
            "upload_progress", "startup-events", "theme.css", "cancel", "reset", "queue/join",
            "queue/data", "queue/status", "component_server", "heartbeat/{session_hash}",
            "file={path_or_url:path}", "file/{path:path}", "run/{api_name}", "api/{api_name}",
            "call/{api_name}", "call/v2/{api_name}", "call/{api_name}/{event_id}",
            "custom_component/{id}/{environment}/{type}/{file_name}",
        )
    ),
}  # fmt: skip
"""What a page and its clients ask gradio for, and what does nothing for whoever asks."""


def test_every_route_of_gradio_is_used_or_closed(public: Served) -> None:
    """A route that a later gradio brings is looked at before anybody may ask it."""
    unknown = set()
    for route in public.app.routes:
        path = getattr(route, "path", "").rstrip("/") or "/"
        of = getattr(getattr(route, "endpoint", None), "__module__", "")
        if path in OPEN or of.startswith("studio."):
            continue
        filled = re.sub(r"\{[^}]*\}", "1", path)
        tried = [public.ask(method, filled, b"{}") for method in ("GET", "POST")]
        if any(status != 404 or b"docs/api.md" not in body for status, body, _ in tried):
            unknown.add(path)
    assert not unknown


def test_a_strangers_video_and_links_to_a_pages_state_are_not_taken(public: Served) -> None:
    joined = json.dumps({"data": [{}], "fn_index": 0, "session_hash": "deep"}).encode()
    sent = {"Content-Type": "application/json"}
    assert public.ask("POST", "/gradio_api/queue/join", joined, **sent)[0] == 200
    before = set(uploads.folder().rglob("*"))
    assert public.ask("GET", "/gradio_api/deep_link?session_hash=deep")[0] == 404
    video = form(b"x" * 1000, "x.mp4")
    for path in ("process_recording", "process_recording/"):
        assert public.ask("POST", f"/gradio_api/{path}", *video, **MULTIPART)[0] == 404
    assert set(uploads.folder().rglob("*")) == before


@pytest.mark.parametrize(
    ("peer", "lines", "counted"),
    [
        ("10.0.0.7", ["1.1.1.1, 2.2.2.2"], "2.2.2.2"),
        ("127.0.0.1", ["2.2.2.2:4711"], "2.2.2.2"),
        ("10.0.0.7", ["9.9.9.9", "2.2.2.2"], "2.2.2.2"),
        ("2.2.2.2", ["9.9.9.9"], "2.2.2.2"),
        ("2.2.2.2", [], "2.2.2.2"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("10.0.0.7", ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        ("10.0.0.7", ["[2001:db8:1:2::9]:80"], "2001:db8:1:2::/64"),
        ("::ffff:2.2.2.2", [], "2.2.2.2"),
        ("", ["unknown"], "unknown"),
    ],
)
def test_who_is_counted_is_not_what_a_stranger_says(
    peer: str, lines: list[str], counted: str
) -> None:
    raw = [(b"x-forwarded-for", line.encode()) for line in lines]
    assert askers.visitor(peer, Headers(raw=raw)) == counted


@pytest.mark.parametrize("path", ["/etc/hostname", "../x", "", "a\0b", "x" * 5000])
def test_a_file_that_was_not_uploaded_is_refused(local: Served, path: str) -> None:
    sent = json.dumps({"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}]]}).encode()
    assert local.ask("POST", "/gradio_api/queue/join", sent)[0] == 403


def test_what_is_sent_is_bounded(public: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    large = b'"' + b"a" * gate.MAX_CALL + b'"'
    assert public.ask("POST", "/gradio_api/call/plan", large)[0] == 413
    nested = b"[" * 100_000
    assert public.ask("POST", "/gradio_api/call/plan", nested)[0] == 400
    monkeypatch.setattr(gate, "MAX_UPLOAD", 1000)
    assert public.ask("POST", "/gradio_api/upload", *form(b"a" * 1000), **MULTIPART)[0] == 413


def test_a_visitors_uploads_are_bounded_and_go(
    public: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST", 3 * uploads.LEAST)

    def send(visitor: str) -> int:
        headers = {**MULTIPART, "X-Forwarded-For": f"9.9.9.9, {visitor}"}
        return public.ask("POST", "/gradio_api/upload", *form(b"a" * 100), **headers)[0]

    assert [send("1.1.1.1") for _ in range(3)] == [200, 200, 429]
    assert [send("2.2.2.2") for _ in range(2)] == [200, 429]
    (kept,) = (path for path in uploads.folder().rglob("x.bin"))
    os.utime(kept, (0, 0))
    assert send("3.3.3.3") == 429
    assert not kept.exists()


def test_an_upload_has_few_parts(public: Served) -> None:
    """gradio takes a thousand files in one; they are counted across the pieces of a body too."""
    one = form(b"a")[0]
    end = one.rindex(b"--b--")
    before = len(list(uploads.folder().rglob("*")))
    body = one[:end] * (gate.MAX_FILES + 1) + one[end:]
    headers = {**MULTIPART, "X-Forwarded-For": "9.9.9.9, 4.4.4.4"}
    assert public.ask("POST", "/gradio_api/upload", body, **headers)[0] == 413
    assert len(list(uploads.folder().rglob("*"))) == before
    few = one[:end] * gate.MAX_FILES + one[end:]
    status, answer, _ = public.ask("POST", "/gradio_api/upload", few, **headers)
    assert status == 200
    assert len(json.loads(answer)) == gate.MAX_FILES


@pytest.mark.parametrize("name", ["nobody", "", "x" * 60_000])
def test_nothing_is_told_for_ever_of_an_upload_that_is_none(public: Served, name: str) -> None:
    path = f"/gradio_api/upload_progress?upload_id={name}"
    assert public.ask("GET", path)[0] == 404


def test_what_is_told_of_an_upload_ends_when_it_is_broken_off(public: Served) -> None:
    link = socket.create_connection(("127.0.0.1", public.port))
    head = f"POST /gradio_api/upload?upload_id=broken HTTP/1.1\r\nHost: {public.port}\r\n"
    lines = {**MULTIPART, "Content-Length": "100000", "X-Forwarded-For": "9.9.9.9, 5.5.5.5"}
    head += "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in lines.items())
    link.sendall(head.encode() + b"\r\n" + form(b"a" * 1000)[0][:500])

    def ask() -> None:
        with suppress(IncompleteRead):  # it is cut off where it is
            public.ask("GET", "/gradio_api/upload_progress?upload_id=broken")

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(1)
    assert asking.is_alive()
    link.close()
    asking.join(30)
    assert not asking.is_alive()
