"""A visitor's own LoRA: seen by its visitor alone, held to the limits, and gone with them."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.backends import LocalBackend
from studio.contract.events import Finished
from studio.contract.limits import VisitorLimits
from studio.contract.plan import RunPlan
from studio.contract.violations import Violation
from studio.errors import StudioError
from studio.library.downloads import Fetched
from studio.presets import LoraPreset
from studio.settings import Settings
from studio.workspace.expiry import sweep
from studio.workspace.runs import Runs
from studio.workspace.visitors import Visitor, VisitorKind
from studio.workspace.workspace import Workspace
from tests.support.made_loras import titled_lora
from tests.support.sites import TOKEN, Site, serving
from tests.workspace.test_workspace import request

ANNA = Visitor(VisitorKind.GUEST, "key of Anna's browser")
BEN = Visitor(VisitorKind.MEMBER, "4711")
HOME, AWAY = "address 192.0.2.1", "address 192.0.2.2"
LIMITS = VisitorLimits(loras=2, lora=2**20, guest_hours=1)
OWNERS = "hf_the-key-of-the-pages-owner"


@pytest.fixture(scope="module")
def ink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return titled_lora(tmp_path_factory.mktemp("own"), "Okapi")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        yield served


@pytest.fixture
def page(
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    ink: Path,
) -> Iterator[Workspace]:
    """A public page whose owner has a key for the Hub, in its settings and in its environment."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", OWNERS)
    site.repositories["someone/ink"] = {"ink.safetensors": ink.read_bytes()}
    with_page = Workspace.open(settings(tmp_path, site))
    with_page.visitors.ask(nobody)
    yield with_page
    with_page.close()


def settings(folder: Path, site: Site) -> Settings:
    return Settings(
        model_base_path=folder / "models",
        outputs=folder / "models" / "outputs",  # in the library's own folder, where scans look
        state=folder / "state",
        device="cpu",
        public=True,
        visitors=LIMITS,
        hf_token=OWNERS,
        hf_endpoint=site.url,
        download_hosts=(site.storage_url,),
    )


def nobody() -> Visitor:
    raise StudioError("Nobody asks.", "Ask.")


def brought(page: Workspace, who: Visitor, file: Path, client: str = HOME) -> LoraPreset:
    """As the page takes in what is sent."""
    own, owner = page.own_loras, page.visitors.folder(who)
    with own.arriving(owner, client) as coming:
        path = own.place_of(coming, file.name, file.stat().st_size)
        shutil.copy(file, path)
        return own.accept(coming, path)


def fetched(page: Workspace, who: Visitor, text: str, token: str | None = None) -> LoraPreset:
    with page.visitors.acting(who):
        events = page.own_loras.fetch(text, token, HOME, threading.Event())
        before = page.own_loras.mine()
        assert isinstance(list(events)[-1], Fetched)
        (came,) = [each for each in page.own_loras.mine() if each not in before]
    return came


def planned(page: Workspace, who: Visitor, slug: str) -> RunPlan | tuple[Violation, ...]:
    with page.visitors.acting(who):
        return page.plan(request(slug, base="mini", mode=Mode.LORA))


def codes(outcome: RunPlan | tuple[Violation, ...]) -> set[str]:
    assert isinstance(outcome, tuple), outcome
    return {each.code for each in outcome}


def remains(page: Workspace, preset: LoraPreset) -> list[str]:
    """What is left of a LoRA on the disk and in the state."""
    stem = str(preset.path).removesuffix(".safetensors")
    found = [path.name for path in page.settings.outputs.rglob("*") if stem in path.name]
    state = page.stock.state
    return found + [key for key in (*state.hashes(), *state.headers()) if key.endswith(stem)]


