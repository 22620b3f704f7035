"""Users suffer: a LoRA on a quantised base, which nobody tells what it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from studio.engine import Engine
from studio.engine.lora.match import base_modules
from studio.errors import BaseRefused
from tests.support.plans import make_job, pictures


def test_a_quantised_base_is_refused_by_name(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    packed = shutil.copytree(tiny_base, tmp_path / "packed")
    config = packed / "unet" / "config.json"
    fields = json.loads(config.read_text(encoding="utf-8"))
    fields["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    config.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(BaseRefused, match="is quantised: its unet is packed"):
        pictures(engine, make_job(packed, (tiny_loras["plain"], 1.0)))


def test_a_module_that_computes_otherwise_is_no_target() -> None:
    """Quantised layers are subclasses of torch's linear layer."""

    class Packed(nn.Linear):
        pass

    model = nn.ModuleDict({"plain": nn.Linear(2, 2), "packed": Packed(2, 2)})
    assert set(base_modules(model)) == {"plain"}


def test_torchs_own_quantised_layer_is_no_target() -> None:
    quantised = torch.ao.nn.quantized.dynamic.Linear(2, 2)
    assert base_modules(nn.ModuleDict({"packed": quantised})) == {}
