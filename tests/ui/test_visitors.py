"""Two visitors of one public page: by every route and every event, one tries to see, change,
cancel or use up what is the other's.

The list is read from the running page: a route that is not in ``ROUTES``, or a component that
``filled`` knows no value for, fails the test until somebody says how a stranger would misuse it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import requests
from PIL import Image
from starlette.routing import BaseRoute

from studio.comparison.axes import Question
from studio.comparison.review import Judgement
from studio.contract.events import Failed
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
from studio.presets import LoraPreset
from studio.settings import Settings
from studio.ui import launch
from studio.ui.api import Api
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.sessions import Sessions
from studio.ui.tools import Tools
from studio.workspace.line import STRANGERS, RunState, Standing
from studio.workspace.reviewing import Reviewing
from studio.workspace.runs import Runs
from studio.workspace.visitors import Visitor, VisitorKind
from studio.workspace.workspace import Workspace
from tests.support.made_loras import titled_lora
from tests.support.ports import free_port
from tests.ui.conftest import PATIENCE

WAIT = PATIENCE / 1000
LONG_ENOUGH = 10.0
"""Seconds for which a run is awaited that stands in the queue."""
SECRET = "zanzibar"
"""Stands in every prompt of the one visitor, and in nothing else."""
SMALL = {"steps": 1, "width": 64, "height": 64}
ASKED = {"base": "mini", "mode": "lora", "prompt": f"{SECRET}, a rocket", "seed": 7,
         "loras": [{"slug": "pen-ink-mini"}], "settings": SMALL}  # fmt: skip
OWN = {"base": "mini", "mode": "lora", "prompt": "a rocket", "seed": 9, "settings": SMALL}
TITLE = "Okapi"
"""Of the LoRA that the owner brought, which no answer may hold."""
COMPARED = [Question.BASE_AGAINST_LORA.value, ASKED, [1.0], "", None, None, True, False]
LONG = {**ASKED, "settings": {"steps": 200}, "count": 4}
EVENTS_OF_ALL = 3
"""Those that everybody may call by name."""


@dataclass
class Browser:
    """A visitor's browser: its key, and one page."""

    url: str
    page: str
    key: str
    address: str
    patient: bool = True
    said: list[str] = field(default_factory=list)
    """Everything that it was ever answered."""

    @property
    def visitor(self) -> Visitor:
        return Visitor(VisitorKind.GUEST, f"key {self.key}")

    def event(self, index: int, data: list[Any], event_data: Any = None) -> str:
        """What an event of the page is answered with."""
        body = {"fn_index": index, "data": data, "event_data": event_data,
                "session_hash": self.page, "trigger_id": None}  # fmt: skip
        return self.ask("POST", "run/predict", json=body)

    def ask(self, method: str, path: str, **sent: Any) -> str:
        """The body of an answer, and what its headers say of a place."""
        place = path if path.startswith("/") else f"/gradio_api/{path}"
        body = bytearray()
        with self.send(method, place, allow_redirects=False, stream=True, **sent) as answer:
            with suppress(requests.exceptions.ChunkedEncodingError):  # it broke off: so far, then
                for part in answer.iter_content(None):
                    body += part
            text = f"{body.decode(errors='replace')} {answer.headers.get('location', '')}"
        self.said.append(text)
        return text

    def send(self, method: str, place: str, **sent: Any) -> requests.Response:
        named = {"X-Forwarded-For": self.address}
        return requests.request(method, f"{self.url}{place}", timeout=WAIT, headers=named, **sent)

    def queued(self, index: int, data: list[Any]) -> list[Any]:
        """What an event that waits in gradio's queue gives last, or by the end of LONG_ENOUGH."""
        join = {"fn_index": index, "data": data, "session_hash": self.page}
        asked = json.loads(self.ask("POST", "queue/join", json=join))
        given: list[Any] = []
        end = time.monotonic() + (WAIT if self.patient else LONG_ENOUGH)
        place = f"/gradio_api/queue/data?session_hash={self.page}"
        with self.send("GET", place, stream=True) as answer:
            for line in answer.iter_lines(decode_unicode=True):
                self.said.append(line)
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("event_id") == asked["event_id"] and message.get("output"):
                    given = message["output"].get("data") or given
                if time.monotonic() > end or message.get("msg") == "process_completed":
                    break
        return given


