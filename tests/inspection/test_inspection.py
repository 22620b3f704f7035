"""Every family is told by the names and widths of its real modules, and by nothing else."""

import json
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from studio.architecture import LABELS
from studio.architecture.families.two_streams import FLUX1_ALIKE
from studio.contract.base import EMPTY_SHA256, canonical_json
from studio.inspection import LoraInspection, inspect
from studio.inspection.claims import MAX_CLAIMS, MAX_TEXT, hash_conflicts
from studio.inspection.header import parse
from tests.support.full_size import MODELS, UNETS, layers_of, weights_of
from tests.support.headers import Shapes, header, lora, only

TRANSFORMERS = [name for name in MODELS if name not in (*UNETS, "vae", "clip-768", "clip-128")]
FAMILIES = [*UNETS, *TRANSFORMERS]
ATTENTION = r"attn|attention"


def family(model: str) -> tuple[str, str | None]:
    """("flux2-klein-4b") → ("flux2", "klein-4b")."""
    name, _, variant = model.partition("-")
    return name, variant or None


def of(model: str, prefix: str, pattern: str = "") -> LoraInspection:
    return inspect(header(lora(only(layers_of(model), pattern), prefix)))


def prefixes(model: str) -> tuple[str, ...]:
    own = "unet." if model in UNETS else "transformer."
    return (own, "lora_unet_", "diffusion_model.", "base_model.model.", "")


FORMATS = ("diffusers", "kohya", "comfyui", "peft", "bare")


@pytest.mark.parametrize("model", FAMILIES)
def test_each_family_in_each_spelling(model: str) -> None:
    architecture, variant = family(model)
    component = "unet" if model in UNETS else "transformer"
    for prefix, spelling in zip(prefixes(model), FORMATS, strict=True):
        found = of(model, prefix)
        assert found.kind == "lora"
        assert found.architecture == architecture
        if architecture == "flux2":
            assert found.variant == variant
        assert found.format == spelling
        assert found.components == {component: len(layers_of(model))}
        assert found.unaccounted == ()
        assert found.ranks == (8,)
        assert LABELS[architecture] in found.evidence[0] or "FLUX.1" in found.evidence[0]


@pytest.mark.parametrize("model", FAMILIES)
def test_attention_alone_is_enough_where_it_can_be(model: str) -> None:
    for prefix in prefixes(model):
        found = of(model, prefix, ATTENTION)
        if model == "chroma":  # the same layers as FLUX.1's, and the file must say so
            assert found.architecture == "flux1"
            assert (
                "FLUX.1, Chroma, HunyuanVideo, Motif-Video, Bria, LongCat-Image and Ovis"
                in (found.evidence[1])
            )
        else:
            assert found.architecture == family(model)[0]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FAMILIES), st.booleans(), st.data())
def test_no_part_of_one_family_is_taken_for_another(
    model: str, kohya: bool, data: st.DataObject
) -> None:
    """Any few layers of a model are told rightly, or not told, with what they leave open."""
    names = sorted(layers_of(model))
    start = data.draw(st.integers(0, len(names) - 1))
    chosen = data.draw(st.sampled_from(names))
    pattern = re.compile(re.sub(r"\d+", r"\\d+", re.escape(chosen)))
    layers = {
        name: layers_of(model)[name]
        for name in [*names[start : start + 4], *filter(pattern.fullmatch, names)]
    }
    found = inspect(header(lora(layers, "lora_unet_" if kohya else "transformer.")))
    architecture = family(model)[0]
    if architecture == "chroma" and found.architecture == "flux1":
        assert "Chroma" in " ".join(found.evidence)
    elif found.architecture != architecture:
        assert found.architecture == "unknown"
        told = " ".join(found.evidence)
        assert "no family known here" in told or LABELS[architecture] in told


