"""Asking CivitAI by hash, against a server that speaks its interface and misbehaves; and twins."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.library import state
from studio.library.chores import Chores, adopt
from studio.library.downloads import http
from studio.library.downloads.errors import (
    Offline,
    RateLimited,
    StorageFault,
    UnexpectedAnswer,
)
from studio.library.downloads.transfer import TransferCancelled
from studio.library.identify import Identified, Stepwise
from studio.library.known_files import KnownFile, news, side_by_side
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.library.twins import Group, plain
from studio.presets import Catalog
from studio.settings import Settings
from tests.library.test_library import lora_file, wait_for
from tests.support.sites import Answer, Site, serving

BY_HASH = "api:/api/v1/model-versions/by-hash"
MODELS = "api:/api/v1/models"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        yield served


@pytest.fixture
def settings(site: Site, tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    return Settings(
        tmp_path / "models",
        tmp_path / "outputs",
        tmp_path / "state",
        civitai_url=site.url,
        local_presets=tmp_path / "local.yaml",
    )


@pytest.fixture
def root(settings: Settings) -> Path:
    return settings.model_base_path


def opened(settings: Settings) -> Stock:
    stock = Stock(settings, WeightStore(settings), Catalog((), ()))
    stock.identifying._pause = 0.01
    stock.catalogue.refresh()
    return stock


def ended(steps: Stepwise[Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def asked(stock: Stock, again: bool = False) -> dict[str, KnownFile]:
    found: Identified = ended(
        stock.identifying.run(stock.catalogue.refresh(), threading.Event(), again)
    )
    assert found.problems == []
    return {each.holding.held.path: each for each in found.known}


def publish(site: Site, place: Path, version: int, model: int = 1000, **more: Any) -> None:
    site.publish(version, place.read_bytes(), model, name=place.name, **more)
    base = more.get("baseModel", "SD 1.5")
    site.list_version(model, version, base, day=version, name=f"v{version}")


def test_names_stand_beside_what_the_file_says(settings: Settings, root: Path, site: Site) -> None:
    place = lora_file(root / "x.safetensors", 0, 768, **{"modelspec.trigger_phrase": "own word"})
    lora_file(root / "unknown.safetensors", 1)
    (root / "old.ckpt").write_bytes(b"\x80\x02")
    publish(site, place, 7, baseModel="SDXL 1.0")
    stock = opened(settings)
    found = asked(stock)
    assert {path: each.published is not None for path, each in found.items()} == {
        "x.safetensors": True,
        "unknown.safetensors": False,
    }
    rows = {what: (own, theirs) for what, own, theirs in side_by_side(found["x.safetensors"])}
    assert rows["Trigger words"] == ("own word", "phrsink, pen and ink illustration")
    assert rows["Made for"] == ("sd15", "SDXL 1.0 (the tensors say otherwise)")
    stock.catalogue.refresh()
    preset = stock.catalog.loras["x"]
    assert (preset.label, preset.prompt) == ("Pen & Ink", "phrsink, pen and ink illustration")
    assert stock.catalog.derived["x"]["prompt"] == "CivitAI"
    (entry,) = (e.entry for e in stock.catalogue.holdings if e.held.path == "x.safetensors")
    assert entry is not None
    assert ("prompt", "own word", "the file's metadata") in entry.others
    assert ("base_architecture", "sdxl", "CivitAI") in entry.others
    published = stock.published("x")
    assert published is not None
    assert published.licence
    assert not place.with_suffix(".json").exists(), "nothing is written into the library"


def test_hundreds_are_asked_in_batches_and_an_interruption_goes_on(
    settings: Settings, root: Path, site: Site
) -> None:
    for number in range(230):
        lora_file(root / f"{number}.safetensors", number)
    site.answers[BY_HASH] = [Answer.of(200, []), *[Answer(503)] * 9]
    stock = opened(settings)
    with pytest.raises(StorageFault):
        asked(stock)
    sizes = [len(json.loads(seen.body)) for seen in site.asked("api", "by-hash")]
    assert sizes == [100, 100, 100, 100, 100], "one answered, and four tries of the second"
    del site.answers[BY_HASH]
    site.seen.clear()
    assert len(asked(opened(settings))) == 230
    assert [len(json.loads(seen.body)) for seen in site.asked("api")] == [100, 30]
    site.seen.clear()
    asked(stock)
    assert site.seen == [], "what was answered is not asked again"
    asked(stock, again=True)
    assert len(site.seen) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Answer(429, b"", {"Retry-After": "0"}),
        Answer(500),
        Answer(200, b'[{"id": 7,', {"Content-Length": "5000"}),
        Answer(200, b'[{"id": 7,'),
        Answer(200, b"<html>busy</html>"),
    ],
)
def test_what_passes_is_tried_again(
    settings: Settings, root: Path, site: Site, fault: Answer
) -> None:
    publish(site, lora_file(root / "x.safetensors"), 7)
    site.answers[BY_HASH] = [fault, fault]
    assert asked(opened(settings))["x.safetensors"].published is not None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Answer(429, b"", {"Retry-After": "9999"}), RateLimited),
        (Answer(500), StorageFault),
        (Answer.of(200, {"items": 1}), UnexpectedAnswer),
        (Answer(200, b"[" * 100_000), UnexpectedAnswer),
    ],
)
def test_what_does_not_pass_is_named_soon(
    settings: Settings, root: Path, site: Site, fault: Answer, error: type[Exception]
) -> None:
    publish(site, lora_file(root / "x.safetensors"), 7)
    site.answers[BY_HASH] = fault
    with pytest.raises(error):
        asked(opened(settings))


def test_a_silent_site_is_left_when_asked_to_and_in_any_case(
    settings: Settings, root: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora_file(root / "x.safetensors")
    site.is_mute = True
    stock = opened(settings)
    chores, holdings = Chores(), stock.catalogue.holdings
    assert chores.start("ask", lambda cancel: stock.identifying.run(holdings, cancel))
    assert not chores.start("another", lambda cancel: stock.twins(cancel))
    wait_for(lambda: bool(site.seen))
    chores.cancel()
    assert chores.close(10)
    assert chores.standing is not None
    assert (chores.standing.is_going, chores.standing.result) == (False, None)
    monkeypatch.setattr(http, "READ_SECONDS", 0.1)
    with pytest.raises(StorageFault):
        asked(opened(settings))


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {"id": "x"},
        {"id": 7, "modelId": 1000, "trainedWords": 7, "files": 3},
        {"id": 7, "modelId": 1000, "files": [{"id": 1, "name": "x", "hashes": "none"}]},
        {"id": 7, "modelId": 1000, "files": [{"id": 1, "name": "x", "hashes": {"SHA256": "ab"}}]},
        {"id": 7, "modelId": 10**30, "files": []},
    ],
)
def test_a_hostile_entry_names_no_file_and_hides_no_other(
    settings: Settings, root: Path, site: Site, entry: object
) -> None:
    publish(site, lora_file(root / "x.safetensors"), 7)
    lora_file(root / "y.safetensors", 1)
    site.answers[BY_HASH] = Answer.of(200, [entry, site.versions["7"], entry])
    site.answers[MODELS] = Answer.of(200, {"items": [entry, {"id": 1000, "modelVersions": 7}]})
    found = asked(opened(settings))
    assert found["x.safetensors"].published is not None
    assert found["y.safetensors"].published is None
    assert list(news(tuple(found.values()))) == []


def test_newer_is_what_the_same_model_has_for_the_same_base(
    settings: Settings, root: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another architecture's variant, an older one and one that is there are no news."""
    for number, (version, model, base) in enumerate(
        [
            (7, 1000, "SD 1.5"),
            (8, 2000, "Flux.2 Klein 4B"),
            (9, 3000, "SD 1.5"),
            (12, 3000, "SD 1.5"),
        ]
    ):
        publish(
            site,
            lora_file(root / f"{version}.safetensors", number),
            version,
            model,
            baseModel=base,
        )
    site.list_version(1000, 20, "SDXL 1.0", day=20)
    site.list_version(1000, 3, "SD 1.5", day=3)
    site.list_version(2000, 21, "Flux.2 Klein 9B", day=21)
    found = asked(opened(settings))
    assert found["9.safetensors"].newer is not None
    assert list(news(tuple(found.values()))) == []
    site.list_version(1000, 22, "sd 1.5", day=22, name="v2")
    monkeypatch.setattr("studio.library.identify.STILL_NEW", -1.0)
    stock = opened(settings)
    (told,) = news(ended(stock.identifying.renew(stock.catalogue.holdings, threading.Event())))
    assert told.holding.held.path == "7.safetensors"
    assert told.newer is not None
    assert (told.newer.version, told.newer.name) == ("22", "v2")


