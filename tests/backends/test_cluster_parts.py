"""The wire, the share and the worker's store, without Ray; and that nobody imports it unasked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.backends.cluster.share import WeightShare
from studio.backends.cluster.weights import Errand, WorkerWeights
from studio.backends.cluster.wire import (
    PROTOCOL,
    Resident,
    RunOrder,
    WorkerRefused,
    hear,
    read_order,
    say,
)
from studio.backends.library import LibraryWeights
from studio.contract.events import Cancelled, Failed, Job, Loading, Progress
from studio.contract.plan import RunPlan
from studio.contract.request import ReferenceImage
from studio.engine import RunCancelled
from studio.errors import ContractBroken, SettingsError, WeightsError, WorkerError
from studio.imaging.references import References
from studio.library.downloads.errors import DownloadError, HashWrong, SizeWrong
from studio.library.preset_files import load
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.settings import Settings
from studio.settings.workers import Workers
from studio.workspace.workspace import Workspace
from tests.backends.worker_process import Folder
from tests.support.plans import make_plan


@pytest.fixture(scope="module")
def plan(tiny_base: Path, tiny_loras: dict[str, Path]) -> RunPlan:
    return make_plan(tiny_base, (tiny_loras["text"], 0.8))


def order(plan: RunPlan) -> RunOrder:
    job = Job(run_id="r", session="s", plan=plan)
    return RunOrder(delivery="r/1", fingerprint=plan.fingerprint, job=job)


def test_an_order_is_read_as_it_was_and_names_no_place(plan: RunPlan, tiny_base: Path) -> None:
    text = order(plan).text()
    assert read_order(text) == order(plan)
    assert str(tiny_base.parent) not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda sent: sent | {"protocol": PROTOCOL + 1},
        lambda sent: sent | {"fingerprint": "f" * 64},
        lambda sent: sent | {"later": 1},
        lambda sent: list(sent),
    ],
)
def test_another_order_is_refused(plan: RunPlan, change: object) -> None:
    sent = json.loads(order(plan).text())
    with pytest.raises(WorkerError):
        read_order(json.dumps(change(sent)))  # type: ignore[operator]


def test_events_come_out_as_they_went_in() -> None:
    for event in (
        Loading("r", "Loading Mini"),
        Progress("r", 0, 1, 2, 4, b"\x89PNG"),
        Progress("r", 0, 1, 3, 4, None),
        Failed("r", "code", "It broke.", "Mend it."),
        Cancelled("r"),
        WorkerRefused("r", "No.", "Ask another."),
        Resident(bases={"a": ("b",)}),
    ):
        assert hear(say(event)) == event
    with pytest.raises(WorkerError):
        hear(("song", "{}", b""))


class Library:
    """A worker's own library, and its head's; nothing is in the worker's."""

    def __init__(self, folder: Path, head: Folder, plan: RunPlan) -> None:
        settings = Settings(folder, folder, folder / "state", device="cpu")
        self.store = folder / "store"
        store = WeightStore(settings)
        stock = Stock(settings, store, *load((), None))
        nothing = References(folder / "references", lambda sha256: folder / sha256)
        library = LibraryWeights(store, stock, nothing)
        self.weights = WorkerWeights(library, store, self.store, limit=10**9)
        self.share = WeightShare("127.0.0.1", head)
        self.share.offer(plan)
        self.said: list[str] = []
        self.cancel = threading.Event()
        self.plan = plan

    def begin(self, token: str | None = None) -> WorkerWeights:
        share = self.share.share
        share = share if token is None else share.model_copy(update={"token": token})
        self.weights.begin(Errand(self.plan, share, self.cancel, self.said.append))
        return self.weights


@pytest.fixture
def library(
    tmp_path: Path, tiny_base: Path, tiny_loras: dict[str, Path], plan: RunPlan
) -> Iterator[Library]:
    made = Library(tmp_path, Folder((tiny_base, tiny_loras["text"])), plan)
    yield made
    made.share.close()