def test_the_deciding_sentence() -> None:
    sentences = {model: of(model, "lora_unet_").evidence[0] for model in FAMILIES}
    assert sentences["mini"] == "Cross-attention reads 128 features, as in Mini."
    assert sentences["sd15"] == "Cross-attention reads 768 features, as in Stable Diffusion 1.5."
    assert sentences["sdxl"] == "Cross-attention reads 2048 features, as in SDXL."
    assert sentences["flux2-klein-4b"] == (
        "Single blocks project 3072 features to 27648 at once (9 times), as in FLUX.2."
    )


def test_what_no_header_can_tell_is_said() -> None:
    assert (
        "FLUX.1 dev, schnell or Kontext: not decidable from this file."
        in of("flux1", "transformer.", "attn").evidence
    )
    with_guidance = of("flux1", "transformer.")
    assert with_guidance.variant == "dev"
    assert "FLUX.1 dev or Kontext: not decidable from this file." in with_guidance.evidence
    assert any("which FLUX.1 dev and Kontext have" in line for line in with_guidance.evidence)
    assert any("Turbo or base" in line for line in of("zimage", "transformer.").evidence)
    assert any("Pony" in line for line in of("sdxl", "unet.").evidence)
    only_self = of("sd15", "lora_unet_", r"attn1\.to_q")
    assert only_self.architecture == "unknown"
    assert only_self.evidence[1] == (
        "Stable Diffusion 1.5 and Stable Diffusion 2: which one is not decidable from this file."
    )


BFL = {
    "flux1": (3072, 19, 38, 12288, 21504, 15360),
    "flux2-klein-4b": (3072, 5, 20, 18432, 27648, 12288),
    "flux2-klein-9b": (4096, 8, 24, 24576, 36864, 16384),
    "flux2-dev": (6144, 8, 48, 36864, 55296, 24576),
}
"""Hidden width, double and single blocks, and outputs of the fused layers, in the names of
Black Forest Labs' own code, which kohya and ComfyUI use."""


def bfl(model: str) -> Shapes:
    hidden, doubles, singles, mlp, linear1, linear2 = BFL[model]
    layers: Shapes = {}
    for block in range(doubles):
        for stream in ("img", "txt"):
            layers[f"double_blocks.{block}.{stream}_attn.qkv"] = (3 * hidden, hidden)
            layers[f"double_blocks.{block}.{stream}_attn.proj"] = (hidden, hidden)
            layers[f"double_blocks.{block}.{stream}_mlp.0"] = (mlp, hidden)
    for block in range(singles):
        layers[f"single_blocks.{block}.linear1"] = (linear1, hidden)
        layers[f"single_blocks.{block}.linear2"] = (hidden, linear2)
    return layers


@pytest.mark.parametrize("model", BFL)
@pytest.mark.parametrize("prefix", ["lora_unet_", "diffusion_model."])
@pytest.mark.parametrize("pattern", ["", "linear1", "linear2", "mlp"])
def test_original_flux_names(model: str, prefix: str, pattern: str) -> None:
    found = inspect(header(lora(only(bfl(model), pattern), prefix)))
    if model == "flux1" and pattern:  # one kind of layer that others have too, not in every block
        assert (found.architecture, found.candidates) == ("unknown", FLUX1_ALIKE)
        return
    assert (found.architecture, found.variant) == family(model)


def test_flux_names_of_other_families_are_no_flux() -> None:
    hunyuan: Shapes = {f"double_blocks.{n}.img_attn_qkv": (9216, 3072) for n in range(20)}
    hunyuan |= {f"double_blocks.{n}.img_mlp.fc1": (12288, 3072) for n in range(20)}
    found = inspect(header(lora(hunyuan, "lora_unet_")))
    assert found.architecture == "hunyuanvideo"
    assert "HunyuanVideo" in found.evidence[0]
    narrow: Shapes = {f"single_blocks.{n}.linear1": (7 * 1024, 1024) for n in range(4)}
    assert inspect(header(lora(narrow, "lora_unet_"))).architecture == "unknown"