@dataclass
class Scene:
    """A page, whose pictures are looked for, and who looks."""

    workspace: Workspace
    demo: gr.Blocks
    sessions: Sessions
    runs: Runs
    owner: Browser
    thief: Browser
    picture: str = ""
    comparison: str = ""
    reference: str = ""
    run: str = ""
    lora: LoraPreset = field(init=False)
    """The owner's own."""
    edited: RunPlan = field(init=False)
    """Of a picture that was made with it."""

    @property
    def folder(self) -> Path:
        return self.workspace.visitors.folder(self.owner.visitor)

    def kept(self) -> dict[str, str]:
        """Every file of the owner that holds something → its hash."""
        waiting = (self.workspace.settings.state / "references").glob(f"{self.folder.name}-*")
        found = [*self.folder.rglob("*"), *waiting]
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
            if path.is_file() and "index.sqlite" not in path.name and ".thumbs" not in path.parts
        }

    def index(self, handler: str) -> int:
        (found,) = (n for n, fn in self.demo.fns.items() if _name(fn) == handler)
        return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("page")
    places = (folder / "models", folder / "outputs", folder / "state")
    workspace = Workspace.open(Settings(*places, port=0, device="cpu", public=True))
    opened: list[Sessions] = []
    lines: list[Runs] = []
    with pytest.MonkeyPatch.context() as patched:

        def kept(runs: Runs) -> Sessions:
            lines.append(runs)
            opened.append(Sessions(runs))
            return opened[0]

        patched.setattr("studio.ui.page.Sessions", kept)
        # Nobody watches the owner's runs here, and they are to stay.
        patched.setattr("studio.workspace.line.STRANGERS", replace(STRANGERS, alone=1e6))
        demo = launch(workspace, prevent_thread_lock=True, quiet=True, server_port=free_port())
    url = f"http://127.0.0.1:{demo.server_port}"
    found = Scene(
        workspace,
        demo,
        opened[0],
        lines[0],
        Browser(url, "page-of-the-owner", "the owner's key, which nobody knows", "192.0.2.1"),
        Browser(url, "page-of-the-thief", "the thief's key, which they know well", "192.0.2.2"),
    )
    try:
        for each in (found.owner, found.thief):
            open_page(found, each)
        make(found)
        yield found
    finally:
        demo.close()
        workspace.close()


def open_page(scene: Scene, browser: Browser) -> None:
    index = scene.index("_wire.<locals>.opened")
    data = [filled(block, "") for block in scene.demo.fns[index].inputs]
    data[0] = browser.key
    answer = browser.event(index, data)
    assert browser.key in answer, answer[:2000]


def make(scene: Scene) -> None:
    """What the owner has: a picture, a comparison, decisions, a reference, and two runs."""
    owner, workspace = scene.owner, scene.workspace
    made = owner.queued(scene.index("Api.generate"), [ASKED])[0]
    scene.picture = Path(made["images"][0]["path"]).relative_to(scene.folder).as_posix()
    compared = owner.queued(scene.index("Api.compare"), COMPARED)[0]
    assert compared["record"], compared
    with workspace.visitors.acting(owner.visitor):
        (stored,) = workspace.gallery.comparisons.stored()
        Reviewing(workspace.gallery).decide(scene.picture, Judgement.NOTE, SECRET, by=SECRET)
        scene.reference = workspace.add_reference(_drawn(scene)).sha256
    scene.comparison = stored.name
    bring(scene)