def test_its_visitor_alone_can_name_it(page: Workspace, ink: Path) -> None:
    preset = brought(page, ANNA, ink)
    plan = planned(page, ANNA, preset.slug)
    assert isinstance(plan, RunPlan)
    (use,) = plan.loras
    assert (use.sha256, use.source) == (preset.sha256, "local")
    with page.visitors.acting(ANNA):
        assert page.own_loras.mine() == (preset,)
        assert page.present()[preset.slug]
        assert page.seek(plan) == ()
    for each in (preset.slug, preset.label, str(preset.sha256), str(preset.path)):
        assert codes(planned(page, BEN, each)) == {"unknown_lora"}
    page.stock.catalogue.refresh()
    with page.visitors.acting(BEN):
        assert page.own_loras.mine() == ()
        assert preset.slug not in page.catalog.loras
        assert preset.sha256 not in {sha256 for sha256, _ in page.stock.known_hashes().values()}
        (lost,) = page.seek(plan)
        assert lost.sha256 == preset.sha256
        with pytest.raises(StudioError):
            page._weights.lora(use)
    assert preset.slug not in page.catalog.loras, "of whom nobody knows"
    assert not page.stock.can_fetch(preset)


def test_nothing_of_it_is_left_once_it_goes(page: Workspace, ink: Path) -> None:
    preset = brought(page, ANNA, ink)
    plan = planned(page, ANNA, preset.slug)
    assert isinstance(plan, RunPlan)
    assert remains(page, preset)
    with page.visitors.acting(ANNA):
        page.forget_visitor()
        (lost,) = page.seek(plan)
    assert (lost.sha256, lost.source) == (preset.sha256, "")
    assert codes(planned(page, ANNA, preset.slug)) == {"unknown_lora"}
    assert remains(page, preset) == []


def test_it_goes_when_its_visitor_has_left(
    page: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    ink: Path,
) -> None:
    annas, bens = (brought(page, each, ink) for each in (ANNA, BEN))
    own, start = page.own_loras, time.monotonic()
    monkeypatch.setattr("studio.workspace.own_loras.time.monotonic", lambda: start + 50)
    own.let_go([ANNA], 60.0)
    assert remains(page, annas)
    assert remains(page, bens), "a page is loaded anew within a moment"
    monkeypatch.setattr("studio.workspace.own_loras.time.monotonic", lambda: start + 70)
    own.let_go([ANNA], 60.0)
    for who, count in ((ANNA, 1), (BEN, 0)):
        with page.visitors.acting(who):
            assert len(own.mine()) == count
    monkeypatch.setattr("studio.workspace.own_loras.time.time", lambda: time.time_ns() / 1e9 + 4e3)
    own.let_go([ANNA], 60.0)
    assert remains(page, annas) == remains(page, bens) == []


def test_it_goes_with_its_gallery_and_with_the_studio(
    page: Workspace,
    tmp_path: Path,
    site: Site,
    ink: Path,
) -> None:
    preset = brought(page, ANNA, ink)
    again = Workspace.open(settings(tmp_path, site))
    try:
        again.own_loras.drop_leftovers()
    finally:
        again.close()
    assert remains(page, preset) == []
    old = brought(page, ANNA, ink)
    sweep(page, time.time() + 2 * 3600)
    assert remains(page, old) == []
    with page.visitors.acting(ANNA):
        assert page.own_loras.mine() == ()


def test_its_weights_leave_the_device(page: Workspace, ink: Path) -> None:
    preset, runs = brought(page, ANNA, ink), Runs(page)
    small = {"steps": 1, "width": 64, "height": 64}
    with page.visitors.acting(ANNA):
        wanted = request(preset.slug, base="mini", mode=Mode.LORA, settings=small)
        plan = page.plan(wanted)
        assert isinstance(plan, RunPlan)
        run_id = runs.submit("anna", plan)
    *_, last = runs.watch("anna", run_id)
    assert isinstance(last, Finished), last
    assert preset.sha256 in on_device(page)
    page.own_loras.drop(page.visitors.folder(ANNA))
    runs.let_go("anna")
    assert preset.sha256 not in on_device(page)


def on_device(page: Workspace) -> set[str]:
    """SHA-256 of the LoRAs in memory, once what the device was told is done."""
    backend = page._backend
    assert isinstance(backend, LocalBackend)
    held = backend._device.submit(backend._engine.resident).result()
    return {sha256 for loras in held.values() for sha256 in loras}


