"""What is hashed is what is loaded: nothing comes in beside it, before, while or after."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from studio.backends import BasePlace
from studio.contract.events import Failed, Finished
from studio.contract.plan import BaseIdentity
from studio.contract.violations import WeightsUnusable
from studio.engine.base import manager as managers
from studio.engine.base.resident import ResidentBase
from studio.errors import WeightsError
from studio.workspace.workspace import Workspace
from tests.workspace.test_workspace import finished, planned, request, run

UNET = "unet/diffusion_pytorch_model.safetensors"


def _other(file: Path, to: Path) -> None:
    """A file with the same header and half of each number."""
    save_file({name: each * 0.5 for name, each in load_file(file).items()}, to, {"format": "pt"})


def _index(base: Path) -> None:
    shard = "diffusion_pytorch_model-00001-of-00001.safetensors"
    _other(base / UNET, base / "unet" / shard)
    names = dict.fromkeys(load_file(base / UNET), shard)
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": names})
    (base / f"{UNET}.index.json").write_text(text)


def _adapter(base: Path) -> None:
    kind = {"peft_type": "LORA", "r": 1, "target_modules": ["q_proj"]}
    text = json.dumps({"base_model_name_or_path": "somewhere", **kind})
    (base / "text_encoder/adapter_config.json").write_text(text)


def _tokens(base: Path) -> None:
    (base / "tokenizer/added_tokens.json").write_text('{"rocket": 5}')


def _renamed_weights(base: Path) -> None:
    _other(base / "text_encoder/model.safetensors", base / "text_encoder/other.safetensors")
    config = base / "text_encoder/config.json"
    fields = json.loads(config.read_text())
    config.write_text(json.dumps({**fields, "transformers_weights": "other.safetensors"}))


def _template(base: Path) -> None:
    folder = base / "tokenizer/additional_chat_templates"
    folder.mkdir()
    (folder / "default.jinja").write_text("another prompt")


def _base(workspace: Workspace) -> Path:
    return workspace.settings.model_base_path / "base"


def _resident(workspace: Workspace) -> tuple[ResidentBase, ...]:
    manager = workspace._backend._engine._manager  # type: ignore[attr-defined]
    return () if manager is None else tuple(manager._bases.values())


@pytest.mark.parametrize("add", [_index, _adapter, _tokens])
def test_a_file_that_comes_after_the_plan_is_not_loaded(
    add: Callable[[Path], None], workspace: Workspace
) -> None:
    plan = planned(workspace, request())
    add(_base(workspace))
    failed = run(workspace, plan)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "weights"
    assert _resident(workspace) == ()


@pytest.mark.parametrize("add", [_index, _adapter, _tokens])
def test_a_file_that_comes_between_check_and_load_is_not_kept(
    add: Callable[[Path], None], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(workspace, request())
    check = workspace._weights.base

    def check_and_add(wanted: BaseIdentity) -> BasePlace:
        place = check(wanted)
        add(_base(workspace))
        return place

    monkeypatch.setattr(workspace._weights, "base", check_and_add)
    failed = run(workspace, plan)[-1]
    assert isinstance(failed, Failed)
    assert failed.code in ("weights", "base_refused")  # an adapter without weights
    assert _resident(workspace) == ()


@pytest.mark.parametrize("name", ["unet", UNET, ""])
def test_what_is_swapped_for_the_load_and_swapped_back_is_not_kept(
    name: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = planned(workspace, request())
    base = _base(workspace)
    bad, aside = tmp_path / "bad", tmp_path / "aside"
    shutil.copytree(base, bad)
    _other(base / UNET, bad / UNET)
    load = managers.load_pipeline  # type: ignore[attr-defined]

    def swapped(*values: Any) -> Any:
        (base / name).rename(aside)
        (bad / name).rename(base / name)
        loaded = load(*values)
        (base / name).rename(bad / name)
        aside.rename(base / name)
        return loaded

    with monkeypatch.context() as gap:
        gap.setattr(managers, "load_pipeline", swapped)
        failed = run(workspace, plan)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "weights"
    assert _resident(workspace) == ()
    assert isinstance(run(workspace, plan)[-1], Finished)


def test_a_base_in_memory_is_not_its_file(workspace: Workspace) -> None:
    """Written in place, with a run under way or not, it changes nothing that was proven."""
    plan = planned(workspace, request())
    first = finished(run(workspace, plan)).record.receipt.image.pixels_sha256
    files = {file: file.read_bytes() for file in _base(workspace).rglob("*.safetensors")}
    (resident,) = _resident(workspace)
    before = [each.clone() for each in resident.pipeline.unet.state_dict().values()]
    for file, data in files.items():
        start = 8 + int.from_bytes(data[:8], "little")
        with file.open("r+b") as opened:
            opened.seek(start)
            opened.write(bytes(len(data) - start))
    after = resident.pipeline.unet.state_dict().values()
    assert all(one.equal(other) for one, other in zip(before, after, strict=True))
    for file, data in files.items():
        with file.open("r+b") as opened:
            opened.write(data)
    again = finished(run(workspace, plan)).record.receipt.image.pixels_sha256
    assert again == first


@pytest.mark.parametrize("add", [_adapter, _renamed_weights, _template])
def test_a_base_that_reads_more_than_its_own_files_is_no_base(
    add: Callable[[Path], None], workspace: Workspace
) -> None:
    add(_base(workspace))
    violations = workspace.plan(request())
    assert isinstance(violations, tuple)
    (unusable,) = violations
    assert isinstance(unusable, WeightsUnusable)
    assert "no hash would hold" in unusable.describe()


def test_a_file_of_the_future_is_hashed_once_and_waited_for_by_nobody(
    workspace: Workspace,
) -> None:
    """An archive or a wrong clock gives such times."""
    file = _base(workspace) / UNET
    later = time.time() + 10 * 365 * 86_400
    os.utime(file, (later, later))
    store = workspace._store
    began = time.monotonic()
    sha256 = store.hashes(file).sha256
    assert time.monotonic() - began < 30
    time.sleep(0.2)
    assert store.verify(file, sha256, file.stat().st_size)
    asked: list[int] = []
    assert store.sha256(file, lambda *read: asked.extend(read)) == sha256
    assert asked == []  # remembered
    with pytest.raises(WeightsError):
        store.verify(file, sha256, 1)