def bring(scene: Scene) -> None:
    """The owner sends a LoRA, and makes a picture with it."""
    owner, workspace = scene.owner, scene.workspace
    file = titled_lora(workspace.settings.state, TITLE)
    with workspace.visitors.acting(owner.visitor):
        given = workspace.visitors.a_pass()
    slug = owner.ask("POST", f"/own-lora?of={given}&name={file.name}", data=file.read_bytes())
    with workspace.visitors.acting(owner.visitor):
        (scene.lora,) = workspace.own_loras.mine()
        assert scene.lora.slug == slug.strip()
        assert scene.lora.label == TITLE
    asked = {**OWN, "loras": [{"slug": scene.lora.slug}]}
    made = owner.queued(scene.index("Api.generate"), [asked])[0]
    assert made["records"], made
    scene.edited = RunPlan.model_validate(made["records"][0]["plan"])


def _drawn(scene: Scene) -> Path:
    path = scene.workspace.settings.state / "drawn.png"
    Image.effect_noise((96, 96), 60).convert("RGB").save(path)
    return path


def _name(fn: Any) -> str:
    return str(getattr(fn.fn, "__qualname__", fn.fn))


# What is tried


def filled(block: Any, text: str) -> Any:
    """A value of a component that its handler may get, with ``text`` wherever one fits."""
    match type(block).__name__:
        case "Textbox" | "BrowserState" | "State" | "Api":
            return text
        case "Number" | "Slider" | "Checkbox" | "Dropdown" | "Radio":
            return block.value() if callable(block.value) else block.value
        case "UploadButton":
            return None
    raise AssertionError(f"say what a stranger would send as a {type(block).__name__}")


def by_every_event(scene: Scene) -> Iterator[str]:
    """Every event of the page, with the names of what is the owner's wherever one fits."""
    thief = scene.thief
    private = [(n, fn) for n, fn in scene.demo.fns.items() if n >= EVENTS_OF_ALL]
    for index, fn in private:
        for text in names(scene, clicks=not fn.inputs or len(fn.inputs) < 5):
            data = [filled(block, text) for block in fn.inputs]
            if _name(fn) == "_wire.<locals>.opened":
                data[0] = thief.key
            clicked = {"key": text, "names": [text], "chosen": [text], **_address(text)}
            if fn.queue:
                thief.queued(index, data)
            else:
                thief.event(index, data, clicked)
        yield f"event {index} {_name(fn)}"


def names(scene: Scene, clicks: bool) -> tuple[str, ...]:
    known = (scene.picture, scene.comparison, f"remove {scene.run}", f"add {scene.lora.slug}")
    outside = str(scene.workspace.settings.outputs / ".visitors" / "guests" / scene.picture)
    return (*known, outside) if clicks else known[:1]


def _address(text: str) -> dict[str, str]:
    return {"picture": text, "comparison": text}


def by_every_call(scene: Scene) -> Iterator[str]:
    """The endpoints that have a name: the owner's reference, and cells that were made already."""
    thief, sha256 = scene.thief, scene.reference
    reference = {"sha256": sha256, "width": 96, "height": 96}
    edit = {**ASKED, "prompt": "a rocket", "references": [reference]}
    plain = {**ASKED, "prompt": "a rocket"}
    for name in ("plan", "generate"):
        (answer,) = thief.queued(scene.index(f"Api.{name}"), [edit])
        assert answer.get("violations"), answer
        thief.ask("POST", f"run/{name}", json={"data": [plain]})
        yield f"call {name}"
    said = len(thief.said)
    answer = thief.queued(scene.index("Api.compare"), COMPARED)[0]
    del thief.said[said:]  # what they asked for themselves
    assert not any(cell["reused"] for cell in answer["record"]["cells"]), "cells of another's"
    yield "call compare"


