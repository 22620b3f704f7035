"""A LoRA's layers are matched with a base's modules by name and width, whoever wrote them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.inspection import inspect
from studio.inspection.fit import Fit, check_fit
from tests.support.full_size import UNETS, layers_of, weights_of
from tests.support.headers import Shapes, header, lora, only


def modules_of(found: Fit, component: str) -> set[str]:
    """The base's modules that the file changes."""
    return {
        slot.module
        for placement in found.placements
        if placement.component == component
        for slot in placement.slots
    }


ADAPTED = r"to_[qkv]$|to_out\.0|conv[12]$|proj_in|ff\.net"
TEXT = r"_proj$|fc[12]$"
MINI = {"unet": weights_of("mini"), "text_encoder": weights_of("clip-128"), "vae": {}}


def fit(tensors: Shapes, base: dict[str, Shapes] | None = None, label: str = "Mini") -> Fit:
    return check_fit(inspect(header(tensors)), MINI if base is None else base, label)


@pytest.mark.parametrize("model", UNETS)
@pytest.mark.parametrize("prefix", ["unet.", "lora_unet_"])
def test_a_lora_fits_the_base_it_was_made_for(model: str, prefix: str) -> None:
    layers = only(layers_of(model), ADAPTED)
    found = fit(lora(layers, prefix), {"unet": weights_of(model)})
    assert found.fits
    assert found.evidence == ()
    assert found.matched == {"unet": len(layers)}
    assert modules_of(found, "unet") == set(layers)


@pytest.mark.parametrize("base_has_root", [True, False])
@pytest.mark.parametrize(
    "prefix",
    [
        "text_encoder.",
        "text_encoder.text_model.",
        "lora_te_text_model_",
        "lora_te1_text_model_",
        "lora_te_",
        "clip_l.transformer.text_model.",
        "text_encoders.clip_l.transformer.text_model.",
        "base_model.model.text_encoder.",
    ],
)
def test_text_encoder_names_with_and_without_their_root(prefix: str, base_has_root: bool) -> None:
    root = "text_model." if base_has_root else ""
    weights = {root + name: shape for name, shape in weights_of("clip-128").items()}
    layers = only(layers_of("clip-128"), TEXT)
    found = fit(lora(layers, prefix), {"text_encoder": weights})
    assert found.fits
    assert modules_of(found, "text_encoder") == {root + name for name in layers}


def test_a_file_of_sd15_shows_both_sides() -> None:
    found = fit(lora(only(layers_of("sd15"), ADAPTED), "lora_unet_"))
    assert not found.fits
    assert found.matched == {}
    assert found.evidence[0] == "The file's cross-attention reads 768 features; Mini's reads 128."
    assert "do not exist in Mini" in found.evidence[1]
    clash = next(item for item in found.mismatched if item.module.endswith("attn2.to_k"))
    assert (clash.file[0], clash.base[0]) == (768, 128)


def test_a_text_encoder_of_sd15_shows_both_sides() -> None:
    found = fit(lora(only(layers_of("clip-768"), TEXT), "text_encoder."))
    assert found.evidence[0] == "The file's text encoder reads 768 features; Mini's reads 128."


def test_a_file_of_flux_changes_what_mini_has_not() -> None:
    found = fit(lora(layers_of("flux1"), "transformer."))
    assert found.evidence == (
        "The file changes transformer, which Mini does not have (it has text_encoder, unet, vae).",
    )
    assert len(found.missing) == len(layers_of("flux1"))


def test_one_strange_layer_is_enough() -> None:
    layers = only(layers_of("mini"), ADAPTED)
    stranger = {"down_blocks.7.attentions.0.proj_in": (64, 64, 1, 1)}
    found = fit(lora(layers | stranger, "unet."))
    assert found.missing == ("unet.down_blocks.7.attentions.0.proj_in",)
    assert found.matched == {"unet": len(layers)}
    assert not found.fits
    assert found.evidence == (
        "1 layer of the file does not exist in Mini: down_blocks.7.attentions.0.proj_in.",
    )


def test_another_kernel_is_another_layer() -> None:
    name = "down_blocks.0.resnets.0.conv1"
    assert layers_of("mini")[name] == (64, 64, 3, 3)
    found = fit(lora({name: (64, 64, 1, 1)}, "unet."))
    (clash,) = found.mismatched
    assert (clash.file, clash.base) == ((64, 64, 1, 1), (64, 64, 3, 3))
    assert "kernel 1×1 in the file, 64 and 64, kernel 3×3 in Mini" in found.evidence[0]