def test_weights_come_from_the_head_once(
    library: Library, plan: RunPlan, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    weights = library.begin()
    base, lora = weights.base(plan.base), weights.lora(plan.loras[0])
    assert lora.read_bytes() == tiny_loras["text"].read_bytes()
    for file in plan.base.files:
        assert (base.path / file.name).read_bytes() == (tiny_base / file.name).read_bytes()
    assert len(library.said) == len(plan.base.files) + 1
    assert not list(library.store.rglob("*.part*"))
    library.share.close()
    assert library.begin().lora(plan.loras[0]) == lora
    assert len(library.said) == len(plan.base.files) + 1


def test_a_part_is_gone_on_with(
    library: Library, plan: RunPlan, tiny_loras: dict[str, Path]
) -> None:
    library.cancel.set()
    with pytest.raises(RunCancelled):
        library.begin().lora(plan.loras[0])
    library.cancel.clear()
    place = library.begin().lora(plan.loras[0])
    assert place.read_bytes() == tiny_loras["text"].read_bytes()


def test_other_bytes_are_not_taken_in(
    library: Library, plan: RunPlan, tiny_loras: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.share, "find", lambda _sha256: tiny_loras["plain"])
    with pytest.raises((SizeWrong, HashWrong)):
        library.begin().lora(plan.loras[0])
    assert not list(library.store.rglob("*.safetensors"))


def test_nothing_is_given_out_without_the_token_or_the_plan(
    library: Library, plan: RunPlan
) -> None:
    with pytest.raises(DownloadError) as caught:
        library.begin(token="guessed").lora(plan.loras[0])
    assert "403" in caught.value.message
    other = plan.loras[0].model_copy(update={"sha256": "e" * 64})
    with pytest.raises(DownloadError) as caught:
        library.begin().lora(other)
    assert "404" in caught.value.message


def test_a_name_leads_nowhere_else(library: Library, plan: RunPlan) -> None:
    for name in ("../x", "/etc/passwd", "a/../../b", "a\\b"):
        files = (plan.base.files[0].model_copy(update={"name": name}),)
        strange = plan.base.model_copy(update={"files": files, "sha256": "d" * 64})
        with pytest.raises(WeightsError):
            library.begin().base(strange)


def test_a_reference_that_was_not_sent_is_told(library: Library) -> None:
    with pytest.raises(Exception, match="not sent"):
        library.begin().reference(ReferenceImage(sha256="a" * 64, width=1, height=1))


def test_pixels_that_are_not_the_receipts_are_refused(engine: object, tiny_base: Path) -> None:
    from studio.engine import Engine
    from tests.support.plans import make_job, pictures

    assert isinstance(engine, Engine)
    (made,) = pictures(engine, make_job(tiny_base))
    tag, text, data = say(made)
    assert hear((tag, text, data)).receipt == made.receipt  # type: ignore[union-attr]
    with pytest.raises(ContractBroken):
        hear((tag, text, bytes([data[0] ^ 1]) + data[1:]))
    with pytest.raises(ContractBroken):
        hear((tag, text, data[:-1]))


def test_workers_as_they_are_set(tmp_path: Path) -> None:
    def workers(**environ: str) -> Workers | None:
        return Settings.from_env(environ, tmp_path).workers

    assert workers() is workers(WORKERS="none") is workers(WORKERS="0") is None
    assert workers(WORKERS="2", DEVICE="cpu") == Workers(devices=("cpu", "cpu"))
    assert workers(WORKERS="cuda:0, cuda:1") == Workers(devices=("cuda:0", "cuda:1"))
    assert workers(WORKERS="head:6379") == Workers(address="head:6379")
    for wrong in ("cuda:0,cuda:0", "ray://head:10001", "many", "-1", "65", "cuda", "a:b"):
        with pytest.raises(SettingsError):
            workers(WORKERS=wrong)


def test_ray_is_not_imported_where_nobody_asked_for_workers(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from studio.settings import Settings;"
        "from studio.workspace.workspace import Workspace;"
        "import studio.cli, studio.ui.page;"
        f"w = Workspace.open(Settings.from_env({{'DEVICE': 'cpu'}}, Path({str(tmp_path)!r})));"
        "w.describe_device(); w.close();"
        "assert 'ray' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()


def test_two_workers_on_one_gpu_are_refused(tmp_path: Path) -> None:
    workers = Workers(devices=("cuda", "cuda"))
    settings = Settings(tmp_path, tmp_path / "outputs", tmp_path / "state", workers=workers)
    with pytest.raises(SettingsError, match="one GPU"):
        Workspace.open(settings)