def test_widths_that_contradict_each_other_are_no_family() -> None:
    mixed = only(layers_of("sd15"), r"down_blocks.*attn2\.to_k")
    mixed |= only(layers_of("sdxl"), r"up_blocks.*attn2\.to_k")
    found = inspect(header(lora(mixed, "unet.")))
    assert found.architecture == "unknown"
    assert found.evidence[0] == (
        "Cross-attention reads 768 or 2048 features, as in no family known here."
    )


@pytest.mark.parametrize(
    ("inside", "spelling"),
    [
        ("transformer.", "diffusers"),
        ("diffusion_model.", "comfyui"),
        ("model.diffusion_model.", "comfyui"),
        ("", "peft"),
    ],
)
def test_what_peft_wraps_is_read_by_its_own_name(inside: str, spelling: str) -> None:
    plain, wrapped = of("flux1", inside), of("flux1", f"base_model.model.{inside}")
    for one, other in zip(wrapped.modules, plain.modules, strict=True):
        assert one.model_dump() == other.model_dump()
    assert (wrapped.architecture, wrapped.format) == ("flux1", spelling)
    assert set(wrapped.components) == {"transformer"}


T5: Shapes = {
    f"encoder.block.{block}.layer.{layer}": (4096, 4096)
    for block in range(2)
    for layer in ("0.SelfAttention.q", "0.SelfAttention.o")
}


@pytest.mark.parametrize(
    "prefix",
    ["lora_te3_", "text_encoders.t5xxl.transformer.", "t5xxl.transformer.", "text_encoder_3."],
)
def test_t5_is_the_second_of_flux_and_the_third_of_sd3(prefix: str) -> None:
    for model, component in (("flux1", "text_encoder_2"), ("sd3", "text_encoder_3")):
        shapes = lora(only(layers_of(model), ATTENTION), "transformer.") | lora(T5, prefix)
        assert inspect(header(shapes)).components[component] == len(T5)


@pytest.mark.parametrize(
    ("prefix", "model", "architecture"),
    [
        ("lora_te_text_model_", "clip-768", "sd15"),
        ("lora_te1_text_model_", "clip-768", "unknown"),
        ("text_encoder.", "clip-768", "unknown"),
        ("text_encoder.text_model.", "clip-128", "mini"),
        ("text_encoder.", "clip-128", "mini"),
        ("lora_te_text_model_", "clip-128", "mini"),
        ("text_encoders.clip_l.transformer.text_model.", "clip-128", "mini"),
        ("clip_l.transformer.text_model.", "clip-128", "mini"),
        ("base_model.model.text_model.", "clip-128", "mini"),
        ("base_model.model.text_encoder.", "clip-128", "mini"),
    ],
)
def test_text_encoder_alone(prefix: str, model: str, architecture: str) -> None:
    found = inspect(header(lora(only(layers_of(model), r"_proj|fc\d"), prefix)))
    assert found.architecture == architecture
    assert "It changes text encoders alone." in found.evidence
    assert set(found.components) == {"text_encoder"}


def test_a_claim_stands_beside_what_tensors_leave_open() -> None:
    layers = lora(only(layers_of("chroma"), ATTENTION), "transformer.")
    found = inspect(header(layers, {"modelspec.architecture": "chroma/lora"}))
    assert found.architecture == inspect(header(layers)).architecture == "flux1"
    assert found.candidates == FLUX1_ALIKE
    assert any("The file claims Chroma" in line for line in found.evidence)
    assert found.conflicts == ()
    default = inspect(
        header(
            lora(only(layers_of("sdxl"), r"^down.*blocks\.0\.attn1\.to_[qkv]"), "unet."),
            {"ss_base_model_version": "sd_1.5"},
        )
    )
    assert default.architecture == "unknown"
    assert default.components == {"unet": 12}
    lying = inspect(header(layers, {"ss_base_model_version": "sdxl_base_v1-0"}))
    assert lying.architecture == "flux1"
    assert lying.conflicts == (
        "The file claims SDXL (ss_base_model_version); its tensors say FLUX.1.",
    )
    default = inspect(header(lora(layers_of("zimage"), ""), {"ss_base_model_version": "sd_1.5"}))
    assert default.architecture == "zimage"
    assert default.claims == {"ss_base_model_version": "sd_1.5"}