def test_an_offline_studio_asks_nobody(settings: Settings, root: Path) -> None:
    lora_file(root / "x.safetensors")
    with pytest.raises(Offline):
        asked(opened(replace(settings, offline=True)))


# ---- twins


def paths(groups: tuple[Group, ...]) -> list[set[str]]:
    return [{each.held.path for each in group} for group in groups]


def test_the_same_file_the_same_tensors_and_near_names(settings: Settings, root: Path) -> None:
    ink = lora_file(root / "Ink_v1.safetensors")
    (root / "b").mkdir()
    shutil.copy(ink, root / "b/renamed.safetensors")
    lora_file(root / "retagged.safetensors", 0, note="the same tensors")
    lora_file(root / "ink-v2.safetensors", 3)
    lora_file(root / "another.safetensors", 4)
    stock = opened(settings)
    found = ended(stock.twins(threading.Event()))
    assert paths(found.same_file) == [{"Ink_v1.safetensors", "b/renamed.safetensors"}]
    assert paths(found.same_tensors) == [
        {"Ink_v1.safetensors", "b/renamed.safetensors", "retagged.safetensors"}
    ]
    assert paths(found.near_names) == [{"Ink_v1.safetensors", "ink-v2.safetensors"}]
    stop = threading.Event()
    stop.set()
    ink.write_bytes(ink.read_bytes())
    with pytest.raises(TransferCancelled):
        ended(stock.twins(stop))


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("a/Pen & Ink_v2.safetensors", "penink"),
        ("pen-ink (1).safetensors", "penink"),
        ("penink-000010.safetensors", "penink"),
        ("PenInk_fp16.safetensors", "penink"),
        ("v2.safetensors", "v2"),
        ("theme2.safetensors", "theme2"),
        ("___.safetensors", "___"),
    ],
)
def test_what_near_names_share(name: str, shared: str) -> None:
    assert plain(name) == shared


