"""Users suffer: trainers write the empty hash, and tools then recall the wrong LoRA."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.cli import run
from studio.presets.parse import parse
from studio.presets.text import write_yaml
from tests.support.preset_samples import lora

EMPTY = hashlib.sha256(b"").hexdigest()
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def test_files_that_share_the_empty_hash_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two LoRAs of ai-toolkit name the same hash; their bytes give each its own."""
    for name, value in (("one", 1.0), ("two", 2.0)):
        tensors = {
            f"{LAYER}.lora_down.weight": torch.full((4, 768), value),
            f"{LAYER}.lora_up.weight": torch.full((320, 4), value),
        }
        save_file(tensors, tmp_path / f"{name}.safetensors", {"sshs_model_hash": EMPTY})
    files = [str(tmp_path / f"{name}.safetensors") for name in ("one", "two")]
    assert run(["inspect", *files, "--json"]) == 0
    one, two = map(json.loads, capsys.readouterr().out.splitlines())
    assert one["architecture"] == two["architecture"] == "sd15"
    for identity in ("sha256", "autov2", "autov3"):
        assert one[identity] != two[identity]
        assert not one[identity].startswith(EMPTY[:10])
    for found in (one, two):
        assert found["claims"]["sshs_model_hash"] == EMPTY
        assert any("it identifies no file" in line for line in found["conflicts"])


@pytest.mark.parametrize("spelled", [EMPTY, EMPTY.upper()])
def test_no_preset_is_identified_by_the_empty_hash(spelled: str) -> None:
    (problem,) = parse(write_yaml({"loras": [lora(sha256=spelled)]}), "p.yaml").problems
    assert (problem.field, problem.message) == (
        "sha256",
        "sha256 is the hash of an empty file, which identifies none.",
    )
    assert "pinned on first use" in problem.way_out