def by_every_name(scene: Scene) -> Iterator[str]:
    """The owner's LoRA by its slug, its hash, its name and its path: to plan, generate, compare,
    find and inspect it, and to run a plan that was made with it."""
    thief, workspace, lora = scene.thief, scene.workspace, scene.lora
    with workspace.visitors.acting(scene.owner.visitor):
        path = workspace.expected_at(lora.slug)
    assert path.is_file()
    for name in (lora.slug, str(lora.sha256), lora.label, str(lora.path), str(path)):
        request = {**OWN, "loras": [{"slug": name}]}
        calls: dict[str, list[Any]] = {"plan": [request], "generate": [request]}
        calls["compare"] = [COMPARED[0], request, *COMPARED[2:]]
        for call, data in calls.items():
            (answer,) = thief.queued(scene.index(f"Api.{call}"), data)
            codes = {each["code"] for each in answer.get("violations", ())}
            assert codes & {"unknown_lora"} or answer["error"]["code"] == "request", answer
    thief.said.clear()  # they were told what they had said
    yield "a LoRA's names to plan, generate and compare"
    tools = Tools(workspace, Api(workspace, scene.runs), LoraBrowser(workspace, may_star=False))
    with workspace.visitors.acting(thief.visitor):
        found = [tools.find_loras(word) for word in ("", "quagga", TITLE, lora.slug)]
        thief.said += found
        assert json.loads(tools.inspect(lora.slug))["error"]["code"] == "presets"
    yield "a LoRA's names to the tools of agents"
    for word in ("", "quagga", TITLE, lora.slug):
        assert lora.slug not in searched(scene, thief, word)
        assert lora.slug in searched(scene, scene.owner, word)
    yield "a LoRA's names to the search of the browser"
    with workspace.visitors.acting(thief.visitor):
        (lost,) = workspace.seek(scene.edited)
        assert lost.sha256 == lora.sha256
        session = workspace.open_session()
        *_, last = workspace.run(scene.edited, session, threading.Event())
        assert isinstance(last, Failed), last
        workspace.close_session(session)
    yield "a plan with the LoRA's hash"


def searched(scene: Scene, who: Browser, words: str) -> str:
    """What the LoRA browser finds for somebody."""
    blocks = scene.demo.blocks.items()
    (browser,) = (n for n, b in blocks if hasattr(getattr(b, "look", None), "_is_server_fn"))
    data = {"query": {"architecture": "mini", "words": words}}
    called = {"component_id": browser, "fn_name": "look", "data": data}
    answer = who.ask("POST", "component_server", json={**called, "session_hash": who.page})
    assert "found" in answer, answer
    return answer


def sends(scene: Scene, path: str) -> None:
    """A LoRA for the owner's folder: without a pass, with a made-up one, with the thief's."""
    thief, own = scene.thief, scene.workspace.visitors
    with own.acting(thief.visitor):
        proof = own.a_pass().rpartition("/")[2]
    for of in ("", f"guests/{scene.folder.name}/", f"guests/{scene.folder.name}/{proof}"):
        asked = {"of": of, "name": "x.safetensors"}
        answer = thief.send("POST", path, params=asked, data=b"x" * 100)
        assert answer.status_code == 409, (of, answer.text)


def nothing(_scene: Scene, _path: str) -> None:
    """The page itself, the same for everybody: it is read, and looked through at the end."""


def read(scene: Scene, path: str) -> None:
    """As anybody; a stream of events, which has no end, is asked for and left."""
    with scene.thief.send("GET", path, stream=True, allow_redirects=False) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            scene.thief.said.append(answer.text)


