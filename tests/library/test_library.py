"""The folder is the library: files that no preset names can be used, and are followed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.origin import Origin
from studio.contract.violations import HashMismatch
from studio.engine.tiny import build_tiny
from studio.library import state
from studio.library.catalogue import Catalogue, Holding
from studio.library.preset_files import LocalPresets
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, TriggerRule
from studio.settings import BUILT_IN_PRESETS, Settings
from tests.support.studios import TinyStudio

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def lora_file(path: Path, seed: int = 0, width: int = 768, **metadata: str) -> Path:
    """A small whole LoRA of SD 1.5 (768) or SD 2 (1024) whose bytes follow ``seed``."""
    shapes = {f"{NAME}.lora_down.weight": (1, width), f"{NAME}.lora_up.weight": (320, 1)}
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, (rows, columns) in shapes.items():
        start, end = end, end + 4 * rows * columns
        header[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<f", seed) * (end // 4))
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "models").mkdir()
    return Settings(
        tmp_path / "models",
        tmp_path / "outputs",
        tmp_path / "state",
        local_presets=tmp_path / "local.yaml",
    )


@pytest.fixture
def root(settings: Settings) -> Path:
    return settings.model_base_path


def opened(settings: Settings) -> Catalogue:
    return Catalogue(settings, WeightStore(settings), Catalog((), ()), ())


def by_path(holdings: tuple[Holding, ...]) -> dict[str, Holding]:
    return {each.held.path: each for each in holdings}


def slugs(catalogue: Catalogue) -> dict[str, str]:
    return {each.held.path: each.entry.slug for each in catalogue.refresh() if each.entry}


# ---- what a file becomes


def test_a_lora_becomes_an_entry_whose_values_say_who_said_them(
    settings: Settings, root: Path
) -> None:
    named = {"modelspec.title": "Blue  Ink", "modelspec.trigger_phrase": "blu3 ink"}
    lora_file(root / "a/plain Name.safetensors")
    lora_file(root / "a/b/x.safetensors", 1, 768, **named)
    tags = {"ss_tag_frequency": json.dumps({"10_sks": {"sks man": 9, "hat": 2}})}
    lora_file(root / "tagged.safetensors", 2, 768, **tags)
    catalogue = opened(settings)
    found = by_path(catalogue.refresh())
    plain, title = found["a/plain Name.safetensors"].entry, found["a/b/x.safetensors"].entry
    assert plain is not None
    assert title is not None
    loras = catalogue.catalog.loras
    assert loras.keys() == {"plain-name", "x", "tagged"}
    assert (loras["plain-name"].label, loras["plain-name"].trigger) == (
        "plain Name",
        TriggerRule.NONE,
    )
    assert (loras["x"].label, loras["x"].prompt) == ("Blue Ink", "blu3 ink")
    assert loras["x"].trigger is TriggerRule.OPTIONAL
    assert loras["tagged"].prompt == "sks man"
    assert catalogue.catalog.derived["x"] == {
        "label": "the file's metadata",
        "base_architecture": "the file's tensors",
        "prompt": "the file's metadata",
    }
    assert plain.said_by["label"] == "the file's name"


def test_what_cannot_be_used_is_listed_with_the_reason_and_never_offered(
    settings: Settings, root: Path
) -> None:
    lora_file(root / "sd2.safetensors", width=1024)
    (root / "old.ckpt").write_bytes(b"\x80\x02")
    (root / "cut.safetensors").write_bytes(b"<html>" * 10)
    odd = os.fsdecode(b"odd\xff.safetensors")
    lora_file(root / odd, 5)
    (root / "strange").mkdir()
    (root / "strange/model_index.json").write_text('{"_class_name": "WanPipeline"}')
    catalogue = opened(settings)
    found = by_path(catalogue.refresh())
    assert (catalogue.catalog.loras, catalogue.catalog.models) == ({}, {})
    reasons = {path: each.entry.reason for path, each in found.items() if each.entry}
    assert reasons.keys() == {"sd2.safetensors", "old.ckpt", "cut.safetensors", odd, "strange"}
    assert "Stable Diffusion 2" in reasons["sd2.safetensors"]
    assert "pickle" in reasons["old.ckpt"]
    assert "WanPipeline" in reasons["strange"]
    assert all(reasons.values())


def test_several_folders_and_the_same_path_in_both(settings: Settings, tmp_path: Path) -> None:
    second = tmp_path / "disk2"
    one = lora_file(settings.model_base_path / "loras/ink.safetensors")
    two = lora_file(second / "loras/ink.safetensors", 1)
    store = WeightStore(replace(settings, more_folders=(second,)))
    catalogue = Catalogue(replace(settings, more_folders=(second,)), store, Catalog((), ()), ())
    catalogue.refresh()
    loras = catalogue.catalog.loras
    assert {slug: store.locate(preset) for slug, preset in loras.items()} == {
        "ink": one,
        "ink-2": two,
    }
    inventory = store.inventory([], list(loras.values()))
    assert inventory.loras["ink-2"].path == two
    assert store.present(loras.values()) == {"ink": True, "ink-2": True}
    preset = LoraPreset(
        slug="mine", label="m", base_architecture="sd15", path="only.safetensors", trigger="none"
    )
    only = lora_file(second / "only.safetensors", 2)
    assert store.locate(preset) == only


def test_the_settings_name_several_folders(tmp_path: Path) -> None:
    text = os.pathsep.join(["a", str(tmp_path / "b"), "a"])
    found = Settings.from_env({"MODEL_BASE_PATH": text}, tmp_path)
    assert found.library_folders == (tmp_path / "a", tmp_path / "b")
    assert found.whole_library
    assert not Settings.from_env({}, tmp_path).whole_library


def test_a_folder_that_nobody_chose_is_not_looked_through(settings: Settings, root: Path) -> None:
    lora_file(root / "private/x.safetensors")
    lora_file(root / "models/Lora/y.safetensors", 1)
    assert slugs(opened(replace(settings, whole_library=False))) == {
        "models/Lora/y.safetensors": "y"
    }


# ---- sidecars

CARD = {"activation text": "blu3, ink", "preferred weight": 0.8, "negative text": "photo"}
MANAGER = {
    "model_name": "Blue Ink",
    "base_model": "SD 1.5",
    "usage_tips": '{"strength": 0.6}',
    "civitai": {"trainedWords": ["theirs"], "model": {"name": "Inner"}},
}
HELPER = {"trainedWords": ["helper"], "model": {"name": "From Helper"}, "baseModel": "SD 1.5"}


def write_beside(weights: Path, **sidecars: object) -> None:
    for suffix, said in sidecars.items():
        ending = {"card": ".json", "manager": ".metadata.json", "helper": ".civitai.info"}[suffix]
        weights.with_suffix(ending).write_text(json.dumps(said))


def test_sidecars_are_read_and_each_value_says_who_said_it(settings: Settings, root: Path) -> None:
    place = lora_file(root / "x.safetensors", 0, 768, **{"modelspec.trigger_phrase": "header"})
    write_beside(place, card=CARD, manager=MANAGER, helper=HELPER)
    catalogue = opened(settings)
    (holding,) = catalogue.refresh()
    preset, entry = catalogue.catalog.loras["x"], holding.entry
    assert entry is not None
    assert (preset.label, preset.prompt) == ("Blue Ink", "blu3, ink")
    assert (preset.settings.strength, preset.negative_prompt) == (0.8, "photo")
    assert entry.said_by == {
        "label": "LoRA Manager's .metadata.json",
        "prompt": "A1111's .json",
        "negative_prompt": "A1111's .json",
        "settings": "A1111's .json",
        "base_architecture": "the file's tensors",
    }
    assert ("prompt", "header", "the file's metadata") in entry.others
    assert ("prompt", "theirs", "LoRA Manager's .metadata.json") in entry.others
    assert ("label", "From Helper", "CivitAI Helper's .civitai.info") in entry.others


@pytest.mark.parametrize(
    ("ending", "text", "prompt"),
    [
        (".txt", "blu3 ink, a pen drawing\n", "blu3 ink, a pen drawing"),
        (".txt", "\ufeffblu3", "blu3"),
        (".txt", "Trained on 20 pictures. Use 0.7.", ""),
        (".txt", "one\ntwo", ""),
        (".txt", "https://civitai.com/models/12", ""),
        (".txt", "word " * 60, ""),
        (".cm-info.json", '{"TrainedWords": ["blu3"], "ModelName": "Ink"}', "blu3"),
        (".rgthree-info.json", '{"trainedWords": [{"word": "blu3"}, {"word": 7}]}', "blu3"),
        (".swarm.json", '{"modelspec.trigger_phrase": "blu3, ink"}', "blu3, ink"),
        (".cm-info.json", '{"TrainedWords": 7, "Hashes": 7}', ""),
    ],
)
def test_trigger_words_beside_the_file_of_other_tools(
    settings: Settings, root: Path, ending: str, text: str, prompt: str
) -> None:
    place = lora_file(root / "x.safetensors")
    place.with_suffix(ending).write_text(text, encoding="utf-8")
    catalogue = opened(settings)
    catalogue.refresh()
    preset = catalogue.catalog.loras["x"]
    assert preset.prompt == prompt
    assert (preset.trigger == "none") is (not prompt)


def test_a_sidecar_that_comes_or_changes_is_noticed(settings: Settings, root: Path) -> None:
    place = lora_file(root / "x.safetensors")
    catalogue = opened(settings)
    catalogue.refresh()
    write_beside(place, helper=HELPER)
    catalogue.refresh()
    assert catalogue.catalog.loras["x"].prompt == "helper"
    write_beside(place, helper=HELPER | {"trainedWords": ["another one"]})
    catalogue.refresh()
    assert catalogue.catalog.loras["x"].prompt == "another one"
    assert opened(settings).refresh() == catalogue.holdings


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"activation text": 7, "preferred weight": "much", "notes": ["x"]}',
        '{"activation text": "", "preferred weight": 1e999}',
        '{"activation text": "\u0000\u202e", "preferred weight": -3}',
        '{"preferred weight": true}',
        "nothing",
    ],
)
def test_a_hostile_sidecar_says_nothing(settings: Settings, root: Path, text: str) -> None:
    place = lora_file(root / "x.safetensors")
    place.with_suffix(".json").write_text(text)
    catalogue = opened(settings)
    catalogue.refresh()
    preset = catalogue.catalog.loras["x"]
    assert (preset.prompt, preset.settings.strength, preset.notes) == ("", None, "")


def test_a_sidecar_about_other_bytes_counts_for_nothing(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", 0)
    place = lora_file(root / "x.safetensors")
    write_beside(place, manager=MANAGER | {"sha256": "A" * 64})
    store = WeightStore(settings)
    catalogue = Catalogue(settings, store, Catalog((), ()), ())
    catalogue.refresh()
    assert catalogue.catalog.loras["x"].prompt == "theirs"
    store.sha256(place)
    catalogue.refresh()
    assert catalogue.catalog.loras["x"].prompt == ""


# ---- slugs


def test_a_slug_follows_its_file(settings: Settings, root: Path) -> None:
    first = lora_file(root / "ink.safetensors")
    lora_file(root / "other/ink.safetensors", 1)
    before = slugs(opened(settings))
    assert before == {"ink.safetensors": "ink", "other/ink.safetensors": "ink-2"}
    first.rename(root / "other/blue.safetensors")
    (root / "other/ink.safetensors").rename(root / "ink.safetensors")
    assert slugs(opened(settings)) == {
        "other/blue.safetensors": "ink",
        "ink.safetensors": "ink-2",
    }


def test_a_copy_to_another_disk_is_known_by_its_hash(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", 0)
    place = lora_file(root / "ink.safetensors")
    store = WeightStore(settings)
    catalogue = Catalogue(settings, store, Catalog((), ()), ())
    catalogue.refresh()
    store.sha256(place)
    assert slugs(catalogue) == {"ink.safetensors": "ink"}
    away = root / "b/renamed.safetensors"
    away.parent.mkdir()
    away.write_bytes(place.read_bytes())
    place.unlink()
    store.sha256(away)
    assert slugs(catalogue) == {"b/renamed.safetensors": "ink"}


def test_a_replaced_file_keeps_the_slug_and_a_file_that_comes_back_too(
    settings: Settings, root: Path
) -> None:
    place = lora_file(root / "ink.safetensors")
    catalogue = opened(settings)
    slugs(catalogue)
    kept = place.rename(root.parent / "away.safetensors")
    assert slugs(catalogue) == {}
    lora_file(root / "ink-2.safetensors", 3)
    kept.rename(place)
    assert slugs(catalogue) == {"ink.safetensors": "ink", "ink-2.safetensors": "ink-2"}
    place.unlink()
    lora_file(place, 9)
    assert slugs(catalogue)["ink.safetensors"] == "ink"


def test_a_preset_goes_over_the_entry_of_its_file(settings: Settings, root: Path) -> None:
    lora_file(root / "ink.safetensors")
    catalogue = opened(settings)
    catalogue.refresh()
    preset = LoraPreset(
        slug="mine", label="Mine", base_architecture="sd15", path="ink.safetensors", trigger="none"
    )
    LocalPresets(settings.local_presets).put(preset)
    catalogue.refresh()
    assert "ink" not in catalogue.catalog.loras
    assert catalogue.catalog.loras["mine"].label == "Mine"
    assert "mine" not in catalogue.catalog.derived
    assert by_path(catalogue.holdings)["ink.safetensors"].presets == ("mine",)
    LocalPresets(settings.local_presets).remove("mine")
    catalogue.refresh()
    assert "ink" in catalogue.catalog.derived


def test_a_slug_does_not_go_with_the_first_look_at_the_hash(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RACY_NS", 0)
    place = lora_file(root / "ink.safetensors")
    sha256 = hashlib.sha256(place.read_bytes()).hexdigest()
    preset = LoraPreset(
        slug="mine",
        label="Mine",
        base_architecture="sd15",
        path="gone.safetensors",
        trigger="none",
        sha256=sha256,
    )
    store = WeightStore(settings)
    catalogue = Catalogue(settings, store, Catalog((), (preset,)), ())
    assert slugs(catalogue) == {"ink.safetensors": "ink"}
    store.sha256(place)
    assert slugs(catalogue) == {"ink.safetensors": "ink"}
    assert by_path(catalogue.holdings)["ink.safetensors"].presets == ("mine",)


# ---- while it runs


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_files_are_noticed_while_it_runs(settings: Settings, root: Path) -> None:
    catalogue = opened(settings)
    catalogue.start(every=0.05)
    try:
        lora_file(root / "one.safetensors")
        wait_for(lambda: "one" in catalogue.catalog.loras)
        (root / "one.safetensors").unlink()
        lora_file(root / "two.safetensors", 1)
        wait_for(lambda: catalogue.catalog.loras.keys() == {"two"})
    finally:
        assert catalogue.close(10)


def test_a_look_that_fails_is_kept_and_ends_with_the_next(settings: Settings, root: Path) -> None:
    settings.state.write_bytes(b"a file where the folder should be")
    lora_file(root / "one.safetensors")
    catalogue = opened(settings)
    catalogue.start(every=0.05)
    try:
        wait_for(lambda: catalogue.trouble is not None)
        settings.state.unlink()
        wait_for(lambda: "one" in catalogue.catalog.loras)
        assert catalogue.trouble is None
    finally:
        assert catalogue.close(10)


# ---- a run


@pytest.fixture
def studio(tmp_path: Path, tiny_sd: Path) -> TinyStudio:
    made = TinyStudio.open(tmp_path, "StableDiffusionPipeline", tiny_sd)
    mini_lora(tmp_path / "models/loras/Free One.safetensors", "blu3")
    shutil.copytree(tiny_sd, tmp_path / "models/bases/other")
    made.workspace.stock.catalogue.refresh()
    return made


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    build_tiny("StableDiffusionPipeline").save_pretrained(folder)
    return folder


def mini_lora(path: Path, trigger: str) -> None:
    """One of the LoRAs that come with Mini, with other metadata: another file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shipped = load_file(BUILT_IN_PRESETS / "mini/loras/pen-ink-mini.safetensors")
    save_file(shipped, path, {"modelspec.trigger_phrase": trigger})