CLAIMS = {
    "sd_v1": "Stable Diffusion 1.5",
    "sd_1.5": "Stable Diffusion 1.5",
    "sd_v2_v": "Stable Diffusion 2",
    "stable-diffusion-v2-768-v/lora": "Stable Diffusion 2",
    "sdxl_base_v1-0": "SDXL",
    "stable-diffusion-xl-v1-base/lora": "SDXL",
    "stable-diffusion-xl-v1-refiner/lora": "SDXL's refiner",
    "sd3": "Stable Diffusion 3",
    "stable-diffusion-3-medium/lora": "Stable Diffusion 3",
    "flux1": "FLUX.1",
    "flux.1": "FLUX.1",
    "flux-1-dev/lora": "FLUX.1",
    "flux2_klein_4b": "FLUX.2",
    "flux_2_dev": "FLUX.2",
    "chroma": "Chroma",
    "qwen_image_edit": "Qwen-Image",
    "z_image": "Z-Image",
    "zimage": "Z-Image",
    "wan2.1_14b": "Wan",
    "lumina-2": "Lumina 2",
    "hunyuan-video": "HunyuanVideo",
    "hunyuan_video/lora": "HunyuanVideo",
    "auraflow": "AuraFlow",
    "krea-2": "Krea 2",
    "krea2": "Krea 2",
    "anima-preview": "Anima",
    "kolors": "Kolors",
    "hunyuan_video_1.5": "HunyuanVideo 1.5",
    "hunyuan_image_2.1": "HunyuanImage",
    "motif-video": "Motif-Video",
    "bria": "Bria",
    "longcat_image": "LongCat-Image",
    "ovis_image": "Ovis-Image",
    "cosmos-predict2": "Cosmos-Predict 2",
    "flux.3": "FLUX.3",
}


def test_every_family_can_be_claimed() -> None:
    assert {*CLAIMS.values(), "Mini"} == set(LABELS.values())


@pytest.mark.parametrize("key", ["ss_base_model_version", "modelspec.architecture"])
@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_are_understood(claim: str, key: str) -> None:
    shapes = lora(only(layers_of("mini"), "attn2"), "unet.")
    assert inspect(header(shapes, {key: claim})).conflicts == (
        f"The file claims {CLAIMS[claim]} ({key}); its tensors say Mini.",
    )


@pytest.mark.parametrize("key", ["ss_base_model_version", "modelspec.architecture"])
@pytest.mark.parametrize("claim", ["animagine-xl-3", "wander", "hidream_i1"])
def test_a_claim_that_nobody_knows_is_a_doubt(claim: str, key: str) -> None:
    shapes = lora(only(layers_of("mini"), "attn2"), "unet.")
    (conflict,) = inspect(header(shapes, {key: claim})).conflicts
    assert claim in conflict
    assert key in conflict
    assert inspect(header(shapes, {key: ""})).conflicts == ()


BASE, SPEC = "ss_base_model_version", "modelspec.architecture"