def files(scene: Scene, path: str) -> None:
    """By every address that can be written down without the folder's name."""
    outputs, thief = scene.workspace.settings.outputs, scene.thief
    place = path.partition("{")[0]
    hidden = outputs / ".visitors"
    for each in (
        outputs / scene.picture,
        hidden,
        hidden / "guests",
        hidden / "guests" / scene.picture,
        hidden / "guests" / "*" / scene.picture,
        hidden / "empty" / ".." / "guests",
        outputs / "references" / f"{scene.reference}.png",
        scene.workspace.settings.state / "visitors.key",
        scene.workspace.settings.state / "references" / f"{scene.reference}.png",
        outputs / ".thumbs" / scene.picture,
    ):
        answer = thief.send("GET", f"{place}{each}")
        assert answer.status_code in (400, 403, 404), (each, answer.status_code)


def exports(scene: Scene, path: str) -> None:
    """Without a pass, with a made-up one, and with the thief's own for the owner's folder."""
    thief, own = scene.thief, scene.workspace.visitors
    with own.acting(thief.visitor):
        proof = own.a_pass().rpartition("/")[2]
    for of in (
        "",
        "guests",
        f"guests/{scene.folder.name}/",
        f"guests/{scene.folder.name}/{proof}",
    ):
        answer = thief.send("GET", path, params={"of": of})
        assert answer.status_code in (400, 409), (path, of, answer.status_code)
    with own.acting(scene.owner.visitor):
        given = own.a_pass()
    answer = thief.send("GET", path, params={"of": given})
    assert answer.status_code == 200
    assert SECRET.encode() in answer.content, "the link is the owner's, and works"


def sessions(scene: Scene, path: str) -> None:
    """What asks for a session's or an event's name: the thief has only their own."""
    thief = scene.thief
    own = {"session_hash": thief.page, "event_id": "0" * 32, "fn_index": 1}
    place = path.replace("{session_hash}", thief.page).replace("{event_id}", "0" * 32)
    place = place.replace("{api_name}", "generate")
    if path.endswith(("/cancel", "/reset", "/reset/", "/component_server", "/component_server/")):
        more = {"component_id": 1, "fn_name": "x", "data": [scene.picture]}
        thief.ask("POST", path, json={**own, **more})
    elif "heartbeat" in path or path.endswith("queue/data"):
        with thief.send("GET", place, params=own, stream=True) as answer:
            assert SECRET not in str(answer.headers)
    else:
        thief.ask("GET", place)


def uploads(scene: Scene, path: str) -> None:
    """Uploaded files are named by their content; one that is not the thief's is not taken."""
    buffer = io.BytesIO()
    Image.effect_noise((8, 8), 20).save(buffer, format="PNG")
    sent = {"files": ("picture.png", buffer.getvalue(), "image/png")}
    scene.thief.ask("POST", path, files=sent)


def posted(scene: Scene, path: str) -> None:
    """What is off, and what goes to the events that are tried one by one."""
    place = path.replace("{api_name}", "plan").replace("{event_id}", "0" * 32)
    scene.thief.ask("POST", place, json={"data": [scene.picture], "prompt": scene.picture})


Attack = Callable[[Scene, str], None]
TRIED: dict[Attack, str] = {
    sends: "/own-lora",
    exports: "/pictures.zip /records.jsonl /decisions.jsonl /decisions.csv",
    read: """
        / /config /config/ /openapi.json /logout /theme.css /robots.txt /favicon.ico
        /manifest.json /pwa_icon /monitoring /monitoring/summary /monitoring/{key}
        @/deep_link @/user @/user/ @/login_check @/login_check/ @/token @/token/ @/app_id @/app_id/
        @/runs @/runs/ @/info @/info/ @/openapi.json @/queue/status @/theme.css @/upload_progress
        @/startup-events @/dev/reload""",
    files: """
        /svelte/{path:path} /static/{path:path} /assets/{path:path} @/file={path_or_url:path}
        @/file/{path:path} @/proxy={url_path:path}""",
    nothing: "/pwa_icon/{size} @/custom_component/{id}/{environment}/{type}/{file_name}",
    sessions: """
        @/heartbeat/{session_hash} @/reset @/reset/ @/cancel @/queue/data
        @/call/{api_name}/{event_id} @/call/v2/{api_name}/{event_id}
        @/component_server @/component_server/
        @/stream/{session_hash}/{run}/{component_id}/playlist.m3u8
        @/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}
        @/stream/{session_hash}/{run}/{component_id}/playlist-file""",
    uploads: "@/upload",
    posted: """
        /login /login/ @/stream/{event_id} @/stream/{event_id}/close @/api/{api_name}
        @/api/{api_name}/ @/run/{api_name} @/run/{api_name}/ @/call/{api_name} @/call/{api_name}/
        @/call/v2/{api_name} @/call/v2/{api_name}/ @/queue/join @/process_recording
        @/vibe-edit @/vibe-edit/ @/undo-vibe-edit @/undo-vibe-edit/ @/vibe-code @/vibe-code/
        @/vibe-starter-queries @/vibe-starter-queries/""",
}
ROUTES: dict[str, Attack] = {
    path.replace("@", "/gradio_api"): attack
    for attack, listed in TRIED.items()
    for path in listed.split()
}


