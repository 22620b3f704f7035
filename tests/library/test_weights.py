"""The store says what is there, notices what changed, and never trips over a bad file."""

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
import torch
from safetensors.torch import save, save_file

from studio.engine.tiny import build_tiny
from studio.errors import HeaderError, WeightsError
from studio.library import hashing as weights
from studio.library import state
from studio.library.files import Hashes, adopt, describe_file, hash_file
from studio.library.store import WeightStore
from studio.presets import LoraPreset, ModelPreset, Source
from studio.resolve.inventory import Inventory
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.storage.atomic import stamp_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    base = tmp_path / "models"
    base.mkdir()
    return Settings(model_base_path=base, outputs=tmp_path / "out", state=tmp_path / "state")


@pytest.fixture
def store(settings: Settings) -> WeightStore:
    return WeightStore(settings)


def lora_preset(slug: str = "ink", path: str | None = "ink.safetensors") -> LoraPreset:
    air = None if path else "urn:air:sd1:lora:civitai:1@2"
    return LoraPreset(
        slug=slug,
        label=slug,
        base_architecture="sd15",
        trigger="none",
        path=path,
        air=air,
    )


def model_preset(slug: str = "tiny", path: str | None = "tiny") -> ModelPreset:
    source = None if path else Source(huggingface="owner/name")
    return ModelPreset(
        slug=slug,
        label=slug,
        pipeline="StableDiffusionPipeline",
        base_architecture="sd15",
        path=path,
        source=source,
    )


STEM = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"


def lora_bytes(alpha: float = 2.0, dtype: torch.dtype = torch.float32) -> bytes:
    return save(
        {
            f"{STEM}.lora_down.weight": torch.ones(4, 768),
            f"{STEM}.lora_up.weight": torch.ones(1280, 4),
            f"{STEM}.alpha": torch.tensor(alpha, dtype=dtype),
        },
        {"ss_output_name": "ink"},
    )


