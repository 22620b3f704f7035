"""The studio's own presets, what a run may fetch, and what a look-up keeps."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from studio.contract.violations import OriginConflict, PromptEmpty, WeightsMissing
from studio.errors import PresetsError, StudioError
from studio.library.downloads import DownloadPlan, Fetched, Stopped
from studio.library.downloads.errors import PlaceTaken, SourceUnknown, StorageFault
from studio.library.preset_files import LocalPresets, load, read
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.library.transfers import Transfers
from studio.presets import Catalog, LoraPreset, TriggerRule
from studio.presets.catalog import memory_key
from studio.resolve.publishers import check_published
from studio.settings import Settings
from tests.library.downloads.conftest import lora_bytes, preset
from tests.support.sites import Site, serving

DATA = lora_bytes(40_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        served.publish(7, DATA)
        yield served


@pytest.fixture
def settings(site: Site, tmp_path: Path) -> Settings:
    return Settings(
        tmp_path / "models",
        tmp_path / "outputs",
        tmp_path / "state",
        civitai_url=site.url,
        hf_endpoint=site.url,
        download_hosts=(site.storage_url,),
        local_presets=tmp_path / "local.yaml",
    )


def stocked(settings: Settings, *loras: LoraPreset) -> Stock:
    return Stock(settings, WeightStore(settings), Catalog((), loras or (preset(),)))


# ---- the studio's own file


def test_an_entry_of_the_local_file_goes_over_another_visibly(tmp_path: Path) -> None:
    written = tmp_path / "presets"
    written.mkdir()
    text = "loras:\n  - {slug: ink, label: Theirs, base_architecture: sd15, path: a.safetensors}\n"
    (written / "theirs.yaml").write_text(text)
    local = LocalPresets(written / "local.yaml")
    local.put(preset(label="Mine"))
    catalog, problems = load([written], local.path)
    assert problems == ()
    assert catalog.loras["ink"].label == "Mine"
    assert catalog.local == {"ink"}
    assert catalog.overrides["ink"] == f"{written / 'theirs.yaml'}:2"
    local.remove("ink")
    catalog, _ = load([written], local.path)
    assert catalog.loras["ink"].label == "Theirs"
    assert (written / "theirs.yaml").read_text() == text


def test_what_is_written_reads_back_equal_and_short(tmp_path: Path) -> None:
    local = LocalPresets(tmp_path / "local.yaml")
    odd = preset(label="No: yes, 'quoted' – ü", notes="two\nlines", sha256="a" * 64)
    local.put(odd)
    local.put(preset(slug="other"))
    parsed = read(local.path)
    assert {lora.slug: lora for lora in parsed.loras} == {
        "ink": odd,
        "other": preset(slug="other"),
    }
    assert "negative_prompt" not in local.path.read_text()


def test_a_local_file_with_a_problem_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text("loras:\n  - {slug: broken}\n")
    with pytest.raises(PresetsError, match=r"local\.yaml"):
        LocalPresets(path).put(preset())
    assert path.read_text() == "loras:\n  - {slug: broken}\n"


def test_writers_take_turns(tmp_path: Path) -> None:
    local = LocalPresets(tmp_path / "local.yaml")
    threads = [
        threading.Thread(target=local.put, args=(preset(slug=f"ink-{n}"),)) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(local.path).loras) == 12


# ---- what a run may fetch


def missing(slug: str) -> WeightsMissing:
    return WeightsMissing(
        field=f"loras.{slug}", slug=slug, label=slug, expected_at="x", get="Fetch it."
    )


def test_a_run_fetches_only_where_nothing_else_is_wrong(settings: Settings) -> None:
    stock = stocked(settings, preset(), preset(slug="local", air=None, path="x.safetensors"))
    (found,) = stock.missing([missing("ink")])
    assert found.known is None
    assert stock.missing([missing("ink"), PromptEmpty()]) == ()
    assert stock.missing([missing("local")]) == ()
    for change in ({"auto_download": False}, {"offline": True}):
        assert stocked(replace(settings, **change)).missing([missing("ink")]) == ()  # type: ignore[arg-type]


def test_a_look_up_is_made_once_and_anew_when_the_preset_changes(
    settings: Settings, site: Site
) -> None:
    stock = stocked(settings)
    first = stock.plan_download("ink")
    asked = len(site.seen)
    assert stock.plan_download("ink") is first
    assert stock.known("ink") is first
    assert len(site.seen) == asked
    stock.catalogue.catalog = Catalog((), (preset(label="Another"),))
    assert stock.known("ink") is None
    assert stock.plan_download("ink").label == "Another"


def test_a_failed_look_up_is_kept_for_the_page_and_tried_again(settings: Settings) -> None:
    stock = stocked(replace(settings, civitai_url="http://127.0.0.1:9"))
    stock.ask_soon(["ink"])
    for _ in range(500):
        if not stock.is_asking(["ink"]):
            break
        threading.Event().wait(0.02)
    assert isinstance(stock.known("ink"), StorageFault)
    with pytest.raises(StorageFault):
        stock.plan_download("ink")


def test_a_look_up_that_ends_in_any_way_is_no_more_under_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stock = stocked(settings)

    def broken(*_: object) -> DownloadPlan:
        raise RuntimeError("a surprise")

    stock._asking.update({"ink", "gone"})
    with monkeypatch.context() as patched:
        patched.setattr(stock, "_plan", broken)
        stock._ask(["ink", "gone"])
    assert not stock.is_asking(["ink", "gone"])
    assert "RuntimeError" in str(stock.known("ink"))
    assert "a surprise" in caplog.text
    assert stock.known("gone") is None
    assert not stock._is_due("ink")
    monkeypatch.setattr("studio.library.stock.ASK_AGAIN", -1.0)
    assert stock._is_due("ink")
    assert isinstance(stock.plan_download("ink"), DownloadPlan)


def test_a_preset_without_a_path_is_found_where_its_file_was_put(
    settings: Settings, site: Site
) -> None:
    stock = stocked(settings)
    last = list(stock.fetch(stock.plan_download("ink"), threading.Event()))[-1]
    assert isinstance(last, Fetched)
    again = WeightStore(settings)
    assert again.locate(stock.preset("ink")) == last.path
    assert again.present([stock.preset("ink")]) == {"ink": True}


def test_weights_of_a_former_origin_are_not_those_of_the_new_one(
    settings: Settings, site: Site
) -> None:
    stock = stocked(settings, preset(slug="pen"))
    last = list(stock.fetch(stock.plan_download("pen"), threading.Event()))[-1]
    assert isinstance(last, Fetched)
    path = last.path.relative_to(settings.model_base_path).as_posix()
    store, edited = WeightStore(settings), preset(8, slug="pen")
    assert store.present([preset(slug="pen")]) == {"pen": True}
    assert store.present([edited]) == {"pen": False}
    kept = edited.model_copy(update={"path": path})
    weights = store.inventory([], [kept]).loras["pen"]
    (found,) = check_published(kept, weights)
    assert isinstance(found, OriginConflict)
    assert found.fetched_from.startswith("CivitAI 1000@7")
    assert found.named.endswith("1000@8")
    assert list(check_published(preset(slug="pen", path=path), weights)) == []


def test_a_pin_is_for_the_origin_that_it_was_made_with(settings: Settings) -> None:
    place = settings.model_base_path / "x.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    store = WeightStore(settings)
    first, edited = preset(path="x.safetensors"), preset(8, path="x.safetensors")
    sha256 = store.sha256(place)
    store.state.pin(memory_key(first), sha256)
    assert store.inventory([], [first]).pins == {"ink": sha256}
    inventory = store.inventory([], [edited])
    assert inventory.pins == {}
    assert "first used as urn:air:sd1:lora:civitai:1000@7" in inventory.unusable["ink"].reason
    store.state.unpin("ink")
    assert "ink" in store.inventory([], [edited]).loras


def test_what_was_hashed_while_it_came_is_not_read_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = stocked(settings)
    list(stock.fetch(stock.plan_download("ink"), threading.Event()))
    ink = stock.preset("ink")
    assert isinstance(ink, LoraPreset)
    read: list[Path] = []
    monkeypatch.setattr("studio.library.hashing.hash_file", lambda path, **_: read.append(path))
    found = WeightStore(settings).inventory([], [ink]).loras["ink"]
    assert found.file.sha256 == hashlib.sha256(DATA).hexdigest()
    assert read == []


def test_a_link_is_looked_up_once(settings: Settings, site: Site) -> None:
    plan = stocked(settings, preset(8)).wanted(f"{site.url}/models/1000?modelVersionId=7")
    assert plan.files[0].sha256 == hashlib.sha256(DATA).hexdigest()
    assert len(site.seen) == 2


def test_a_base_is_looked_up_once(settings: Settings, site: Site) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    weights = "unet/diffusion_pytorch_model.safetensors"
    site.repositories["someone/tiny"] = {
        "model_index.json": json.dumps(index).encode(),
        "unet/config.json": b"{}",
        weights: DATA,
    }
    plan = stocked(settings).wanted("someone/tiny")
    assert weights in {file.name for file in plan.files}
    assert len(site.asked("api")) == 2, "the repository, and its model_index.json"


def test_two_models_may_publish_one_name(settings: Settings, site: Site) -> None:
    second = preset(9, slug="second", air="urn:air:sd1:lora:civitai:2000@9")
    stock = stocked(settings, preset(), second)
    list(stock.fetch(stock.plan_download("ink"), threading.Event()))
    site.publish(9, lora_bytes(30_000, width=1024), model=2000)
    plan = stock.plan_download("second")
    assert plan.target == "loras/sd15/ink-9.safetensors"
    list(stock.fetch(plan, threading.Event()))
    assert stock._store.present([preset(), second]) == {"ink": True, "second": True}


def test_no_preset_is_bound_to_anothers_file_without_a_hash(
    settings: Settings, site: Site
) -> None:
    second = preset(9, slug="second", air="urn:air:sd1:lora:civitai:2000@9")
    stock = stocked(settings, preset(), second)
    for number, model in ((7, 1000), (9, 2000)):
        site.publish(number, DATA, model=model)["files"][0]["hashes"] = {}
    first = stock.plan_download("ink")
    plan = stock.plan_download("second")
    assert (first.target, plan.target) == (
        "loras/sd15/ink.safetensors",
        "loras/sd15/ink-9.safetensors",
    )
    list(stock.fetch(first, threading.Event()))
    (again,) = stock.fetch(first, threading.Event())
    assert isinstance(again, Fetched)
    assert again.already
    with pytest.raises(PlaceTaken, match="nothing shows"):
        list(stock.fetch(plan.model_copy(update={"target": first.target}), threading.Event()))
    assert stock.known("second") is None
    assert stock.plan_download("second").target == plan.target


def test_a_preset_without_a_source_cannot_be_fetched(settings: Settings) -> None:
    stock = stocked(settings, preset(air=None, path="x.safetensors"))
    assert not stock.can_fetch(stock.preset("ink"))
    with pytest.raises(SourceUnknown, match="names no place"):
        stock.plan_download("ink")


# ---- suggestions


def test_a_link_becomes_a_preset_with_everything_said(settings: Settings, site: Site) -> None:
    site.versions["7"]["settings"] = {"strength": 0.7}
    found = stocked(settings).suggest(f"{site.url}/models/1000?modelVersionId=7", {"theme": "ink"})
    new = found.preset
    assert isinstance(new, LoraPreset)
    assert (new.label, new.slug, new.theme) == ("Pen & Ink", "pen-ink", "ink")
    assert new.air == "urn:air:sd1:lora:civitai:1000@7"
    assert new.trigger is TriggerRule.REQUIRED
    assert new.settings.strength == 0.7
    assert found.said_by["theme"] == "you"
    assert found.said_by["prompt"] == "CivitAI"


def test_a_page_with_one_version_needs_no_choice(settings: Settings, site: Site) -> None:
    stock = stocked(settings)
    assert stock.suggest(f"{site.url}/models/1000", {}).preset.air.endswith("@7")  # type: ignore[union-attr]
    site.models["1000"]["modelVersions"].append({"id": 8, "name": "v2"})
    with pytest.raises(SourceUnknown, match="2 versions"):
        stock.suggest(f"{site.url}/models/1000", {})


def test_what_nobody_says_is_asked_for(settings: Settings, site: Site) -> None:
    site.versions["7"]["baseModel"] = "Other"
    stock = stocked(settings)
    link = f"{site.url}/models/1000?modelVersionId=7"
    with pytest.raises(PresetsError, match="architecture"):
        stock.suggest(link, {})
    assert stock.suggest(link, {"base_architecture": "sd15"}).preset.base_architecture == "sd15"
    with pytest.raises(PresetsError, match="slug is 'Bad Slug'"):
        stock.suggest(link, {"base_architecture": "sd15", "slug": "Bad Slug"})


def test_a_base_model_of_the_hub_becomes_a_preset(
    settings: Settings, site: Site, tiny_base: Path
) -> None:
    site.repositories["someone/tiny"] = {
        path.relative_to(tiny_base).as_posix(): path.read_bytes()
        for path in tiny_base.rglob("*")
        if path.is_file()
    }
    stock = stocked(settings)
    new = stock.suggest("someone/tiny", {}).preset
    assert (new.pipeline, new.base_architecture) == ("StableDiffusionPipeline", "sd15")  # type: ignore[union-attr]
    assert new.path == "someone/tiny"
    stock.put(new)
    plan = stock.plan_download(new.slug)
    assert plan.kind == "model"
    assert isinstance(list(stock.fetch(plan, threading.Event()))[-1], Fetched)
    assert new.slug in stock._store.inventory([new], []).bases  # type: ignore[list-item]


# ---- in the background


def test_a_background_download_ends_in_its_state(settings: Settings, site: Site) -> None:
    stock = stocked(settings)
    transfers = Transfers(stock)
    transfers.start("ink")
    transfers.start("ink")
    while transfers.are_going():
        threading.Event().wait(0.02)
    state = transfers.all()["ink"]
    assert isinstance(state.event, Fetched)
    assert isinstance(stock.known("ink"), DownloadPlan)
    assert len(site.asked("storage")) == 1
    transfers.forget("ink")
    assert transfers.all() == {}
    transfers.close()


def test_a_background_download_that_fails_says_why(settings: Settings, site: Site) -> None:
    del site.files["ink.safetensors"]
    site.answers["api:/api/v1/model-versions/7"] = []
    del site.versions["7"]
    transfers = Transfers(stocked(settings))
    transfers.start("ink")
    while transfers.are_going():
        threading.Event().wait(0.02)
    error = transfers.all()["ink"].error
    assert isinstance(error, StudioError)
    assert error.code == "not_there"
    transfers.close()


def test_a_site_that_does_not_answer_ends_with_its_cancel(settings: Settings, site: Site) -> None:
    site.is_mute = True
    transfers = Transfers(stocked(settings))
    transfers.start("ink")
    time.sleep(0.3)
    start = time.monotonic()
    transfers.cancel("ink")
    while transfers.are_going() and time.monotonic() - start < 30:
        time.sleep(0.05)
    assert time.monotonic() - start < 6
    assert transfers.all()["ink"].event == Stopped(0)