def paths(routes: list[BaseRoute]) -> Iterator[str]:
    """Where a page answers, as its application says."""
    for route in routes:
        if place := getattr(route, "path", None):
            yield str(place)
        if inner := getattr(route, "original_router", None):
            yield from paths(inner.routes)


def by_every_route(scene: Scene) -> Iterator[str]:
    for path in dict.fromkeys(paths(scene.demo.app.routes)):
        assert path in ROUTES, f"say how a stranger would misuse {path}"
        ROUTES[path](scene, path)
        yield f"route {path}"


def test_strangers_have_no_trials(scene: Scene) -> None:
    """A trial reads whatever file is named, and takes hours: no event and no route is of one."""
    modules = {getattr(fn.fn, "__module__", "") for fn in scene.demo.fns.values()}
    assert "studio.ui.models.events" in modules or "studio.ui.models.tab" in modules
    assert not [each for each in modules if each.startswith("studio.ui.trials")]
    assert not [each for each in paths(scene.demo.app.routes) if each.startswith("/trials")]


def test_nobody_sees_changes_cancels_or_uses_up_what_is_anothers(scene: Scene) -> None:
    before = scene.kept()
    assert {Path(scene.picture).name, Path(scene.comparison).name} < before.keys()
    assert any(scene.reference in name for name in before)
    assert "quagga.safetensors" in before
    tried = [*by_every_call(scene), *by_every_name(scene)]
    with busy_device(scene):
        start_long(scene)
        scene.run = start_long(scene)
        scene.thief.patient = False
        tried += [*by_every_route(scene), *by_every_event(scene)]
        assert [each.state for each in runs_of(scene)] == [RunState.RUNNING, RunState.WAITING]
        while scene.sessions.cancel(scene.owner.page, RunPlan):
            pass
    said = "\n".join(scene.thief.said)
    marks = {SECRET, TITLE, scene.folder.name, scene.owner.key, scene.owner.page}
    print(*tried, f"0 of {len(tried)} succeeded", sep="\n")
    assert not [mark for mark in marks if mark in said]
    assert scene.kept() == before
    assert not re.search("data:image/(png|webp|jpeg)", said), "the thief has made none to show"


@contextmanager
def busy_device(scene: Scene) -> Iterator[None]:
    """The device is with somebody else: what is asked for stays where it is."""
    done = threading.Event()
    scene.workspace._backend._device.submit(done.wait)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        done.set()


def start_long(scene: Scene) -> str:
    with scene.workspace.visitors.acting(scene.owner.visitor):
        plan = scene.workspace.plan(GenerationRequest.model_validate(LONG))
        assert isinstance(plan, RunPlan)
        return scene.sessions.submit(scene.owner.page, plan)


def runs_of(scene: Scene) -> list[Standing]:
    """How the owner's long runs stand."""
    found = scene.sessions.going(scene.owner.page, RunPlan)
    return [standing for _, standing in found]