def write(path: Path, data: bytes) -> Path:
    """Write a file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def inventory_of(store: WeightStore, *presets: ModelPreset | LoraPreset) -> Inventory:
    bases = [preset for preset in presets if isinstance(preset, ModelPreset)]
    loras = [preset for preset in presets if isinstance(preset, LoraPreset)]
    return store.inventory(bases, loras)


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    build_tiny("StableDiffusionPipeline").save_pretrained(folder)
    return folder


@pytest.fixture
def base(tiny_base: Path, settings: Settings) -> Path:
    return Path(shutil.copytree(tiny_base, settings.model_base_path / "tiny"))


# ---- where weights belong, and whether they are there


def test_where_weights_belong(store: WeightStore, settings: Settings) -> None:
    root = settings.model_base_path
    embedded = lora_preset().model_copy(update={"source": Source(embedded="mini/a.safetensors")})
    assert store.locate(embedded) == BUILT_IN_PRESETS / "mini/a.safetensors"
    assert store.locate(lora_preset(path="a/b.safetensors")) == root / "a/b.safetensors"
    assert store.locate(lora_preset(path=None)) == root / "loras/sd15/ink.safetensors"
    assert store.locate(model_preset(path=None)) == root / "models/tiny"


@pytest.mark.usefixtures("base")
def test_presence(store: WeightStore, settings: Settings) -> None:
    root = settings.model_base_path
    write(root / "loras/sd15/there.safetensors", b"x")
    (root / "folder.safetensors").mkdir()
    (root / "empty").mkdir()
    (root / "dangling.safetensors").symlink_to(root / "nowhere")
    presets: list[ModelPreset | LoraPreset] = [
        lora_preset("there", None),
        lora_preset("gone", None),
        lora_preset("folder", "folder.safetensors"),
        lora_preset("dangling", "dangling.safetensors"),
        lora_preset("nofolder", "no/such/folder.safetensors"),
        lora_preset("under-a-file", "loras/sd15/there.safetensors/x.safetensors"),
        model_preset("tiny", "tiny"),
        model_preset("empty", "empty"),
        model_preset("absent", None),
    ]
    there = {slug for slug, found in store.present(presets).items() if found}
    assert there == {"there", "tiny"}
    assert store.present(presets).keys() == {preset.slug for preset in presets}


def test_ten_thousand_presets_are_looked_up_at_once(
    store: WeightStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    presets = [lora_preset(f"l{n}", f"{n % 5}/l{n}.safetensors") for n in range(10_000)]
    for folder in range(5):
        write(settings.model_base_path / f"{folder}/l{folder}.safetensors", b"")
    listed: list[str] = []
    real = os.scandir

    def noted(path: str) -> object:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", noted)
    started = time.process_time()
    found = store.present(presets)
    assert time.process_time() - started < 0.2
    assert sum(found.values()) == 5
    assert len(listed) == 5


# ---- LoRAs


def test_a_lora_is_inspected_and_identified(store: WeightStore, settings: Settings) -> None:
    data = lora_bytes(alpha=2.0, dtype=torch.bfloat16)
    path = write(settings.model_base_path / "ink.safetensors", data)
    found = inventory_of(store, lora_preset())
    weights = found.loras["ink"]
    assert weights.file.sha256 == hashlib.sha256(data).hexdigest()
    assert (weights.file.name, weights.file.size) == ("ink.safetensors", len(data))
    assert weights.inspection.architecture == "sd15"
    assert [module.scale for module in weights.inspection.modules] == [0.5]
    assert found.expected_at == {"ink": path}
    assert found.unusable == {}


def test_what_is_not_there_is_no_entry(store: WeightStore) -> None:
    found = inventory_of(store, lora_preset(), model_preset())
    assert (found.loras, found.bases, found.unusable) == ({}, {}, {})
    assert found.expected_at.keys() == {"ink", "tiny"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-LFS"),
        (b"\x80\x04\x95" + b"x" * 60, "pickle"),
        (lora_bytes()[:-5], "cut short"),
        (lora_bytes() + b"more", "stray"),
    ],
)
def test_bad_files_are_entries(
    store: WeightStore, settings: Settings, content: bytes, reason: str
) -> None:
    write(settings.model_base_path / "ink.safetensors", content)
    found = inventory_of(store, lora_preset())
    assert reason in found.unusable["ink"].reason
    assert found.unusable["ink"].way_out
    assert found.loras == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_alpha_that_is_no_number_stays_unknown(
    store: WeightStore, settings: Settings, value: float
) -> None:
    write(settings.model_base_path / "ink.safetensors", lora_bytes(alpha=value))
    (module,) = inventory_of(store, lora_preset()).loras["ink"].inspection.modules
    assert (module.alpha_in_file, module.alpha, module.scale) == (True, None, None)


def test_what_is_no_file(store: WeightStore, settings: Settings) -> None:
    root = settings.model_base_path
    (root / "folder.safetensors").mkdir()
    os.mkfifo(root / "pipe.safetensors")
    (root / "loop.safetensors").symlink_to(root / "loop.safetensors")
    (root / "dangling.safetensors").symlink_to(root / "nowhere")
    presets = [lora_preset(n, f"{n}.safetensors") for n in ("folder", "pipe", "loop", "dangling")]
    found = store.inventory([], presets)
    assert found.unusable.keys() == {"folder", "pipe", "loop", "dangling"}
    assert "no file" in found.unusable["pipe"].reason


@pytest.mark.parametrize("allowed", [False, True])
def test_links_lead_into_the_library_or_where_a_setting_says(
    settings: Settings, tmp_path: Path, allowed: bool
) -> None:
    root, other, outside = settings.model_base_path, tmp_path / "other", tmp_path / "outside"
    write(outside / "ink.safetensors", lora_bytes())
    write(other / "ink.safetensors", lora_bytes())
    write(root / "blobs/ink", lora_bytes())
    (root / "out.safetensors").symlink_to(outside / "ink.safetensors")
    (root / "next.safetensors").symlink_to(other / "ink.safetensors")
    (root / "in.safetensors").symlink_to(root / "blobs/ink")
    (root / "folder").symlink_to(outside)
    store = WeightStore(
        replace(settings, more_folders=(other,), linked_folders=(outside,) if allowed else ())
    )
    found = store.inventory(
        [],
        [
            lora_preset("out", "out.safetensors"),
            lora_preset("in", "in.safetensors"),
            lora_preset("next", "next.safetensors"),
            lora_preset("below", "folder/ink.safetensors"),
        ],
    )
    outsiders = {"out", "below"}
    assert found.loras.keys() == {"in", "next"} | (outsiders if allowed else set())
    assert found.unusable.keys() == (set() if allowed else outsiders)
    for each in found.unusable.values():
        assert str(outside) in each.reason
        assert "LINKED_FOLDERS" in each.way_out


@pytest.mark.parametrize(
    ("there", "asked", "is_used"),
    [
        (normalize("NFD", "café/éclair.safetensors"), "café/éclair.safetensors", True),
        ("café/éclair.safetensors", normalize("NFD", "café/éclair.safetensors"), True),
        ("LoRAs/Ink.safetensors", "loras/ink.safetensors", False),
        ("loras/Éclair.safetensors", normalize("NFD", "loras/éclair.safetensors"), False),
    ],
)
def test_another_spelling_of_a_name_is_used_or_named(
    store: WeightStore, settings: Settings, there: str, asked: str, is_used: bool
) -> None:
    write(settings.model_base_path / there, lora_bytes())
    preset = lora_preset("ink", asked)
    found = store.inventory([], [preset])
    assert found.loras.keys() == ({"ink"} if is_used else set())
    assert store.present([preset]) == {"ink": is_used}
    if not is_used:
        assert str(settings.model_base_path / there) in found.unusable["ink"].reason


def test_a_file_that_may_not_be_read(
    store: WeightStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(settings.model_base_path / "ink.safetensors", lora_bytes())

    real = Path.open

    def denied(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "ink.safetensors":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in inventory_of(store, lora_preset()).unusable["ink"].reason


def test_a_folder_that_may_not_be_entered(
    store: WeightStore, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names can be listed and nothing more; so it is for everybody but root."""
    real = Path.stat

    def denied(path: Path, **named: Any) -> os.stat_result:
        if path.parent == base / "unet":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **named)

    monkeypatch.setattr(Path, "stat", denied)
    found = inventory_of(store, model_preset()).unusable["tiny"]
    assert found.reason == "config.json cannot be read: Permission denied."
    assert str(base / "unet") in found.way_out