def test_each_limit_is_named(page: Workspace, tmp_path: Path, ink: Path) -> None:
    large = tmp_path / "large.safetensors"
    large.write_bytes(bytes(LIMITS.lora + 1))
    text = tmp_path / "notes.txt"
    text.write_text("no weights")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(ink.read_bytes()[:-7])
    for file, code, word in (
        (large, "lora_too_large", "VISITOR_LORA_MB"),
        (text, "lora_not_taken", ".safetensors"),
        (broken, "lora_not_taken", "broken"),
    ):
        with pytest.raises(StudioError, match=word) as refused:
            brought(page, ANNA, file, AWAY)  # where only what was read counts
        assert refused.value.code == code
        assert str(page.settings.outputs) not in str(refused.value)
    for who in (ANNA, BEN):  # two browsers at one address
        brought(page, who, ink)
    with pytest.raises(StudioError, match="VISITOR_LORAS") as refused:
        brought(page, ANNA, ink)
    assert refused.value.code == "too_many_loras"
    brought(page, ANNA, ink, AWAY)
    with pytest.raises(StudioError, match="VISITOR_LORAS"):
        brought(page, BEN, ink, AWAY)  # one, and the broken one
    page.own_loras.drop(page.visitors.folder(BEN))
    with pytest.raises(StudioError, match="VISITOR_LORAS"):
        brought(page, BEN, ink)
    assert not list(page.visitors.folder(BEN).glob(".loras/*"))


def test_one_from_the_hub_says_where_it_is_from(page: Workspace, site: Site, ink: Path) -> None:
    preset = fetched(page, ANNA, "hf:someone/ink/ink.safetensors")
    plan = planned(page, ANNA, preset.slug)
    assert isinstance(plan, RunPlan)
    assert plan.loras[0].source.startswith("huggingface:someone/ink/ink.safetensors")
    assert plan.loras[0].sha256 == preset.sha256
    assert site.seen
    assert site.keys_at("api") == [], "the owner's key opens nothing for a visitor"
    assert codes(planned(page, BEN, preset.slug)) == {"unknown_lora"}
    with page.visitors.acting(ANNA):
        page.forget_visitor()
        (lost,) = page.seek(plan)
    assert "someone/ink" in lost.source
    assert remains(page, preset) == []


def test_a_token_is_shown_where_it_is_needed_and_kept_nowhere(
    page: Workspace,
    site: Site,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ink: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    fetched(page, ANNA, "hf:someone/ink", TOKEN)
    assert site.keys_at("api") == []
    site.gated.add("someone/ink")
    for token in (None, "hf_of-somebody-else"):
        with pytest.raises(StudioError) as refused:
            fetched(page, ANNA, "hf:someone/ink", token)
        assert refused.value.code == "gated"
        assert ".env" not in str(refused.value)
    preset = fetched(page, ANNA, "hf:someone/ink", TOKEN)
    assert f"Bearer {TOKEN}" in site.keys_at("api")
    assert f"Bearer {OWNERS}" not in site.keys_at("api")
    plan = planned(page, ANNA, preset.slug)
    assert isinstance(plan, RunPlan)
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    kept += [caplog.text.encode(), plan.model_dump_json().encode(), repr(page.settings).encode()]
    assert not [each for each in kept if TOKEN.encode() in each]


def test_only_the_hub_is_asked_and_only_within_the_limit(
    page: Workspace, site: Site, ink: Path
) -> None:
    site.repositories["someone/large"] = {"large.safetensors": bytes(LIMITS.lora + 1)}
    for text, code in (
        ("hf:someone/large", "lora_too_large"),
        ("hf:someone/ink/none.safetensors", "not_there"),
        ("urn:air:sdxl:lora:civitai:1@2", "lora_not_taken"),
        ("https://127.0.0.1/x.safetensors", "source_unknown"),
    ):
        with pytest.raises(StudioError) as refused:
            fetched(page, ANNA, text)
        assert refused.value.code == code
        assert str(page.settings.outputs) not in str(refused.value)
    assert not site.files, "nothing of it was sent"


def test_without_visitors_nobody_brings_any(workspace: Workspace, ink: Path) -> None:
    assert not workspace.settings.visitors_bring
    everybody = workspace.stock.catalogue.catalog
    assert workspace.catalog is everybody
    with pytest.raises(StudioError):
        next(workspace.own_loras.fetch("hf:someone/ink", None, HOME, threading.Event()))