@pytest.mark.parametrize(
    ("model", "metadata", "sentences"),
    [
        # A right claim does not hide a wrong one.
        (
            "sdxl",
            {SPEC: "stable-diffusion-xl-v1-base/lora", BASE: "sd_v1"},
            [f"The file claims Stable Diffusion 1.5 ({BASE}); its tensors say SDXL."],
        ),
        (
            "sdxl",
            {SPEC: "flux-1-dev/lora", BASE: "sd_v1"},
            [
                f"The file claims FLUX.1 ({SPEC}); its tensors say SDXL.",
                f"The file claims Stable Diffusion 1.5 ({BASE}); its tensors say SDXL.",
            ],
        ),
        (
            "sd15",
            {"ss_v2": "True", BASE: "sd_v1"},
            ["The file claims Stable Diffusion 2 (ss_v2); its tensors say Stable Diffusion 1.5."],
        ),
        ("sd15", {"ss_v2": "False"}, []),
        ("sd2", {"ss_v2": "True"}, []),
        (
            "flux2-klein-4b",
            {BASE: "flux2_klein_9b"},
            [f"The file claims FLUX.2 klein-9b ({BASE}); its tensors say FLUX.2 klein-4b."],
        ),
        (
            "flux2-klein-9b",
            {BASE: "flux_2_dev"},
            [f"The file claims FLUX.2 dev ({BASE}); its tensors say FLUX.2 klein-9b."],
        ),
        ("flux2-klein-4b", {BASE: "flux_2_klein_base_4b"}, []),
        ("flux2-klein-4b", {BASE: "flux2"}, []),
        (
            "flux1",
            {SPEC: "flux-1-schnell/lora"},
            [f"The file claims FLUX.1 schnell ({SPEC}); its tensors say FLUX.1 dev."],
        ),
        ("flux1", {SPEC: "flux-1-kontext-dev/lora"}, []),
        ("flux1", {SPEC: "flux-1-dev/lora", BASE: "flux1"}, []),
        (
            "wan",
            {BASE: "wan2.1_1.3b"},
            [f"The file claims Wan 1.3b ({BASE}); its tensors say Wan 14b."],
        ),
    ],
)
def test_each_claim_that_the_tensors_contradict_is_said(
    model: str, metadata: dict[str, str], sentences: list[str]
) -> None:
    found = inspect(header(lora(layers_of(model), "lora_unet_"), metadata))
    assert list(found.conflicts) == sentences


def test_what_the_tensors_leave_open_is_no_conflict() -> None:
    attention = lora(only(layers_of("flux1"), ATTENTION), "transformer.")
    assert inspect(header(attention, {SPEC: "flux-1-schnell/lora"})).conflicts == ()
    assert inspect(header(attention, {SPEC: "hunyuan-video"})).conflicts == ()


def test_alpha_is_known_only_where_it_can_be() -> None:
    layers = only(layers_of("mini"), r"attn2\.to_[kq]")
    kohya = header(lora(layers, "lora_unet_"))
    unread = inspect(kohya)
    assert unread.alphas == ()
    assert all(m.alpha_in_file and m.alpha is None and m.scale is None for m in unread.modules)
    values = {name: 4.0 for name in kohya.tensors if name.endswith(".alpha")}
    read = inspect(kohya, values)
    assert read.alphas == (4.0,)
    assert {module.scale for module in read.modules} == {0.5}
    silent = inspect(header(lora(layers, "unet.")))
    assert {(m.alpha_in_file, m.scale) for m in silent.modules} == {(False, 1.0)}


def configured(**settings: object) -> LoraInspection:
    metadata = {f"unet.{key}": value for key, value in settings.items()}
    layers = only(layers_of("mini"), r"down_blocks\.0.*attn2\.to_[kq]$")
    shapes = lora(layers, "unet.", rank=4)
    return inspect(header(shapes, {"lora_adapter_metadata": json.dumps(metadata)}))


def test_diffusers_metadata_gives_alpha() -> None:
    assert {m.scale for m in configured(r=4, lora_alpha=8).modules} == {2.0}
    assert {m.scale for m in configured(r=4, lora_alpha=8, use_rslora=True).modules} == {4.0}
    mixed = configured(r=4, lora_alpha=8, alpha_pattern={"attn2.to_k": 2})
    assert {m.name.rsplit(".", 1)[1]: m.scale for m in mixed.modules} == {"to_k": 0.5, "to_q": 2.0}
    for strange in ({".*(a+)+$": 2}, {"attn2.to_k": "2"}):
        assert {m.scale for m in configured(lora_alpha=8, alpha_pattern=strange).modules} == {None}
    assert {m.alpha_in_file for m in configured(lora_alpha="8").modules} == {False}
    assert {m.alpha_in_file for m in configured(lora_alpha=10**400).modules} == {False}