def test_a_run_with_a_lora_file_is_pinned_recorded_and_verified(
    studio: TinyStudio, tmp_path: Path
) -> None:
    path = tmp_path / "models/loras/Free One.safetensors"
    write_beside(path, card=CARD | {"activation text": ""})
    studio.workspace.stock.catalogue.refresh()
    request = studio.request(
        ("free-one", None), mode=Mode.LORA_WITH_TRIGGER, base="mini", steps=2, width=64, height=64
    )
    plan = studio.plan(request)
    assert plan.prompt.text.endswith("blu3")
    said = {each.code: each.text for each in plan.notices if each.code.endswith("_by_file")}
    assert said.keys() == {"trigger_by_file", "strength_by_file", "negative_by_file"}
    assert "the file's metadata" in said["trigger_by_file"]
    assert "A1111's .json" in said["strength_by_file"]
    assert plan.loras[0].strength.value == 0.8
    last = studio.events(plan)[-1]
    assert isinstance(last, Finished)
    assert studio.workspace.verify(last.path).ok
    assert last.record.plan.loras[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    mini_lora(path, "gre3n")
    studio.workspace.stock.catalogue.refresh()
    found = studio.workspace.plan(request)
    assert isinstance(found, tuple)
    assert [type(each) for each in found] == [HashMismatch]


def test_a_run_on_a_base_that_no_preset_names(studio: TinyStudio) -> None:
    plan = studio.plan(studio.request(base="other", width=32, height=32, steps=2))
    guidance = plan.settings.guidance_scale
    assert (guidance.value, guidance.origin) == (7.5, Origin.PIPELINE)
    last = studio.events(plan)[-1]
    assert isinstance(last, Finished)
    assert studio.workspace.verify(last.path).ok


@pytest.mark.parametrize("name", ["ink.safetensors", "old.ckpt", "folder"])
def test_a_broken_link_is_told_of_with_where_it_led(
    name: str, settings: Settings, root: Path, tmp_path: Path
) -> None:
    (root / "loras").mkdir()
    gone = tmp_path / "gone" / name
    (root / "loras" / name).symlink_to(gone)
    lora_file(root / "loras/there.safetensors")
    found = by_path(opened(settings).refresh())
    assert found.keys() == {f"loras/{name}", "loras/there.safetensors"}
    problem = found[f"loras/{name}"].held.verdict.problem
    assert problem is not None
    assert "link to nothing" in problem
    assert str(gone) in problem