def test_presets_are_made_of_many_files_at_once(settings: Settings, root: Path) -> None:
    for number in range(3):
        lora_file(root / f"{number}.safetensors", number)
    lora_file(root / "sd2.safetensors", width=1024)
    stock = opened(settings)
    slugs = [each.entry.slug for each in stock.catalogue.holdings if each.entry]
    made = ended(adopt(stock, [*slugs, "nobody"], threading.Event()))
    assert (made.count, made.problems) == (3, ())
    assert len(stock.catalog.local) == 3
    assert stock.catalog.derived == {}, "a file has one name"


def test_a_preset_made_of_a_file_says_what_its_entry_said(settings: Settings, root: Path) -> None:
    tags = {"ss_tag_frequency": json.dumps({"10_sks": {"sks man": 9, "hat": 2}})}
    lora_file(root / "tagged.safetensors", 0, 768, **tags)
    lora_file(root / "phrase.safetensors", 1, 768, **{"modelspec.trigger_phrase": "blu3 ink"})
    slider = lora_file(root / "slider.safetensors", 2)
    slider.with_suffix(".metadata.json").write_text('{"usage_tips": {"strength": -1.5}}')
    stock = opened(settings)
    before = dict(stock.catalog.loras)
    assert before["slider"].settings.strength == -1.5
    ended(adopt(stock, [*before], threading.Event()))
    said = {"label", "prompt", "negative_prompt", "settings", "notes", "base_architecture"}
    for slug, preset in before.items():
        assert stock.preset(slug).model_dump(include=said) == preset.model_dump(include=said)
    assert stock.catalog.local == before.keys() == {"tagged", "phrase", "slider"}


def test_presets_of_one_path_in_two_folders_name_their_own_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", 0)
    places = settings.model_base_path / "ink.safetensors", tmp_path / "disk2/ink.safetensors"
    for number, place in enumerate(places):
        lora_file(place, number)
    stock = opened(replace(settings, more_folders=(tmp_path / "disk2",)))
    ended(adopt(stock, ["ink", "ink-2"], threading.Event()))
    assert [stock.locate(slug) for slug in ("ink", "ink-2")] == [*places]
    assert [each.entry for each in stock.catalogue.holdings] == [None, None], "each has its preset"