# ---- bases


def test_a_base_and_the_files_that_are_loaded(store: WeightStore, base: Path) -> None:
    (base / "README.md").write_text("hello")
    (base / "unet/README.md").write_text("hello")
    (base / "unet/code.py").write_text("raise SystemExit")
    write(base / "text_encoder/pytorch_model.bin", b"\x80\x04")
    write(base / "text_encoder/model.fp16.safetensors", b"other weights")
    found = inventory_of(store, model_preset()).bases["tiny"]
    names = {file.name for file in found.files}
    assert names == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    real = build_tiny("StableDiffusionPipeline")
    for component in ("unet", "text_encoder", "vae"):
        state = getattr(real, component).state_dict()
        assert found.shapes[component] == {name: tuple(t.shape) for name, t in state.items()}
    for file in found.files:
        data = (base / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_sharded_weights(store: WeightStore, base: Path) -> None:
    whole = inventory_of(store, model_preset()).bases["tiny"]
    shutil.rmtree(base / "unet")
    build_tiny("StableDiffusionPipeline").unet.save_pretrained(
        base / "unet", max_shard_size="100KB"
    )
    sharded = inventory_of(store, model_preset()).bases["tiny"]
    shards = [file.name for file in sharded.files if "-of-" in file.name]
    assert len(shards) > 1
    assert "unet/diffusion_pytorch_model.safetensors.index.json" in {
        file.name for file in sharded.files
    }
    assert sharded.shapes == whole.shapes
    (base / shards[0]).unlink()
    assert "is missing" in inventory_of(store, model_preset()).unusable["tiny"].reason
    index = base / "unet/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))
    assert "not a file beside it" in inventory_of(store, model_preset()).unusable["tiny"].reason


def _only_pickle(base: Path) -> None:
    (base / "unet/diffusion_pytorch_model.safetensors").rename(
        base / "unet/diffusion_pytorch_model.bin"
    )


def _only_variant(base: Path) -> None:
    (base / "vae/diffusion_pytorch_model.safetensors").rename(
        base / "vae/diffusion_pytorch_model.fp16.safetensors"
    )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_only_pickle, "pickle"),
        (_only_variant, "fp16"),
        (lambda base: shutil.rmtree(base / "tokenizer"), "folder tokenizer is missing"),
        (lambda base: (base / "unet/diffusion_pytorch_model.safetensors").unlink(), "no weights"),
        (lambda base: (base / "model_index.json").write_text("{"), "not valid JSON"),
        (lambda base: (base / "model_index.json").write_text("[" * 99999), "not valid JSON"),
        (lambda base: (base / "model_index.json").write_text("{}"), "names no component"),
        (lambda base: (base / "model_index.json").unlink(), "cannot be read"),
        (
            lambda base: write(base / "vae/diffusion_pytorch_model.safetensors", b"PK\3\4"),
            "vae/diffusion_pytorch_model.safetensors: it is a zip archive",
        ),
    ],
)
def test_bases_that_cannot_be_used(
    store: WeightStore, base: Path, spoil: object, reason: str
) -> None:
    assert callable(spoil)
    spoil(base)
    found = inventory_of(store, model_preset())
    assert found.bases == {}
    assert reason in found.unusable["tiny"].reason


