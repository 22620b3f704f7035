"""What a header rules out is found with the plan, and the engine refuses it in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from studio.architecture import Mode
from studio.contract.base import FileIdentity
from studio.contract.violations import LoraDoesNotFit, WeightsUnusable
from studio.errors import LoraRefused
from studio.inspection import inspect
from studio.library.files import describe_file, read_inspection
from studio.resolve.inventory import LoraWeights
from tests.support.applying import read
from tests.support.full_size import layers_of
from tests.support.headers import header, lora, only
from tests.support.world import CROSS_ATTENTION
from tests.support.worlds import WIDTH, World

Tensors = dict[str, torch.Tensor]
STEM = f"unet.{CROSS_ATTENTION}.to_k"
KOHYA = f"lora_unet_{CROSS_ATTENTION.replace('.', '_')}_to_k"


def diffusers() -> Tensors:
    return {
        f"{STEM}.lora_A.weight": torch.ones(4, WIDTH),
        f"{STEM}.lora_B.weight": torch.ones(64, 4),
    }


def kohya(**more: torch.Tensor) -> Tensors:
    down, up = torch.ones(4, WIDTH), torch.ones(64, 4)
    parts = {f"{KOHYA}.{part}": tensor for part, tensor in more.items()}
    return {f"{KOHYA}.lora_down.weight": down, f"{KOHYA}.lora_up.weight": up} | parts


def asks(**fields: Any) -> dict[str, str]:
    settings = {"r": 4, "lora_alpha": 4} | fields
    own = {f"unet.{key}": value for key, value in settings.items()}
    return {"lora_adapter_metadata": json.dumps(own)}


PROBLEMS: dict[str, tuple[Tensors, dict[str, str], str]] = {
    "bias": (diffusers(), asks(lora_bias=True), "asks for lora_bias=True, and "),
    "start": (diffusers(), asks(init_lora_weights="olora"), "init_lora_weights='olora' in the"),
    "rank": (diffusers(), asks(r=8), "asks for rank 8 where"),
    "alpha": (diffusers(), asks(alpha_pattern={"to_k": "2"}), "alpha of unet.down_blocks.0"),
    "names": (kohya(), asks(), "kohya's names and peft's adapter metadata"),
    "no object": (diffusers(), {"lora_adapter_metadata": "[1]"}, "is not an object"),
    "no part": (diffusers(), {"lora_adapter_metadata": '{"prior.r": 4}'}, "'prior.r'"),
    "dtype": (
        {name: tensor.long() for name, tensor in kohya(alpha=torch.ones(())).items()}, {},
        f"Its tensor '{KOHYA}.lora_down.weight' is I64, which no LoRA weights are. "
        "The same is so once more.",
    ),
    "eight bits": (
        kohya(alpha=torch.ones(()).to(torch.float8_e4m3fn)), {}, "F8_E4M3, which no alpha is",
    ),
    "axis": (kohya(dora_scale=torch.ones(1, 7)), {}, "of shape (1, 7), which fit no axis"),
    "no axis": (kohya(dora_scale=torch.ones(())), {}, "of shape (), which fit no axis"),
    "infinite": (kohya(alpha=torch.tensor(1e9).half()), {}, "alpha is not a finite number"),
    "scaled to nothing": (
        kohya(alpha=torch.zeros(()), diff_b=torch.ones(64)), {}, "a bias beside an alpha of 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_plan_finds_what_the_engine_would_refuse(name: str, tmp_path: Path) -> None:
    tensors, metadata, says = PROBLEMS[name]
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path, metadata)
    inspection = read_inspection(path)
    assert says in " ".join(inspection.problems)
    assert describe_file(path)["problems"] == list(inspection.problems)
    file = FileIdentity(name=path.name, sha256="b" * 64, size=path.stat().st_size)
    world = World("StableDiffusionPipeline", lora={}, file=LoraWeights(path, file, inspection))
    found = world.violations(mode=Mode.LORA)["weights_unusable"]
    assert isinstance(found, WeightsUnusable)
    assert inspection.problems[0] in found.reason
    with pytest.raises(LoraRefused) as refused:
        read(path)
    assert refused.value.evidence == inspection.problems


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        (diffusers(), asks(init_lora_weights="eva", eva_config={"rho": 2.0})),
        (diffusers(), asks(init_lora_weights="orthogonal")),
        (diffusers() | {f"{STEM}.lora_B.bias": torch.ones(64)}, asks(lora_bias=True)),
        (kohya(alpha=torch.ones((), dtype=torch.int64)), {}),
        (kohya(alpha=torch.ones((1, 1), dtype=torch.int32)), {}),
        (kohya(dora_scale=torch.ones(1, WIDTH)), {}),
        (kohya(dora_scale=torch.ones(64, 1)), {}),
        (diffusers() | {f"{STEM}.lora_magnitude_vector": torch.ones(64)}, asks(use_dora=True)),
    ],
    ids=[
        "eva",
        "orthogonal",
        "bias",
        "whole alpha",
        "square alpha",
        "inputs",
        "outputs",
        "peft's DoRA",
    ],
)
def test_what_only_looks_like_a_problem(
    tensors: Tensors, metadata: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path, metadata)
    assert read_inspection(path).problems == ()
    assert [layer.module for layer in read(path).layers.values()] == [
        *read_inspection(path).modules
    ]


def test_a_stray_tensor_of_another_dtype_is_only_a_stray(tmp_path: Path) -> None:
    """It may be left out with consent, like any other that belongs to no layer."""
    path = tmp_path / "lora.safetensors"
    save_file(diffusers() | {"unet.position_ids": torch.ones(7, dtype=torch.bool)}, path)
    found = read_inspection(path)
    assert (found.problems, found.unaccounted) == ((), ("unet.position_ids",))
    assert len(read(path).layers) == 1


def test_a_misfit_says_why_however_much_there_is_to_say_of_the_file() -> None:
    """A file of SDXL's with text encoders: the widths of each, and that Pony is like it."""
    text = only(layers_of("clip-768"), r"layers\.0\..*_proj")
    layers = only(layers_of("sdxl"), r"attn2\.to_k")
    shapes = lora(layers, "unet.") | lora(text, "text_encoder.") | lora(text, "text_encoder_2.")
    inspection = inspect(header(shapes))
    assert len(inspection.evidence) > 3
    file = FileIdentity(name="a.safetensors", sha256="b" * 64, size=1)
    world = World("StableDiffusionXLPipeline", lora={}, file=LoraWeights(Path(), file, inspection))
    found = world.violations(mode=Mode.LORA)["lora_does_not_fit"]
    assert isinstance(found, LoraDoesNotFit)
    assert "Cross-attention reads 2048 features, as in SDXL." in found.found
    assert "The Base" in found.reasons
    assert set(inspection.evidence) < set(found.evidence)
