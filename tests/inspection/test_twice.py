"""What a file says twice is used once where it is the same, and named where it is not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.engine.lora.read import read_lora
from studio.errors import LoraRefused
from studio.inspection import inspect
from studio.inspection.fit import check_fit
from studio.inspection.lora_module import LoraModule
from studio.library.files import hash_file, read_inspection
from tests.support.full_size import layers_of
from tests.support.headers import Shapes, header, lora, only

WIDTH, RANK = 6, 2
BLOCK = "noise_refiner.0.attention."
BASE = {
    "transformer": {
        f"{BLOCK}{name}.weight": (WIDTH, WIDTH) for name in ("to_q", "to_k", "to_v", "to_out.0")
    }
}
Tensors = dict[str, torch.Tensor]


def pair(stem: str, down: torch.Tensor, up: torch.Tensor) -> Tensors:
    a, b = ("lora_down", "lora_up") if stem.startswith("lora_") else ("lora_A", "lora_B")
    return {f"{stem}.{a}.weight": down.clone(), f"{stem}.{b}.weight": up.clone()}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


DOWN, UP = random(RANK, WIDTH), random(3 * WIDTH, RANK)
QKV = pair(f"transformer.{BLOCK}qkv", DOWN, UP)
PARTS = [
    pair(f"transformer.{BLOCK}{name}", DOWN, part)
    for name, part in zip(("to_q", "to_k", "to_v"), UP.split(WIDTH), strict=True)
]
SPLIT = PARTS[0] | PARTS[1] | PARTS[2]
OTHER = pair(f"transformer.{BLOCK}to_k", DOWN, UP[:WIDTH])
OUT = pair(f"transformer.{BLOCK}to_out.0", DOWN, UP[:WIDTH])
ALPHA = {f"transformer.{BLOCK}to_q.alpha": torch.tensor(1.0)}
CASES: dict[str, tuple[Tensors, bool]] = {
    "a fused layer before its parts": (QKV | SPLIT, True),
    "a fused layer behind its parts": (SPLIT | QKV, True),
    "its authors' name for one layer": (
        QKV | SPLIT | OUT | pair(f"transformer.{BLOCK}out", DOWN, UP[:WIDTH]),
        True,
    ),
    "two prefixes": (SPLIT | pair(f"diffusion_model.{BLOCK}to_q", DOWN, UP[:WIDTH]), True),
    "two tools": (
        OUT | pair("lora_unet_" + (BLOCK + "to_out.0").replace(".", "_"), DOWN, UP[:WIDTH]),
        True,
    ),
    "a part that differs": (QKV | SPLIT | OTHER, False),
    "one of its parts": (PARTS[0] | QKV, True),
    "a part with a scale of its own": (QKV | SPLIT | ALPHA, False),
    "two prefixes that differ": (
        SPLIT | pair(f"diffusion_model.{BLOCK}to_q", DOWN, -UP[:6]),
        False,
    ),
    "two tools that differ": (
        OUT | pair("lora_unet_" + (BLOCK + "to_out.0").replace(".", "_"), DOWN, -UP[:WIDTH]),
        False,
    ),
}


@pytest.mark.parametrize(("tensors", "is_equal"), CASES.values(), ids=CASES)
def test_twice_is_once_where_it_is_equal(tensors: Tensors, is_equal: bool, tmp_path: Path) -> None:
    path = tmp_path / "twice.safetensors"
    save_file(tensors, path)
    found = read_inspection(path)
    fit = check_fit(found, BASE)
    assert fit.fits is is_equal, fit.evidence
    if is_equal:
        assert fit.repeated
        assert not found.problems
        read = read_lora("twice", path, hash_file(path).sha256)
        assert check_fit(read.inspection, BASE) == fit
        places = [(p.component, slot.module) for p in fit.placements for slot in p.slots]
        assert len(places) == len(set(places))
    else:
        assert fit.doubled


def test_inspect_says_what_no_base_can_take(tmp_path: Path) -> None:
    path = tmp_path / "twice.safetensors"
    save_file(CASES["a part that differs"][0], path)
    assert "twice, with other weights" in read_inspection(path).problems[0]
    with pytest.raises(LoraRefused):
        read_lora("twice", path, hash_file(path).sha256)


def test_a_header_alone_does_not_tell_whether_they_are_equal() -> None:
    layers = only(layers_of("zimage"), r"layers\.0\.attention\.to_[qkv]")
    found = inspect(header(lora(layers, "transformer.") | lora(layers, "diffusion_model.")))
    assert not found.problems
    assert "twice; its header does not tell" in " ".join(found.evidence)


@pytest.mark.parametrize("name", ["ink.SAFETENSORS", "ink.Safetensors"])
def test_what_a_plan_takes_for_a_lora_the_run_reads(name: str, tmp_path: Path) -> None:
    save_file(QKV, tmp_path / name)
    assert read_inspection(tmp_path / name).kind == "lora"
    assert read_lora("ink", tmp_path / name, hash_file(tmp_path / name).sha256).layers


@pytest.mark.parametrize(
    ("dtype", "trained", "holds"),
    [
        (torch.float32, False, True),
        (torch.bfloat16, False, True),
        (torch.float16, False, True),
        (torch.float32, True, False),
    ],
)
def test_parts_that_were_never_trained_are_left_out_beside_what_is_fused(
    dtype: torch.dtype, trained: bool, holds: bool, tmp_path: Path
) -> None:
    """A zero may have a sign."""
    parts = {name: -value if ".lora_A" in name else -0.0 * value for name, value in SPLIT.items()}
    if trained:
        parts[f"transformer.{BLOCK}to_k.lora_B.weight"][0, 0] = 1e-30
    tensors = pair(f"transformer.{BLOCK}to_qkv", DOWN, UP) | parts
    path = tmp_path / "leftovers.safetensors"
    save_file({name: value.to(dtype) for name, value in tensors.items()}, path)
    found = read_inspection(path)
    fit = check_fit(found, BASE)
    assert (fit.fits, bool(found.problems)) == (holds, not holds)
    if holds:
        assert [module.name for module in found.modules] == [f"{BLOCK}to_qkv"]
        assert "add nothing" in " ".join(found.evidence)


def test_no_layer_is_compared_with_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has thousands of layers; comparing each with all took minutes."""
    asked = 0

    def counted(one: LoraModule, other: object) -> bool:
        nonlocal asked
        asked += 1
        return one is other

    monkeypatch.setattr(LoraModule, "__eq__", counted)
    shapes: Shapes = {f"transformer_blocks.{n}.attn.to_q": (64, 64) for n in range(300)}
    found = inspect(header(lora(shapes, "transformer.")))
    assert len(found.modules) == 300
    assert asked <= len(found.modules)