def test_a_base_that_is_no_folder_or_leads_outside(
    store: WeightStore, settings: Settings, base: Path, tmp_path: Path
) -> None:
    write(settings.model_base_path / "one", lora_bytes())
    moved = tmp_path / "elsewhere.safetensors"
    file = base / "unet/diffusion_pytorch_model.safetensors"
    shutil.move(file, moved)
    file.symlink_to(moved)
    found = store.inventory([model_preset(), model_preset("one", "one")], [])
    assert "not a folder" in found.unusable["one"].reason
    assert "leaves" in found.unusable["tiny"].reason


def test_a_safety_checker_that_is_not_there_is_not_loaded(store: WeightStore, base: Path) -> None:
    index = json.loads((base / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (base / "model_index.json").write_text(json.dumps(index))
    assert "tiny" in inventory_of(store, model_preset()).bases
    (base / "safety_checker").mkdir()
    reason = inventory_of(store, model_preset()).unusable["tiny"].reason
    assert reason == "safety_checker has no weights."


# ---- hashes


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed, not looked up; and every file counts as settled."""
    seen: list[Path] = []
    real = hash_file

    def counting(path: Path, *arguments: object, **named: object) -> Hashes:
        seen.append(path)
        return real(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(weights, "hash_file", counting)
    monkeypatch.setattr(state, "RACY_NS", 0)
    return seen


def test_a_file_is_hashed_once(
    store: WeightStore, settings: Settings, tmp_path: Path, reads: list[Path]
) -> None:
    path = write(tmp_path / "a", b"one")
    assert store.sha256(path) == hashlib.sha256(b"one").hexdigest()
    assert store.sha256(path) == WeightStore(settings).sha256(path)
    assert len(reads) == 1
    path.write_bytes(b"two")
    assert store.sha256(path) == hashlib.sha256(b"two").hexdigest()
    assert len(reads) == 2


@pytest.mark.usefixtures("reads")
def test_a_changed_file_with_its_old_time_is_noticed(store: WeightStore, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"one")
    store.sha256(path)
    before = path.stat()
    time.sleep(0.02)  # the file system's clock must tick
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert store.sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_fresh_file_is_not_remembered(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"one")
    monkeypatch.setattr(state, "RACY_NS", 10**15)
    stamp = stamp_of(path.stat())
    store.sha256(path)
    assert store.state.sha256(path, stamp) is None
    monkeypatch.setattr(state, "RACY_NS", 0)
    store.sha256(path)
    assert store.state.sha256(path, stamp) == hashlib.sha256(b"one").hexdigest()


def test_progress(store: WeightStore, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"x" * (3 * 1024 * 1024 + 1))
    steps: list[tuple[int, int]] = []
    store.sha256(path, lambda done, size: steps.append((done, size)))
    size = path.stat().st_size
    assert steps[-1] == (size, size)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert len(steps) == 4


def test_a_file_that_changes_under_the_hash(store: WeightStore, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"x" * 10)

    def grow(_done: int, _size: int) -> None:
        if path.stat().st_size == 10:
            path.write_bytes(b"y" * 11)

    with pytest.raises(WeightsError, match="changed while it was read"):
        store.sha256(path, grow)


def test_a_broken_state_is_an_error_and_stays(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"one")
    database = write(settings.state / "state.sqlite", b"no database at all" * 100)
    store = WeightStore(settings)
    for action in (lambda: store.sha256(path), store.state.pins, lambda: store.state.pin("x", A)):
        with pytest.raises(WeightsError) as raised:
            action()
        assert raised.value.path == database
    assert database.read_bytes().startswith(b"no database")


def test_a_state_of_a_newer_studio_is_left_alone(settings: Settings) -> None:
    settings.state.mkdir()
    with closing(sqlite3.connect(settings.state / "state.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(WeightsError, match="newer"):
        WeightStore(settings).state.pin("ink", A)


def test_a_state_folder_that_cannot_be_written(settings: Settings) -> None:
    write(settings.state, b"a file where the folder should be")
    path = write(settings.model_base_path / "ink.safetensors", lora_bytes())
    with pytest.raises(WeightsError, match="STATE_DIR"):
        WeightStore(settings).sha256(path)
    with pytest.raises(WeightsError, match="STATE_DIR"):
        inventory_of(WeightStore(settings), lora_preset())


def _hash_all(state: Path, paths: Sequence[Path]) -> list[str]:
    store = WeightStore(Settings(model_base_path=state, outputs=state, state=state))
    return [store.sha256(path) for path in paths]


@pytest.mark.usefixtures("reads")
def test_threads_and_processes_share_the_cache(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"f{n}", bytes([n])) for n in range(12)]
    expected = [hashlib.sha256(bytes([n])).hexdigest() for n in range(12)]
    folder = tmp_path / "state"
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(_hash_all, folder, paths) for _ in range(8)]
        assert all(answer.result() == expected for answer in answers)
    with multiprocessing.get_context("fork").Pool(2) as processes:
        jobs = [processes.apply_async(_hash_all, (folder, paths)) for _ in range(4)]
        assert all(job.get(60) == expected for job in jobs)
    with closing(sqlite3.connect(folder / "state.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM hashes").fetchone() == (12,)


def test_one_file_is_not_hashed_by_two_threads_at_once(
    store: WeightStore, tmp_path: Path, reads: list[Path]
) -> None:
    path = write(tmp_path / "a", b"x" * 4_000_000)
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda _: store.sha256(path), range(8)))) == 1
    assert len(reads) == 1


# ---- verify


def test_verify_accepts_the_same_file(store: WeightStore, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"one")
    store.verify(path, hashlib.sha256(b"one").hexdigest(), 3)
    path.touch()
    store.verify(path, hashlib.sha256(b"one").hexdigest(), 3)


def test_verify_names_what_changed(store: WeightStore, tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"one")
    expected = store.sha256(path)
    time.sleep(0.02)
    path.write_bytes(b"onf")
    with pytest.raises(WeightsError, match="SHA-256"):
        store.verify(path, expected, 3)
    path.write_bytes(b"three")
    with pytest.raises(WeightsError, match="5 bytes, not 3"):
        store.verify(path, expected, 3)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        store.verify(path, expected, 3)


# ---- pins

A, B = "a" * 64, "b" * 64


def test_pins(store: WeightStore, settings: Settings) -> None:
    assert store.state.pins() == {}
    store.state.check_pin("ink", B)
    store.state.pin("ink", A)
    store.state.pin("ink", A)
    store.state.check_pin("ink", A)
    assert WeightStore(settings).state.pins() == {"ink": A}
    with pytest.raises(WeightsError, match="repin ink"):
        store.state.pin("ink", B)
    with pytest.raises(WeightsError, match="repin ink"):
        store.state.check_pin("ink", B)
    assert store.state.pins() == {"ink": A}
    assert store.state.unpin("ink") == A
    with pytest.raises(WeightsError, match="not pinned"):
        store.state.unpin("ink")
    store.state.pin("ink", B)
    assert inventory_of(store, lora_preset()).pins == {"ink": B}
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.state.pin("other", "short")


BEFORE = Path(__file__).parents[1] / "data/state_0"
"""The state as releases before the one file wrote it: hashes of four files, pins, a place."""


@pytest.fixture
def before(settings: Settings) -> Path:
    return Path(shutil.copytree(BEFORE, settings.state))


def test_what_an_earlier_release_knew_is_taken_over(before: Path, settings: Settings) -> None:
    with closing(sqlite3.connect(before / "hashes.sqlite")) as database:
        rows = database.execute("SELECT path, sha256 FROM hashes_1").fetchall()
    known = WeightStore(settings).state
    assert {path: value for path, (_, value) in known.hashes().items()} == dict(rows)
    assert len(rows) == 4
    assert known.pins() == json.loads((before / "pins.json").read_text())
    assert known.places() == json.loads((before / "places.json").read_text())


def test_nothing_that_an_earlier_release_hashed_is_hashed_again(
    before: Path, settings: Settings, tmp_path: Path, reads: list[Path]
) -> None:
    path = write(tmp_path / "a", b"one")
    row = (state.key_of(path), *stamp_of(path.stat()), A)
    with closing(sqlite3.connect(before / "hashes.sqlite")) as database:
        database.execute("INSERT INTO hashes_1 VALUES (?, ?, ?, ?, ?, ?)", row)
        database.commit()
    assert WeightStore(settings).sha256(path) == A
    assert reads == []


def test_a_broken_hash_cache_of_an_earlier_release_costs_no_pin(
    before: Path, settings: Settings
) -> None:
    write(before / "hashes.sqlite", b"no database at all" * 100)
    write(before / "places.json", b"[")
    known = WeightStore(settings).state
    assert known.hashes() == {}
    assert known.places() == {}
    assert len(known.pins()) == 2


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"ink": 1}', b'{"ink": "x"}', b"\xff"])
def test_broken_pins_are_never_forgotten(
    store: WeightStore, settings: Settings, content: bytes
) -> None:
    path = write(settings.state / "pins.json", content)
    known = store.state
    for action in (known.pins, lambda: known.pin("ink", A), lambda: known.unpin("ink")):
        with pytest.raises(WeightsError, match="cannot be read"):
            action()
    with pytest.raises(WeightsError, match="cannot be read"):
        inventory_of(store)
    assert path.read_bytes() == content
    path.write_text(json.dumps({"ink": A}))
    assert known.pins() == {"ink": A}


def _pin_many(state: Path, start: int) -> None:
    store = WeightStore(Settings(model_base_path=state, outputs=state, state=state))
    for number in range(start, start + 5):
        store.state.pin(f"p{number}", A)


def test_no_pin_is_lost_between_writers(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as processes:
        jobs = [processes.apply_async(_pin_many, (tmp_path, 5 * n)) for n in range(4)]
        for job in jobs:
            job.get(60)
    store = WeightStore(Settings(model_base_path=tmp_path, outputs=tmp_path, state=tmp_path))
    assert store.state.pins().keys() == {f"p{n}" for n in range(20)}
    assert {path.name for path in tmp_path.iterdir()} == {"state.sqlite"}


# ---- adopt


@pytest.fixture(params=["hard links", "no hard links"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no hard links":

        def unsupported(*_: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", unsupported)


@pytest.mark.usefixtures("disk")
def test_adopt_moves_and_never_replaces(tmp_path: Path) -> None:
    target = tmp_path / "loras/sd15/ink.safetensors"
    adopt(write(tmp_path / "a.part", b"one"), target)
    assert target.read_bytes() == b"one"
    adopt(write(tmp_path / "a.part", b"one"), target)
    with pytest.raises(WeightsError, match="Another file is already"):
        adopt(write(tmp_path / "b.part", b"two"), target)
    assert target.read_bytes() == b"one"
    assert {path.name for path in tmp_path.iterdir()} == {"loras", "b.part"}


def test_adopt_says_what_the_disk_did(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be put"):
        adopt(tmp_path / "missing.part", tmp_path / "ink.safetensors")
    write(tmp_path / "file", b"x")
    with pytest.raises(WeightsError, match="cannot be put"):
        adopt(write(tmp_path / "a.part", b"one"), tmp_path / "file/ink.safetensors")


# ---- describe


def test_describe_file(tmp_path: Path) -> None:
    data = lora_bytes(alpha=2.0)
    path = write(tmp_path / "ink.safetensors", data)
    found = json.loads(json.dumps(describe_file(path)))
    start = 8 + int.from_bytes(data[:8], "little")
    sha256 = hashlib.sha256(data).hexdigest()
    expected = {
        "file": "ink.safetensors",
        "kind": "lora",
        "architecture": "sd15",
        "variant": None,
        "format": "kohya",
        "components": {"unet": 1},
        "ranks": [4],
        "alphas": [2.0],
        "dtypes": ["F32"],
        "size": len(data),
        "sha256": sha256,
        "autov2": sha256[:10],
        "autov3": hashlib.sha256(data[start:]).hexdigest()[:12],
        "claims": {"ss_output_name": "ink"},
        "trigger_hints": [],
        "unaccounted": [],
    }
    assert {key: found[key] for key in expected} == expected
    assert found["evidence"][0].startswith("Cross-attention reads 768 features")
    assert found["modules"][0]["in_features"] == 768


def test_the_empty_hash_identifies_nothing(tmp_path: Path) -> None:
    save_file({"unet.a.alpha": torch.zeros(0)}, tmp_path / "empty.safetensors")
    assert describe_file(tmp_path / "empty.safetensors")["autov3"] is None


def test_describe_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="web page"):
        describe_file(write(tmp_path / "a.safetensors", b"<html>" + b" " * 20))
    with pytest.raises(WeightsError, match="cannot be read"):
        describe_file(tmp_path / "missing.safetensors")
    with pytest.raises(WeightsError, match="no file"):
        describe_file(tmp_path)