def test_a_layer_that_two_spellings_claim() -> None:
    layers = only(layers_of("mini"), r"mid_block.*attn2\.to_k|down_blocks\.0.*attn2\.to_k")
    assert layers
    found = fit(lora(layers, "unet.") | lora(layers, "lora_unet_"))
    assert not found.fits
    assert found.doubled == tuple(f"unet.{name}" for name in layers)


@pytest.mark.parametrize("other", [(64, 64), (64, 32)])
@pytest.mark.parametrize("name", ["mid_block.attentions.0.proj_in", "of.no.base"])
def test_one_layer_under_two_prefixes(name: str, other: tuple[int, int]) -> None:
    """Whether it fits or not: they have one name, and a waiver could not tell them apart."""
    rest = lora(only(layers_of("mini"), r"attn2\.to_[kv]"), "unet.")
    twice = lora({name: (64, 64)}, "unet.") | lora({name: other}, "diffusion_model.")
    found = fit(rest | twice)
    assert found.doubled == (f"unet.{name}",)
    assert f"The file changes one layer twice: unet.{name}." in found.evidence
    assert not found.fits


def test_tensors_without_a_layer_do_not_fit() -> None:
    tensors = lora(only(layers_of("mini"), ADAPTED), "unet.")
    found = fit(tensors | {"unet.conv_in.oft_blocks": (4, 4)})
    assert not found.fits
    assert found.evidence == (
        "Tensors of the file belong to no whole layer: unet.conv_in.oft_blocks.",
    )


def test_a_bias_of_another_width_makes_no_whole_layer() -> None:
    stem = "lora_unet_time_embedding_linear_1"
    weight = {f"{stem}.diff": layers_of("mini")["time_embedding.linear_1"]}
    assert fit(weight | {f"{stem}.diff_b": (256,)}).fits
    found = fit(weight | {f"{stem}.diff_b": (255,)})
    assert found.unaccounted == (f"{stem}.diff", f"{stem}.diff_b")


@pytest.mark.parametrize(
    ("weight", "bias", "prefix"),
    [(".diff", ".diff_b", "diffusion_model."), (".w_norm", ".b_norm", "lora_unet_")],
    ids=["ComfyUI", "LyCORIS"],
)
def test_norms_are_said_to_be_norms(weight: str, bias: str, prefix: str) -> None:
    """ComfyUI's export holds every norm of the model, LyCORIS's with ``train_norm``."""
    layers = only(layers_of("mini"), ADAPTED)
    names = [f"down_blocks.0.attentions.0.transformer_blocks.0.norm{n}" for n in (1, 2, 3)]
    spelled = [name.replace(".", "_") if "lora_" in prefix else name for name in names]
    norms = {f"{prefix}{name}{part}": (64,) for name in spelled for part in (weight, bias)}
    found = fit(lora(layers, prefix) | norms)
    assert found.norms == tuple(f"unet.{name}" for name in spelled)
    assert found.unplaced == set(found.norms)
    assert found.matched == {"unet": len(layers)}
    assert not found.fits
    (sentence,) = found.evidence
    assert sentence == (
        "The file changes 3 norms, and only linear and convolution layers can be changed here: "
        f"{', '.join(found.norms)}."
    )
    alone = inspect(header(norms))
    assert (alone.kind, alone.architecture) == ("lora", "unknown")


def test_what_is_no_lora_fits_nothing() -> None:
    found = fit(weights_of("mini"))
    assert not found.fits
    assert found.evidence == ("The file has no LoRA layers for Mini.",)


def test_lycoris_folds_a_kernel() -> None:
    stem = "lora_unet_down_blocks_0_resnets_0_conv1"
    parts = {"w1_a": (64, 4), "w1_b": (4, 64 * 9), "w2_a": (64, 4), "w2_b": (4, 64 * 9)}
    assert fit({f"{stem}.hada_{part}": shape for part, shape in parts.items()}).fits


def test_old_attention_processors() -> None:
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    tensors: Shapes = {}
    for layer in ("to_q", "to_out"):
        tensors[f"unet.{module}.processor.{layer}_lora.down.weight"] = (4, 64)
        tensors[f"unet.{module}.processor.{layer}_lora.up.weight"] = (64, 4)
    found = fit(tensors)
    assert modules_of(found, "unet") == {f"{module}.to_q", f"{module}.to_out.0"}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(UNETS), st.sampled_from(UNETS), st.booleans(), st.integers(0, 7))
def test_no_unet_takes_the_cross_attention_of_another(
    made_for: str, tried_on: str, kohya: bool, index: int
) -> None:
    layers = list(only(layers_of(made_for), r"attn2\.to_[kv]$").items())
    some = dict(layers[index : index + 3]) or dict(layers[:3])
    tensors = lora(some, "lora_unet_" if kohya else "unet.")
    assert fit(tensors, {"unet": weights_of(tried_on)}).fits is (made_for == tried_on)
