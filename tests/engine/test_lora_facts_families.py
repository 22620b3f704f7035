"""What goes wrong without a word on SDXL, FLUX.1, FLUX.2 and Qwen-Image: refused or applied.

The numbers are those of ``test_lora_facts``; the pipelines are tiny ones of the real classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline
from studio.engine.families import family_of
from studio.engine.lora.match import fit_to_base
from studio.engine.lora.probe import read_probe, relative_change
from studio.engine.lora.slot import slots_of
from studio.engine.tiny import build_tiny
from studio.errors import LoraRefused
from tests.support.applying import NAME, apply, probe, read
from tests.support.lora_formats import FORMATS, tiny_lora

Tensors = dict[str, Tensor]
Change = Callable[[Tensors], Tensors]


@cache
def tiny(name: str) -> Pipeline:
    return build_tiny(name)


def flux() -> Pipeline:
    return tiny("FluxPipeline")


def written(
    architecture: Architecture, pipeline: Pipeline, format: str, path: Path, only: str = ""
) -> Path:
    lora = tiny_lora(pipeline, only=only)
    return FORMATS[architecture][format].write(lora, path / "lora.safetensors")


def changed(path: Path, change: Change) -> Path:
    """The file with its tensors changed, under another name."""
    other = path.with_name("changed.safetensors")
    save_file({name: value.contiguous() for name, value in change(load_file(path)).items()}, other)
    return other


def modules(pipeline: Pipeline, path: Path) -> set[str]:
    """Modules of the base that the file changes once it is applied."""
    with apply(pipeline, path):
        return {
            f"{component}.{name}"
            for component, name, slot in slots_of(pipeline)
            if NAME in slot.deltas
        }


def refused(
    pipeline: Pipeline, path: Path, evidence: str, architecture: str | None = None
) -> None:
    """The gate refuses the file with this evidence, and wraps nothing."""
    with pytest.raises(LoraRefused, match=evidence):
        fit_to_base(read(path), pipeline, architecture)
    assert not list(slots_of(pipeline))


def shapes(models: Iterable[nn.Module]) -> list[torch.Size]:
    return [weight.shape for model in models for weight in model.parameters()]


FLUX_GLOBAL = {
    "x_embedder", "context_embedder", "proj_out", "norm_out.linear",
    *(
        f"time_text_embed.{part}_embedder.linear_{n}"
        for part in ("timestep", "text", "guidance")
        for n in (1, 2)
    ),
}  # fmt: skip


def test_fact_02_sdxl_keys_outside_known_components_are_refused(tmp_path: Path) -> None:
    pipeline = tiny("StableDiffusionXLPipeline")
    path = written(Architecture.SDXL, pipeline, "diffusers", tmp_path, only="attn1")
    stray = "conditioner.embedders.0.q_proj.lora_A.weight"
    other = changed(path, lambda t: t | {stray: torch.ones(4, 4)})
    refused(pipeline, other, "no whole layer: conditioner")


@pytest.mark.parametrize(
    ("architecture", "name", "component"),
    [
        (Architecture.SDXL, "StableDiffusionXLPipeline", "text_encoder"),
        (Architecture.SDXL, "StableDiffusionXLPipeline", "text_encoder_2"),
        (Architecture.FLUX1, "FluxPipeline", "text_encoder"),
    ],
)
def test_a_lora_of_one_text_encoder_alone_changes_what_the_denoiser_gives(
    architecture: Architecture, name: str, component: str, tmp_path: Path
) -> None:
    """Its effect is measured there, and none at all is a broken contract."""
    pipeline, family = tiny(name), family_of(architecture)
    alone = {component: tiny_lora(pipeline, text_encoders=True)[component]}
    path = FORMATS[architecture]["diffusers"].write(alone, tmp_path / "words.safetensors")
    without = read_probe(family, pipeline)
    with apply(pipeline, path) as targets:
        assert {target.component for target in targets} == {component}
        assert relative_change(read_probe(family, pipeline), without) > 0


def test_fact_05_flux_kohya_global_layers_are_applied(tmp_path: Path) -> None:
    """diffusers converts these ten without their prefix, and drops them all."""
    only = "|".join(f"^{name}$" for name in FLUX_GLOBAL)
    path = written(Architecture.FLUX1, flux(), "kohya, authors' names", tmp_path, only=only)
    names = {key.split(".")[0] for key in load_file(path)}
    assert "lora_unet_guidance_in_in_layer" in names
    assert "lora_unet_final_layer_adaLN_modulation_1" in names
    assert modules(flux(), path) == {f"transformer.{name}" for name in FLUX_GLOBAL}


def test_fact_06_flux_keys_of_two_spellings_are_applied_together(tmp_path: Path) -> None:
    """In diffusers any ``transformer.`` key discards every other one."""
    one = written(Architecture.FLUX1, flux(), "diffusers", tmp_path, only=r"blocks\.0\.attn\.to_q")
    two = tmp_path / "two"
    two.mkdir()
    other = written(
        Architecture.FLUX1, flux(), "kohya, authors' names", two, only=r"^transformer_.*ff\."
    )
    mixed = changed(one, lambda t: t | load_file(other))
    found = modules(flux(), mixed)
    assert found > modules(flux(), one)
    assert found == modules(flux(), one) | modules(flux(), other)


def test_fact_06_flux_alpha_counts_beside_lora_down(tmp_path: Path) -> None:
    path = written(Architecture.FLUX1, flux(), "kohya", tmp_path, only=r"\.0\.attn\.to_q$")
    spelled = changed(
        path,
        lambda t: {
            key.replace("lora_unet_", "transformer.")
            .replace("transformer_blocks_0_attn_to_q", "transformer_blocks.0.attn.to_q"): value
            for key, value in t.items()
        },
    )  # fmt: skip
    assert "transformer.transformer_blocks.0.attn.to_q.lora_down.weight" in load_file(spelled)
    with apply(flux(), spelled):
        scales = {slot.scales[NAME] for _, _, slot in slots_of(flux())}
    assert scales == {0.5}


def test_fact_06_flux_t5_layers_are_applied(tmp_path: Path) -> None:
    """diffusers drops T5 and says it at INFO only."""
    path = tmp_path / "t5.safetensors"
    weight = flux().text_encoder_2.get_parameter("encoder.block.0.layer.0.SelfAttention.q.weight")
    generator = torch.Generator().manual_seed(1)
    stem = "lora_te3_encoder_block_0_layer_0_SelfAttention_q"
    kohya = {
        f"{stem}.lora_down.weight": torch.randn((4, weight.shape[1]), generator=generator),
        f"{stem}.lora_up.weight": torch.randn((weight.shape[0], 4), generator=generator),
    }
    save_file(kohya, path)
    family = family_of(Architecture.FLUX1)
    before = probe(family, flux())
    with apply(flux(), path):
        after = probe(family, flux())
    assert not torch.equal(before[-1], after[-1])
    assert modules(flux(), path) == {"text_encoder_2.encoder.block.0.layer.0.SelfAttention.q"}


def test_fact_06_flux_biases_are_applied(tmp_path: Path) -> None:
    path = written(Architecture.FLUX1, flux(), "kohya", tmp_path, only=r"^x_embedder$")
    rows = flux().transformer.x_embedder.out_features
    other = changed(path, lambda t: t | {"lora_unet_x_embedder.diff_b": torch.ones(rows)})
    x = torch.zeros(1, flux().transformer.x_embedder.in_features)
    with apply(flux(), other, strength=0.5), torch.no_grad():
        layer = flux().transformer.x_embedder
        torch.testing.assert_close(layer(x) - layer.base(x), 0.5 * torch.ones(1, rows))


def test_fact_06_flux_prefix_that_nobody_writes_is_refused(tmp_path: Path) -> None:
    path = written(Architecture.FLUX1, flux(), "kohya", tmp_path, only=r"\.0\.attn\.to_q$")
    other = changed(
        path, lambda t: {k.replace("lora_unet_", "lora_prior_"): v for k, v in t.items()}
    )
    refused(flux(), other, "do not exist in the base: lora_prior_")


@pytest.mark.parametrize("times", [0.5, 2])
def test_fact_07_flux_of_another_width_leaves_the_base_as_it_was(
    times: float, tmp_path: Path
) -> None:
    """diffusers widens the base in place, or pads the LoRA with zeros."""
    path = written(Architecture.FLUX1, flux(), "diffusers", tmp_path, only="^x_embedder$")
    key = "transformer.x_embedder.lora_A.weight"

    def widen(tensors: Tensors) -> Tensors:
        width = int(tensors[key].shape[1] * times)
        return tensors | {key: torch.ones(4, width)}

    before = shapes([flux().transformer])
    refused(flux(), changed(path, widen), "1 layer of another width: x_embedder takes")
    assert shapes([flux().transformer]) == before


def test_fact_08_flux2_leftovers_are_refused(tmp_path: Path) -> None:
    pipeline = tiny("Flux2KleinPipeline")
    path = written(Architecture.FLUX2, pipeline, "kohya, authors' names", tmp_path, only="attn")
    stem = "lora_unet_double_blocks_0_img_mod_lin"
    rest = {f"{stem}.lora_down.weight": torch.ones(4, 32),
            f"{stem}.lora_up.weight": torch.ones(32, 4)}  # fmt: skip
    other = changed(path, lambda t: t | rest)
    refused(pipeline, other, "does not exist in the base: double_blocks_0_img_mod_lin")


def test_fact_08_flux2_kohya_in_diffusers_names_is_applied(tmp_path: Path) -> None:
    pipeline = tiny("Flux2KleinPipeline")
    path = written(Architecture.FLUX2, pipeline, "kohya", tmp_path, only="attn")
    assert len(modules(pipeline, path)) == len(tiny_lora(pipeline, only="attn")["transformer"])


def test_fact_09_sdxl_names_of_both_kinds_are_applied_together(tmp_path: Path) -> None:
    """diffusers drops Stability AI's names as soon as one of its own is there."""
    pipeline = tiny("StableDiffusionXLPipeline")
    one = written(Architecture.SDXL, pipeline, "kohya", tmp_path, only="^mid_block.*attn1")
    two = tmp_path / "two"
    two.mkdir()
    whole = written(Architecture.SDXL, pipeline, "kohya, authors' names", two)
    other = changed(whole, lambda t: {k: v for k, v in t.items() if "input_blocks" in k})
    mixed = changed(one, lambda t: t | load_file(other))
    assert modules(pipeline, mixed) == modules(pipeline, one) | modules(pipeline, other)