def test_lycoris_and_dora() -> None:
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    loha = {
        f"{stem}.hada_{p}": s
        for p, s in zip(
            ("w1_a", "w1_b", "w2_a", "w2_b"), ((320, 4), (4, 768), (320, 4), (4, 768)), strict=True
        )
    }
    lokr = {f"{stem}.lokr_w1": (8, 16), f"{stem}.lokr_w2_a": (40, 4), f"{stem}.lokr_w2_b": (4, 48)}
    dora = lora(
        {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (320, 768)}, "lora_unet_"
    ) | {f"{stem}.dora_scale": (320, 1)}
    full = {f"{stem}.diff": (320, 768), f"{stem}.diff_b": (320,)}
    for shapes, name, rank in (
        (loha, "loha", 4),
        (lokr, "lokr", 4),
        (dora, "dora", 8),
        (full, "kohya", None),
    ):
        found = inspect(header(shapes))
        assert (found.format, found.architecture, found.unaccounted) == (name, "sd15", ())
        (module,) = found.modules
        assert (module.in_features, module.out_features, module.rank) == (768, 320, rank)


@pytest.mark.parametrize(
    "parts",
    [
        {"hada_w1_a": (64, 0), "hada_w1_b": (0, 64), "hada_w2_a": (64, 0), "hada_w2_b": (0, 64)},
        {"hada_w1_a": (64, 4), "hada_w1_b": (4, 64), "hada_w2_a": (64, 2), "hada_w2_b": (2, 64)},
        {"hada_w1_a": (4, 64), "hada_w1_b": (4, 64), "hada_w2_a": (4, 64), "hada_w2_b": (4, 64)}
        | {"hada_t1": (4, 5, 1, 1), "hada_t2": (4, 5, 1, 1)},
        {"lokr_w1": (8, 8), "lokr_w2_a": (8, 0), "lokr_w2_b": (0, 8)},
        {"lokr_w1": (8, 8), "lokr_w2_a": (4, 8), "lokr_w2_b": (4, 8), "lokr_t2": (4, 3, 1, 1)},
        {"lora_down.weight": (4, 64, 3, 3), "lora_up.weight": (64, 4)}
        | {"lora_mid.weight": (4, 4, 3, 3)},
        {"lora_down.weight": (0, 64), "lora_up.weight": (64, 0)},
    ],
)
def test_factors_that_cannot_be_multiplied_make_no_whole_layer(parts: Shapes) -> None:
    """Of rank 0 too: alpha is divided by it."""
    shapes = {f"lora_unet_mid_block_attentions_0_proj_in.{name}": s for name, s in parts.items()}
    other = lora({"mid_block.attentions.0.proj_out": (64, 64)}, "lora_unet_")
    found = inspect(header(shapes | other))
    assert set(found.unaccounted) == set(shapes)
    assert len(found.modules) == 1


def test_old_diffusers_and_xlabs_spellings() -> None:
    old = {
        "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora." + side: s
        for side, s in (("down.weight", (4, 768)), ("up.weight", (1280, 4)))
    }
    found = inspect(header(old))
    assert found.architecture == "sd15"
    assert found.modules[0].name.endswith("attn2.processor.to_k")
    xlabs = {
        f"double_blocks.{n}.processor.qkv_lora{s}.{side}.weight": shape
        for n in range(19)
        for s in (1, 2)
        for side, shape in (("down", (16, 3072)), ("up", (9216, 16)))
    }
    found = inspect(header(xlabs))
    assert (found.architecture, found.format, len(found.modules)) == ("flux1", "xlabs", 38)


