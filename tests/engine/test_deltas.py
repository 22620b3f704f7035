"""Each decomposition computes W + s·ΔW, by the plain formula, on every module of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft.tuners.lora as peft
import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from studio.engine.lora.build import Decomposed, build
from studio.engine.lora.deltas import BaseModule, Product
from studio.engine.lora.inject import inject
from studio.engine.lora.match import fit_to_base
from studio.engine.lora.slot import FoundSlot, LoraSlot, slots_of, switch_on
from studio.engine.run.numbers import raw_bytes
from studio.engine.tiny import build_tiny
from tests.support.applying import NAME, apply, read

Tensors = dict[str, Tensor]
Writer = Callable[[str, Tensor, torch.Generator], tuple[Tensors, Tensor]]
"""(stem, W, randomness) → the layer's tensors, and W' at strength 1 by the plain formula."""

ALPHA, RANK = 3.0, 2
STRENGTH = 0.7


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator) * 0.3


def factors(size: int) -> tuple[int, int]:
    """Two factors of a width, the smaller first."""
    return next(((n, size // n) for n in (4, 3, 2) if size % n == 0), (1, size))


def product(weight: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    return draw(g, RANK, *weight.shape[1:]), draw(g, weight.shape[0], RANK)


def dense(down: Tensor, up: Tensor, weight: Tensor) -> Tensor:
    return ALPHA / RANK * (up @ down.flatten(1)).view(weight.shape)


def lora(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    down, up = product(weight, g)
    tensors = {
        f"{stem}.lora_down.weight": down,
        f"{stem}.lora_up.weight": up.view(*up.shape, *(1 for _ in weight.shape[2:])),
        f"{stem}.alpha": torch.tensor(ALPHA),
    }
    return tensors, weight + dense(down, up, weight)


def tucker(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    """LoCon's core; convolutions only, plain elsewhere."""
    if weight.ndim == 2:
        return lora(stem, weight, g)
    down, up = draw(g, RANK, weight.shape[1], 1, 1), draw(g, weight.shape[0], RANK, 1, 1)
    mid = draw(g, RANK, RANK, *weight.shape[2:])
    tensors = {
        f"{stem}.lora_down.weight": down,
        f"{stem}.lora_up.weight": up,
        f"{stem}.lora_mid.weight": mid,
        f"{stem}.alpha": torch.tensor(ALPHA),
    }
    # lycoris.functional.general.rebuild_tucker
    delta = torch.einsum("ijkl,jr,pi->prkl", mid, down[:, :, 0, 0], up[:, :, 0, 0])
    return tensors, weight + ALPHA / RANK * delta


