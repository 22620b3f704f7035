"""What all names of a file share comes off, where only the rest names layers."""

import pytest

from studio.inspection import LoraInspection, inspect
from studio.inspection.fit import check_fit
from tests.support.full_size import layers_of, weights_of
from tests.support.headers import Shapes, header, lora, only

LAYERS = {
    "flux1": only(layers_of("flux1"), r"transformer_blocks\.\d\."),
    "sdxl": only(layers_of("sdxl"), r"attn2"),
    "zimage": only(layers_of("zimage"), r"^layers\.\d\."),
    "qwen": only(layers_of("qwen"), r"transformer_blocks\.\d\."),
}
DOTTED = (
    "transformer.base_model.model.",
    "module.",
    "module.transformer.",
    "_orig_mod.",
    "module._orig_mod.",
    "base_model.model._orig_mod.",
    "pipeline.dit.",
    "model.module.net.",
    "my-adapter.transformer.",
    "lora.base_model.model.",
)


def read(tensors: Shapes) -> LoraInspection:
    return inspect(header(tensors))


def the_same(found: LoraInspection, family: str) -> None:
    """As without a wrapper: the layers' names, and their place in a base of the real class."""
    plain = read(lora(LAYERS[family], ""))
    assert [each.name for each in found.modules] == [each.name for each in plain.modules]
    assert (found.architecture, found.candidates) == (plain.architecture, plain.candidates)
    component = "unet" if family == "sdxl" else "transformer"
    fit = check_fit(found, {component: weights_of(family)}, "the base", family)
    assert fit.fits, fit.evidence


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize("wrapper", DOTTED)
def test_a_wrapper_of_any_name_comes_off(family: str, wrapper: str) -> None:
    if family == "sdxl":
        wrapper = wrapper.replace("transformer", "unet")
    the_same(read(lora(LAYERS[family], wrapper)), family)


def test_a_compiled_block_is_its_block() -> None:
    spelled = {
        name.replace("attn.", "_orig_mod.attn.").replace(
            "attention.", "_orig_mod.attention."
        ): shape
        for name, shape in LAYERS["zimage"].items()
    }
    the_same(read(lora(spelled, "")), "zimage")


@pytest.mark.parametrize("family", ["flux1", "sdxl"])
def test_old_notebooks_flattened_names(family: str) -> None:
    component = "unet_" if family == "sdxl" else "transformer_"
    tensors: Shapes = {}
    for name, shape in LAYERS[family].items():
        stem = component + name.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = (4, shape[1])
        tensors[f"{stem}.lora_up.weight"] = (shape[0], 4)
    found = read(tensors)
    fit = check_fit(found, {component.rstrip("_"): weights_of(family)}, "the base", family)
    assert fit.fits, fit.evidence


def test_trailing_underscores_and_adapters_with_dashes() -> None:
    kohya = lora(LAYERS["qwen"], "lora_unet_")
    spelled = {
        name.replace(".lora_", "_.lora_").replace(".alpha", "_.alpha"): shape
        for name, shape in kohya.items()
    }
    found = read(spelled)
    assert check_fit(found, {"transformer": weights_of("qwen")}, "the base", "qwen").fits
    named = {
        name.replace(".weight", ".my-adapter.weight"): shape
        for name, shape in lora(LAYERS["qwen"], "transformer.").items()
    }
    the_same(read(named), "qwen")


def test_what_not_all_names_share_stays() -> None:
    odd = lora(LAYERS["qwen"], "pipeline.dit.") | lora({"foo": (4, 4)}, "")
    found = read(odd)
    assert all(each.name == "foo" or each.name.startswith("pipeline.") for each in found.modules)
    assert found.architecture == "unknown"


@pytest.mark.parametrize("start", ["single_", "joint_"])
def test_a_part_of_a_name_is_no_wrapper(start: str) -> None:
    found = read(lora({f"{start}{name}": shape for name, shape in LAYERS["qwen"].items()}, ""))
    assert all(each.name.startswith(start) for each in found.modules)


def test_an_alpha_without_weights_changes_nothing() -> None:
    layers = lora(LAYERS["qwen"], "lora_unet_")
    found = read(layers | {"lora_unet_transformer_blocks_0_attn_to_q_extra.alpha": ()})
    assert found.unaccounted == ()
    assert len(found.modules) == len(LAYERS["qwen"])