def test_fact_17_qwen_layers_on_flux_are_refused(tmp_path: Path) -> None:
    """Equal names and widths in some of the blocks; diffusers applies those, and warns."""
    qwen = tiny("QwenImagePipeline")
    path = written(Architecture.QWEN, qwen, "diffusers", tmp_path, only=r"attn|mlp")
    width = flux().transformer.transformer_blocks[0].attn.to_q.in_features
    resized = changed(path, lambda t: {k: _resized(k, v, width) for k, v in t.items()})
    refused(flux(), resized, "do not exist in the base: .*img_mlp")


def _resized(key: str, tensor: Tensor, width: int) -> Tensor:
    wide = tensor.shape[1] if "lora_A" in key else tensor.shape[0]
    if "attn" not in key or wide == width:
        return tensor
    return torch.ones(4, width) if "lora_A" in key else torch.ones(width, 4)


def test_fact_17_a_text_encoder_of_sd15_is_refused_on_sdxl(tmp_path: Path) -> None:
    """Its one text encoder is as wide as SDXL's first; kohya's names tell them apart."""
    stem = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    tensors = {f"{stem}.lora_down.weight": torch.ones(4, 768),
               f"{stem}.lora_up.weight": torch.ones(768, 4)}  # fmt: skip
    path = tmp_path / "sd15.safetensors"
    save_file(tensors, path)
    pipeline = SdxlWidths()
    evidence = (
        r"one text encoder, 768 wide, as in Stable Diffusion 1\.5\. Such layers are not of SDXL"
    )
    refused(pipeline, path, evidence, "sdxl")
    targets = fit_to_base(read(path), pipeline, "sd15")
    assert [target.component for target in targets] == ["text_encoder"]


class SdxlWidths:
    """A pipeline whose first text encoder is as wide as SD 1.5's and SDXL's."""

    def __init__(self) -> None:
        from transformers import CLIPTextConfig, CLIPTextModel

        with torch.device("meta"):
            encoder = CLIPTextModel(CLIPTextConfig(hidden_size=768, num_hidden_layers=1))
        self.components = {"text_encoder": encoder}