def loha(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    rows, columns = weight.shape[0], weight[0].numel()
    parts = [draw(g, *s) for s in ((rows, RANK), (RANK, columns)) * 2]
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    tensors = {f"{stem}.{name}": part for name, part in zip(names, parts, strict=True)}
    delta = (parts[0] @ parts[1]) * (parts[2] @ parts[3])
    changed = weight + ALPHA / RANK * delta.view(weight.shape)
    return tensors | {f"{stem}.alpha": torch.tensor(ALPHA)}, changed


def loha_tucker(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    if weight.ndim == 2:
        return loha(stem, weight, g)
    tensors: Tensors = {}
    deltas = []
    for number in (1, 2):
        core = draw(g, RANK, RANK, *weight.shape[2:])
        a, b = draw(g, RANK, weight.shape[0]), draw(g, RANK, weight.shape[1])
        names = (f"hada_t{number}", f"hada_w{number}_a", f"hada_w{number}_b")
        tensors |= {f"{stem}.{n}": t for n, t in zip(names, (core, a, b), strict=True)}
        # lycoris.functional.loha.HadaWeightTucker
        deltas.append(torch.einsum("ijkl,jr,ip->prkl", core, b, a))
    changed = weight + ALPHA / RANK * deltas[0] * deltas[1]
    return tensors | {f"{stem}.alpha": torch.tensor(ALPHA)}, changed


def lokr(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    """A whole first factor and a second of low rank, its kernel folded in (LyCORIS)."""
    (out_1, out_2), (in_1, in_2) = factors(weight.shape[0]), factors(weight.shape[1])
    kernel = weight[0, 0].numel()
    first = draw(g, out_1, in_1)
    a, b = draw(g, out_2, RANK), draw(g, RANK, in_2 * kernel)
    tensors = {
        f"{stem}.lokr_w1": first,
        f"{stem}.lokr_w2_a": a,
        f"{stem}.lokr_w2_b": b,
        f"{stem}.alpha": torch.tensor(ALPHA),
    }
    second = (a @ b).view(out_2, in_2, *weight.shape[2:])
    first = first.view(out_1, in_1, *(1 for _ in weight.shape[2:]))
    return tensors, weight + ALPHA / RANK * torch.kron(first, second)


def lokr_whole(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    """Two whole factors: alpha then means nothing (LyCORIS and ComfyUI alike)."""
    (out_1, out_2), (in_1, in_2) = factors(weight.shape[0]), factors(weight.shape[1])
    first, second = draw(g, out_1, in_1), draw(g, out_2, in_2, *weight.shape[2:])
    tensors = {
        f"{stem}.lokr_w1": first,
        f"{stem}.lokr_w2": second,
        f"{stem}.alpha": torch.tensor(999.0),
    }
    first = first.view(out_1, in_1, *(1 for _ in weight.shape[2:]))
    return tensors, weight + torch.kron(first, second)


def lokr_full_rank(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    """ai-toolkit's ``lokr_full_rank``: its alpha of 9999999999 is infinite in float16."""
    tensors, changed = lokr_whole(stem, weight, g)
    tensors[f"{stem}.alpha"] = torch.tensor(9999999999.0).half()
    return tensors, changed


def full(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    delta = draw(g, *weight.shape)
    return {f"{stem}.diff": delta}, weight + delta


def _scaled(weight: Tensor, magnitude: Tensor, axis: int) -> Tensor:
    norm = weight.transpose(0, axis).flatten(1).norm(dim=1)
    shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
    return weight * (magnitude / norm).view(shape)


def dora_per_input(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    tensors, changed = lora(stem, weight, g)
    magnitude = 1 + draw(g, weight.shape[1]).abs()
    ones = (1 for _ in weight.shape[2:])
    tensors[f"{stem}.dora_scale"] = magnitude.view(1, -1, *ones)
    return tensors, _scaled(changed, magnitude, 1)


def dora_per_output(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    tensors, changed = lora(stem, weight, g)
    magnitude = 1 + draw(g, weight.shape[0]).abs()
    tensors[f"{stem}.dora_scale"] = magnitude.view(-1, *(1 for _ in weight.shape[1:]))
    return tensors, _scaled(changed, magnitude, 0)


def dora_of_loha(stem: str, weight: Tensor, g: torch.Generator) -> tuple[Tensors, Tensor]:
    tensors, changed = loha(stem, weight, g)
    magnitude = 1 + draw(g, weight.shape[0]).abs()
    tensors[f"{stem}.dora_scale"] = magnitude.view(-1, *(1 for _ in weight.shape[1:]))
    return tensors, _scaled(changed, magnitude, 0)


WRITERS = (
    lora, tucker, loha, loha_tucker, lokr, lokr_whole, lokr_full_rank, full, dora_per_input,
    dora_per_output, dora_of_loha,
)  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_every_module_computes_the_plain_formula(write: Writer, tmp_path: Path) -> None:
    """W + strength·(W' − W); the bias is the base's."""
    pipeline = build_tiny("StableDiffusionPipeline")
    path, expected = whole_file(pipeline.unet, write, tmp_path)
    generator = torch.Generator().manual_seed(9)
    with apply(pipeline, path, strength=STRENGTH) as targets:
        assert len(targets) == len(expected)
        for component, name, layer in slots_of(pipeline):
            assert component == "unet"
            base = layer.base
            weight = base.weight + STRENGTH * (expected[name] - base.weight)
            found, wanted = outputs(layer, base, weight, generator)
            torch.testing.assert_close(found, wanted, rtol=2e-4, atol=2e-4)
            inner = layer.delta(NAME)
            if isinstance(inner, Decomposed):
                matrix = base.weight + inner.matrix()
                torch.testing.assert_close(matrix, expected[name], rtol=2e-4, atol=2e-4)


def whole_file(model: nn.Module, write: Writer, folder: Path) -> tuple[Path, Tensors]:
    """A file for all its linear and convolution layers, and each one's W'."""
    generator = torch.Generator().manual_seed(4)
    tensors: Tensors = {}
    expected: Tensors = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            stem = f"lora_unet_{name.replace('.', '_')}"
            made, expected[name] = write(stem, module.weight.detach(), generator)
            tensors |= made
    path = folder / "lora.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path, expected


@torch.no_grad()
def outputs(
    layer: nn.Module, base: nn.Linear | nn.Conv2d, weight: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What the layer gives, and what the plain formula gives."""
    if isinstance(base, nn.Conv2d):
        x = torch.randn((2, base.in_channels, 6, 6), generator=generator)
        return layer(x), functional.conv2d(x, weight, base.bias, base.stride, base.padding)
    x = torch.randn((2, 5, base.in_features), generator=generator)
    return layer(x), functional.linear(x, weight, base.bias)


def test_two_kinds_on_one_module_add_up(tmp_path: Path) -> None:
    """A DoRA stacked on another LoRA changes the base's weight, not the other's sum."""
    pipeline = build_tiny("StableDiffusionPipeline")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, one = whole_file(pipeline.unet, lokr, tmp_path / "a")
    second, two = whole_file(pipeline.unet, dora_per_output, tmp_path / "b")
    for name, path in (("a", first), ("b", second)):
        layers = build(name, fit_to_base(read(path), pipeline), torch.float32)
        inject(pipeline, name, layers, torch.device("cpu"))
    switch_on(slots_of(pipeline), {"a": 0.5, "b": 1.0})
    generator = torch.Generator().manual_seed(9)
    for _, name, layer in slots_of(pipeline):
        base = layer.base
        weight = 0.5 * one[name] + two[name] - 0.5 * base.weight
        found, plain = outputs(layer, base, weight, generator)
        torch.testing.assert_close(found, plain, rtol=2e-4, atol=2e-4)


FUSED = {
    "double_blocks_1_img_attn_qkv": [f"transformer_blocks.1.attn.to_{part}" for part in "qkv"],
    "double_blocks_0_txt_attn_qkv": [
        f"transformer_blocks.0.attn.add_{part}_proj" for part in "qkv"
    ],
    "single_blocks_1_linear1": [
        *(f"single_transformer_blocks.1.attn.to_{part}" for part in "qkv"),
        "single_transformer_blocks.1.proj_mlp",
    ],
}


@pytest.mark.parametrize(
    "write",
    [lora, loha, lokr, lokr_whole, full, dora_per_input, dora_per_output, dora_of_loha],
)
def test_each_part_of_a_fused_layer_has_its_rows(write: Writer, tmp_path: Path) -> None:
    """FLUX.1's authors keep q, k, v (and the feed-forward layer) in one matrix."""
    pipeline = build_tiny("FluxPipeline")
    model = pipeline.transformer
    generator = torch.Generator().manual_seed(4)
    tensors: Tensors = {}
    expected: Tensors = {}
    for stem, names in FUSED.items():
        weights = [model.get_parameter(f"{name}.weight").detach() for name in names]
        made, changed = write(f"lora_unet_{stem}", torch.cat(weights), generator)
        tensors |= made
        parts = changed.split([len(weight) for weight in weights])
        expected |= dict(zip(names, parts, strict=True))
    # The authors' first half of this one is diffusers' second.
    weight = model.norm_out.linear.weight.detach()
    half = len(weight) // 2
    made, changed = write(
        "lora_unet_final_layer_adaLN_modulation_1", weight.roll(half, 0), generator
    )
    tensors |= made
    expected["norm_out.linear"] = changed.roll(half, 0)
    path = tmp_path / "fused.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    with apply(pipeline, path, strength=STRENGTH):
        found = {name: layer for _, name, layer in slots_of(pipeline)}
        assert found.keys() == expected.keys()
        for name, layer in found.items():
            base = layer.base
            weight = base.weight + STRENGTH * (expected[name] - base.weight)
            one, other = outputs(layer, base, weight, generator)
            torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("write", [lora, tucker, loha, lokr, full, dora_per_output])
@pytest.mark.parametrize("name", ["conv_in", "time_embedding.linear_1"])
def test_a_bias_beside_the_weight(write: Writer, name: str, tmp_path: Path) -> None:
    """``diff_b``, which LyCORIS and ComfyUI write, is scaled by the strength alone."""
    pipeline = build_tiny("StableDiffusionPipeline")
    base = pipeline.unet.get_submodule(name)
    generator = torch.Generator().manual_seed(4)
    stem = f"lora_unet_{name.replace('.', '_')}"
    tensors, changed = write(stem, base.weight.detach(), generator)
    tensors[f"{stem}.diff_b"] = draw(generator, len(base.bias))
    path = tmp_path / "bias.safetensors"
    save_file(tensors, path)
    with apply(pipeline, path, strength=STRENGTH):
        layer = pipeline.unet.get_submodule(name)
        shift = STRENGTH * tensors[f"{stem}.diff_b"]
        weight = base.weight + STRENGTH * (changed - base.weight)
        found, plain = outputs(layer, base, weight, generator)
        shift = shift[:, None, None] if base.weight.ndim == 4 else shift
        torch.testing.assert_close(found, plain + shift, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("write", [lora, full, lokr])
def test_a_fused_bias_has_its_rows(write: Writer, tmp_path: Path) -> None:
    pipeline = build_tiny("FluxPipeline")
    (stem, names), *_ = FUSED.items()
    weights = [pipeline.transformer.get_parameter(f"{name}.weight").detach() for name in names]
    generator = torch.Generator().manual_seed(4)
    tensors, changed = write(f"lora_unet_{stem}", torch.cat(weights), generator)
    bias = draw(generator, sum(map(len, weights)))
    path = tmp_path / "bias.safetensors"
    save_file(tensors | {f"lora_unet_{stem}.diff_b": bias}, path)
    sizes = [len(weight) for weight in weights]
    parts = zip(names, changed.split(sizes), bias.split(sizes), strict=True)
    with apply(pipeline, path):
        for name, weight, own in parts:
            layer = pipeline.transformer.get_submodule(name)
            found, plain = outputs(layer, layer.base, weight, generator)
            torch.testing.assert_close(found, plain + own, rtol=2e-4, atol=2e-4)


def test_pefts_own_bias_is_scaled_by_alpha(tmp_path: Path) -> None:
    pipeline = build_tiny("StableDiffusionPipeline")
    base = pipeline.unet.time_embedding.linear_1
    generator = torch.Generator().manual_seed(4)
    stem = "lora_unet_time_embedding_linear_1"
    tensors, changed = lora(stem, base.weight.detach(), generator)
    bias = draw(generator, len(base.bias))
    path = tmp_path / "bias.safetensors"
    save_file(tensors | {f"{stem}.lora_B.bias": bias}, path)
    with apply(pipeline, path):
        layer = pipeline.unet.time_embedding.linear_1
        found, plain = outputs(layer, base, changed, generator)
        torch.testing.assert_close(found, plain + ALPHA / RANK * bias, rtol=2e-4, atol=2e-4)


def test_a_tucker_core_of_a_linear_and_a_fused_layer(tmp_path: Path) -> None:
    """A core of one point: no trainer makes it, and its formula says what it computes."""
    pipeline = build_tiny("FluxPipeline")
    (stem, names), *_ = FUSED.items()
    weights = [pipeline.transformer.get_parameter(f"{name}.weight").detach() for name in names]
    whole = torch.cat(weights)[:, :, None, None]
    generator = torch.Generator().manual_seed(4)
    tensors, changed = loha_tucker(f"lora_unet_{stem}", whole, generator)
    path = tmp_path / "core.safetensors"
    save_file(tensors, path)
    parts = changed[:, :, 0, 0].split([len(weight) for weight in weights])
    with apply(pipeline, path):
        for name, weight in zip(names, parts, strict=True):
            layer = pipeline.transformer.get_submodule(name)
            found, plain = outputs(layer, layer.base, weight, generator)
            torch.testing.assert_close(found, plain, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_a_slot_computes_what_peft_computes(kind: str, dtype: torch.dtype) -> None:
    """To the bit, with none, one and two LoRAs, of another dtype than the input's too."""
    generator = torch.Generator().manual_seed(1)
    base = nn.Linear(6, 5) if kind == "linear" else nn.Conv2d(6, 5, 3, padding=1)
    x = torch.randn((2, 3, 6) if kind == "linear" else (2, 6, 4, 4), generator=generator)
    theirs: Any = (peft.Linear if kind == "linear" else peft.Conv2d)(
        base, "one", config=LoraConfig(), r=2, lora_alpha=1
    )
    theirs.update_layer("two", 3, lora_alpha=1.5, config=LoraConfig())
    ours, site = LoraSlot(base), BaseModule.of(base)
    for name, rank in (("one", 2), ("two", 3)):
        down = torch.randn((rank, *base.weight.shape[1:]), generator=generator).to(dtype)
        up = torch.randn((5, rank), generator=generator).to(dtype)
        ours.deltas[name] = Product(site, down=down, up=site.as_points(up))
        ours.scales[name] = theirs.scaling[name]
        for matrix, weight in ((theirs.lora_A, down), (theirs.lora_B, site.as_points(up))):
            matrix[name].weight.data = weight.clone()
    assert set(ours.scales.values()) == {0.5}
    plain = base(x)
    sets: tuple[dict[str, float], ...] = (
        {}, {"one": 0.7}, {"one": 0.7, "two": 1.3}, {"two": 1.3, "one": 0.7}, {"two": 0.0},
    )  # fmt: skip
    for strengths in sets:
        theirs.set_adapter(list(strengths))
        theirs.enable_adapters(bool(strengths))
        for name, strength in strengths.items():
            theirs.set_scale(name, strength)
        switch_on([FoundSlot("unet", "layer", ours)], strengths)
        found = ours(x)
        assert found.dtype == torch.float32
        assert torch.equal(found, theirs(x))
        assert torch.equal(found, plain) is not any(strengths.values())


@pytest.mark.parametrize("bias", [True, False])
def test_a_slot_answers_for_its_base(bias: bool) -> None:
    """Models ask their layers for a weight, to know its dtype."""
    base = nn.Linear(2, 3, bias=bias)
    slot = LoraSlot(base.eval())
    assert slot.weight is base.weight
    assert slot.bias is base.bias
    sizes: Any = (slot.in_features, slot.out_features)
    assert sizes == (2, 3)
    assert not slot.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_added_in_place_is_the_sum_to_the_bit_and_changes_no_input(
    dtype: torch.dtype,
) -> None:
    """Where a LoRA is kept in another dtype than the base computes in, too."""
    base, x = nn.Linear(8, 6).to(dtype), torch.randn(3, 8).to(dtype)
    slot, site, plain = LoraSlot(base), BaseModule.of(base), x.clone()
    for name, kept in (("one", dtype), ("two", torch.float32)):
        down, up = torch.randn(2, 8).to(kept), torch.randn(6, 2).to(kept)
        slot.deltas[name] = Product(site, down=down, up=up)
        slot.scales[name], slot.strengths[name] = 0.5, 0.7
    with torch.no_grad():
        wanted = base(x) + slot.added("one", x) * (0.7 * 0.5)
        wanted = (wanted + slot.added("two", x) * (0.7 * 0.5)).to(dtype)
        assert torch.equal(slot(x), wanted)
        assert torch.equal(slot(x), wanted)
    assert torch.equal(x, plain)


def test_strength_zero_is_the_base_to_the_bit() -> None:
    """Even where what it would add is not a number, and where a sum would turn a negative zero."""
    base = nn.Linear(2, 2)
    slot = LoraSlot(base)
    site = BaseModule.of(base)
    slot.deltas["lora"] = Product(site, down=torch.ones(1, 2), up=torch.full((2, 1), torch.inf))
    slot.scales["lora"] = 1.0
    with torch.no_grad():
        base.weight.zero_()
        base.bias.fill_(-0.0)
        switch_on([FoundSlot("unet", "layer", slot)], {"lora": 0.0})
        assert raw_bytes(slot(-torch.ones(1, 2))) == raw_bytes(base(-torch.ones(1, 2)))