def test_tensors_without_a_place_are_named() -> None:
    shapes = lora(only(layers_of("mini"), r"attn2\.to_k"), "unet.")
    lonely = next(name for name in shapes if "lora_B" in name)
    broken = {name: shape for name, shape in shapes.items() if name != lonely}
    found = inspect(header(broken | {"unet.conv_in.oft_blocks": (4, 4)}))
    assert found.unaccounted == ("unet.conv_in.oft_blocks", lonely.replace("lora_B", "lora_A"))
    uneven = shapes | {lonely: (shapes[lonely][0], 9)}
    assert lonely in inspect(header(uneven)).unaccounted


@pytest.mark.parametrize(
    ("model", "prefix", "kind"),
    [
        ("sdxl", "model.diffusion_model.", "checkpoint"),
        ("qwen", "", "checkpoint"),
        ("zimage", "model.diffusion_model.", "checkpoint"),
        ("mini", "", "checkpoint"),
        ("vae", "", "vae"),
        ("vae", "first_stage_model.", "vae"),
        ("clip-768", "text_model.", "text encoder"),
    ],
)
def test_what_is_no_lora(model: str, prefix: str, kind: str) -> None:
    found = inspect(header({prefix + name: s for name, s in weights_of(model).items()}))
    assert found.kind == kind
    assert found.modules == ()
    assert found.architecture == (model if kind == "checkpoint" else "unknown")
    assert len(found.unaccounted) == len(weights_of(model))


def test_embeddings_and_strangers() -> None:
    assert inspect(header({"emb_params": (8, 768)})).kind == "embedding"
    xl = inspect(header({"clip_l": (4, 768), "clip_g": (4, 1280)}))
    assert (xl.kind, xl.architecture) == ("embedding", "sdxl")
    assert inspect(header({"words.of.a.stranger": (4, 4)})).kind == "unknown"
    control = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}
    assert inspect(header(control | weights_of("sd15"))).kind == "controlnet"


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        (
            "ip-adapter",
            {"image_proj.proj.weight": (64, 32), "ip_adapter.1.to_k_ip.weight": (8, 9)},
        ),
        ("upscaler", {"body.0.rdb1.conv1.weight": (32, 64, 3, 3), "conv_first.bias": (64,)}),
        ("text encoder", {"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}),
        ("text encoder", {"model.layers.0.self_attn.q_proj.weight": (4096, 3584)}),
        ("checkpoint", {"model.diffusion_model.blocks.0.weird.weight": (128, 1)}),
        ("controlnet", {"lora_controlnet": (), "input_blocks.1.1.proj_in.up": (320, 8)}),
    ],
)
def test_other_files_are_called_what_they_are(kind: str, shapes: Shapes) -> None:
    found = inspect(header(shapes))
    assert (found.kind, found.architecture) == (kind, "unknown")
    assert found.evidence[0].startswith("It h")


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_files_own_hash_is_a_claim() -> None:
    assert EMPTY == EMPTY_SHA256
    data = "ab" * 32
    for claim, says in (
        (EMPTY, "empty hash"),
        (EMPTY[:12], "empty hash"),
        ("cd" * 32, "abababab"),
    ):
        (conflict,) = hash_conflicts({"sshs_model_hash": claim}, data)
        assert says in conflict
    assert hash_conflicts({"sshs_model_hash": data.upper()}, data) == ()
    assert hash_conflicts({"sshs_model_hash": "cd" * 32}, None) == ()
    assert hash_conflicts({}, data) == ()


