"""What files say by themselves, against the same numbers from whole matrices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from studio.cli import app
from studio.engine.lora.build import difference
from studio.engine.lora.read import read_lora
from studio.library.files import hash_file
from studio.trials.training_run import TrainedFile, training_runs
from studio.trials.weights import CheckpointWeights, weights_of

LAYERS = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (320, 320),
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_k": (640, 640),
    "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v": (1280, 768),
    "lora_te_text_model_encoder_layers_3_self_attn_q_proj": (768, 768),
}


def saved(path: Path, seed: int, factor: float = 1.0, **changed: float) -> Path:
    """A LoRA in kohya's format of rank 4 and alpha 2; ``changed`` multiplies single layers."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (outputs, inputs) in LAYERS.items():
        up = torch.randn(outputs, 4, generator=generator) * factor
        tensors[f"{name}.lora_up.weight"] = up * changed.get(name, 1.0)
        tensors[f"{name}.lora_down.weight"] = torch.randn(4, inputs, generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    save_file(tensors, path)
    return path


def told(folder: Path) -> list[CheckpointWeights]:
    files = [TrainedFile(path, {}) for path in folder.glob("*.safetensors")]
    (run,) = training_runs(files)
    return list(weights_of(run))


def whole(path: Path) -> torch.Tensor:
    """ΔW of every layer, one after another."""
    layers = read_lora("any", path, hash_file(path).sha256).layers
    return torch.cat([difference(layers[name]).flatten() for name in sorted(layers)]).double()


def test_norms_and_angles_are_those_of_the_matrices(tmp_path: Path) -> None:
    one = saved(tmp_path / "a_000000100.safetensors", 1)
    two = saved(tmp_path / "a_000000200.safetensors", 2, 1.5)
    first, second = told(tmp_path)
    was, now = whole(one), whole(two)
    assert first.norm == pytest.approx(float(was.norm()), rel=1e-5)
    assert first.cosine is None
    assert second.cosine == pytest.approx(float(was @ now / was.norm() / now.norm()), abs=1e-6)
    assert second.moved == pytest.approx(float((now - was).norm() / was.norm()), rel=1e-5)
    assert sum(norm**2 for norm in second.components.values()) == pytest.approx(second.norm**2)
    assert set(second.components) == {"unet", "text_encoder"}
    assert "unet up_blocks 1" in second.blocks


def test_dead_exploding_and_equal_checkpoints_are_named(tmp_path: Path) -> None:
    dead, _, loud, _ = LAYERS
    saved(tmp_path / "a_000000100.safetensors", 1, **{dead: 0.0})
    saved(tmp_path / "a_000000200.safetensors", 1, **{dead: 0.0, loud: 40.0})
    saved(tmp_path / "a_000000300.safetensors", 1, **{dead: 0.0, loud: 40.0})
    first, second, third = told(tmp_path)
    assert ["attn1" in name for name in first.dead] == [True]
    assert not first.exploding
    assert not third.exploding
    assert ["attn2" in name for name in second.exploding] == [True]
    assert (first.equals, second.equals) == (None, None)
    assert third.equals == second.checkpoint


def test_the_command_tells_a_run(tmp_path: Path) -> None:
    for step in (100, 200):
        saved(tmp_path / f"a_{step:09}.safetensors", step)
    answer = CliRunner().invoke(app, ["trial", "files", str(tmp_path), "--json"])
    assert answer.exit_code == 0, answer.output
    data = json.loads(answer.stdout)
    assert [each["checkpoint"]["step"] for each in data["checkpoints"]] == [100, 200]
    for each in data["checkpoints"]:
        assert len(each["sha256"]) == 64
        assert each["norm"] > 0


def test_files_of_no_run_are_refused_with_a_way_out(tmp_path: Path) -> None:
    saved(tmp_path / "style.safetensors", 1)
    answer = CliRunner().invoke(app, ["trial", "files", str(tmp_path), "--json"])
    assert answer.exit_code == 1