def test_everything_short_that_a_file_says_of_itself_is_shown() -> None:
    """The important keys first, the others by name; what is no trainer's is left alone."""
    metadata = {
        "format": "pt",
        "ss_steps": "1600",
        "ss_optimizer": "torch.optim.adamw.AdamW\n(weight_decay=0.01)",
        "ss_new_sd_model_hash": "ab" * 32,
        "ss_bucket_info": json.dumps({"buckets": list(range(200))}),
        "ss_training_comment": "x" * 400,
        "modelspec.description": "ink on paper",
        "modelspec.date": "2026-11-01",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "Ink",
        "ss_noise_offset": "",
    }
    found = inspect(header(lora(only(layers_of("mini"), "attn2"), "unet."), metadata)).claims
    assert list(found) == [
        "modelspec.title",
        "ss_training_comment",
        "modelspec.date",
        "modelspec.description",
        "modelspec.implementation",
        "ss_bucket_info",
        "ss_new_sd_model_hash",
        "ss_optimizer",
        "ss_steps",
    ]
    assert found["modelspec.description"] == "ink on paper"
    assert found["ss_optimizer"] == "torch.optim.adamw.AdamW (weight_decay=0.01)"
    assert found["ss_bucket_info"] == "(903 characters, too long to show)"
    assert len(found["ss_training_comment"]) == MAX_TEXT
    many = {f"ss_{number:04}": "x" for number in range(3000)} | {"modelspec.title": "Ink"}
    shown = inspect(header(lora(only(layers_of("mini"), "attn2"), "unet."), many)).claims
    assert list(shown)[:2] == ["modelspec.title", "ss_0000"]
    assert len(shown) == MAX_CLAIMS


def test_trigger_hints() -> None:
    metadata = {
        "modelspec.trigger_phrase": "phr sink\n",
        "ss_tag_frequency": json.dumps({"10_sks dog": {"sks": 20, "dog": 20, "grass": 3}}),
        "ss_output_name": "my lora",
    }
    found = inspect(header(lora(layers_of("mini"), "unet."), metadata))
    assert found.trigger_hints == ("phr sink", "sks", "dog", "sks dog")
    assert found.claims["ss_output_name"] == "my lora"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["ss_tag_frequency", "lora_adapter_metadata", "modelspec.architecture"])
STEMS = st.sampled_from(["unet.a", "lora_unet_down_blocks_0_attn2_to_k", "x", "lora_te_", "text"])
PARTS = st.sampled_from(
    [
        ".lora_A.weight",
        ".lora_B.default.weight",
        ".alpha",
        ".hada_w1_a",
        ".hada_t1",
        ".lokr_w1",
        ".lokr_w2_b",
        ".lokr_t2",
        ".diff",
        ".dora_scale",
        ".lora_mid.weight",
        "",
        ".weight",
    ]
)


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.tuples(STEMS, PARTS).map("".join),
        st.lists(st.integers(0, 5), max_size=5).map(tuple),
        min_size=1,
    ),
    st.dictionaries(KEYS, JSON.map(json.dumps) | st.text(max_size=20)),
)
def test_any_valid_header_has_a_verdict(shapes: Shapes, metadata: dict[str, str]) -> None:
    found = inspect(header(shapes, metadata))
    assert canonical_json(found.model_dump(mode="json"))
    accounted = [name for module in found.modules for name in module.tensors.values()]
    named = {*accounted, *found.unaccounted}
    assert len(accounted) + len(found.unaccounted) == len(named)
    # An alpha whose layer has no weights does nothing, and nothing is said of it.
    assert all(name.endswith(".alpha") for name in shapes.keys() - named)
    assert found.kind in ("lora", "embedding", "unknown", "checkpoint")


def test_a_real_file_of_peft() -> None:
    """What get_peft_model_state_dict writes for a real UNet is wholly understood."""
    from peft import LoraConfig, get_peft_model_state_dict

    from tests.support.full_size import build

    unet: Any = build("mini")
    unet.add_adapter(LoraConfig(r=4, target_modules=["to_k", "to_q", "conv1", "proj_in"]))
    state = {f"unet.{k}": torch.zeros_like(v) for k, v in get_peft_model_state_dict(unet).items()}
    data = save(state)
    found = inspect(parse(data, len(data)))
    assert (found.architecture, found.format, found.unaccounted) == ("mini", "diffusers", ())
    names = {name for name, module in unet.named_modules() if hasattr(module, "lora_A")}
    assert {module.name for module in found.modules} == names
