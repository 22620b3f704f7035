"""A file that is not a LoRA is called what it is, and metadata of any JSON are read."""

import json

import pytest

from studio.errors import HeaderError
from studio.inspection import inspect
from studio.inspection.header import MAX_HEADER, SafetensorsHeader, parse
from tests.support import worlds
from tests.support.full_size import weights_of
from tests.support.headers import Shapes, entries, framed, header, lora

LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PEFT = "base_model.model.transformer_blocks.0.attn.to_q"
KINDS: dict[str, dict[str, Shapes]] = {
    "oft": {
        "kohya": {f"{LAYER.replace('lora_', 'oft_')}.oft_blocks": (4, 80, 80)},
        "peft": {f"{PEFT}.oft_R.weight": (40, 28)},
        "an older peft": {f"{PEFT}.oft_r.default": (4, 80, 80)},
    },
    "diag-oft": {
        "LyCORIS": {f"{LAYER}.oft_blocks": (4, 80, 80), f"{LAYER}.alpha": ()},
        "its first form": {f"{LAYER}.oft_diag": (4, 80, 80)},
    },
    "boft": {
        "LyCORIS": {f"{LAYER}.oft_blocks": (2, 4, 80, 80), f"{LAYER}.rescale": (320, 1)},
        "peft": {f"{PEFT}.boft_R": (1, 4, 4, 4), f"{PEFT}.boft_s": (320, 1)},
    },
    "ia3": {
        "LyCORIS": {f"{LAYER}.weight": (1, 320), f"{LAYER}.on_input": ()},
        "peft": {f"{PEFT}.ia3_l": (320, 1)},
    },
    "glora": {
        "LyCORIS": {f"{LAYER}.{part}.weight": (4, 4) for part in ("a1", "a2", "b1", "b2")},
    },
    "lora list": {
        "cloneofsimo": {
            f"{part}:{n}:{side}": (4, 4)
            for part in ("unet", "text_encoder")
            for n in range(3)
            for side in ("up", "down")
        },
        "without its component": {"0:up": (4, 4), "0:down": (4, 4)},
    },
    "nunchaku": {
        "converted": {
            "single_transformer_blocks.0.qkv_proj.lora_down": (3072, 32),
            "single_transformer_blocks.0.qkv_proj.lora_up": (9216, 32),
        },
    },
    "vera": {
        "peft": {
            f"{PEFT}.vera_lambda_b": (320,),
            f"{PEFT}.vera_lambda_d": (8,),
            "base_model.vera_A": (8, 320),
            "base_model.vera_B": (320, 8),
        },
    },
    "vb-lora": {"peft": {f"{PEFT}.vblora_logits_A": (4, 8, 90)}},
    "hra": {"peft": {f"{PEFT}.hra_u": (320, 8)}},
    "bone": {
        "peft": {f"{PEFT}.bone_block": (8, 320)},
        "its later name": {f"{PEFT}.miss_block.weight": (8, 320)},
    },
    "fourierft": {"peft": {f"{PEFT}.fourierft_spectrum": (100,)}},
    "peft adapter": {
        "C3A": {f"{PEFT}.c3a_kernel": (4, 4, 8)},
        "RandLora": {f"{PEFT}.randlora_lambda": (4, 8)},
        "DeLoRA": {f"{PEFT}.delora_A": (8, 320), f"{PEFT}.delora_lambda": ()},
    },
    "hypernetwork": {
        "A1111": {"320.0.linear.0.weight": (640, 320), "320.0.linear.2.weight": (320, 640)},
    },
    "t2i-adapter": {
        "diffusers": {"adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3)},
        "Tencent": {"body.0.block1.weight": (320, 320, 3, 3)},
    },
    "image encoder": {
        "CLIP": {"visual_projection.weight": (1024, 1280)},
        "SigLIP": {"vision_model.encoder.layers.0.self_attn.q_proj.weight": (1152, 1152)},
    },
    "vae": {"TAESD": {"decoder.layers.0.weight": (64, 4, 3, 3)}},
    "ip-adapter": {
        "PuLID": {"pulid_ca.0.to_q.weight": (4, 4), "id_adapter.proj_out": (4, 4)},
        "PhotoMaker": {"id_encoder.visual_projection_2.weight": (1280, 1024)},
        "Redux": {"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288)},
        "Tencent": {"image_proj.proj.weight": (4, 4), "ip_adapter.1.to_k_ip.weight": (4, 4)},
        "XLabs": {
            "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight": (3072, 4096),
            "ip_adapter_proj_model.proj.weight": (4, 4),
        },
    },
    "controlnet": {
        "Stability's control LoRA": {"lora_controlnet": (), "input_blocks.0.0.weight": (4, 4)},
        "FLUX": {"controlnet_x_embedder.weight": (3072, 64), "x_embedder.weight": (3072, 64)},
        "Qwen-Image": {"controlnet_blocks.0.weight": (3072, 3072)},
        "Z-Image": {"control_layers.0.attention.to_q.weight": (3840, 3840)},
        "Wan": {"control_blocks.0.after_proj.weight": (4, 4)},
        "LLLite": {"lllite_unet_input_blocks_1_1_attn1_to_q.down.0.weight": (4, 4)},
    },
    "text encoder": {
        "OpenCLIP": {"transformer.resblocks.0.attn.in_proj_weight": (3072, 1024)},
        "OpenCLIP's tower": {"visual.transformer.resblocks.0.attn.in_proj_weight": (3072, 1024)},
    },
}


@pytest.mark.parametrize(
    ("kind", "tensors"),
    [(kind, tensors) for kind, files in KINDS.items() for tensors in files.values()],
    ids=[f"{kind}, {name}" for kind, files in KINDS.items() for name in files],
)
def test_what_it_is(kind: str, tensors: Shapes) -> None:
    found = inspect(header(tensors))
    assert found.kind == kind
    assert found.modules == ()
    assert found.evidence


def test_embeddings_in_a_loras_file_are_named() -> None:
    tensors = lora({"transformer_blocks.0.attn.to_q": (3072, 3072)}, "transformer.")
    tensors["bundle_emb.mychar.string_to_param.*"] = (4, 768)
    found = inspect(header(tensors))
    assert found.kind == "lora"
    assert found.unaccounted == ("bundle_emb.mychar.string_to_param.*",)
    assert "mychar" in found.evidence[-1]


def checkpoint(model: str, entry: str, reads: int) -> Shapes:
    """A whole denoiser, in the names of its authors' prefix, whose first layer reads so many."""
    tensors = {f"model.diffusion_model.{name}": shape for name, shape in weights_of(model).items()}
    name = f"model.diffusion_model.{entry}.weight"
    tensors[name] = (tensors[name][0], reads, *tensors[name][2:])
    return tensors


@pytest.mark.parametrize(
    ("model", "entry", "reads", "says"),
    [
        ("sd15", "conv_in", 9, "inpainting"),
        ("sd15", "conv_in", 8, "InstructPix2Pix"),
        ("sd2", "conv_in", 5, "depth"),
        ("sdxl", "conv_in", 9, "inpainting"),
        ("flux1", "x_embedder", 384, "Fill"),
        ("flux1", "x_embedder", 128, "Canny or Depth"),
        ("sd15", "conv_in", 4, ""),
        ("sdxl", "conv_in", 4, ""),
        ("flux1", "x_embedder", 64, ""),
        ("flux2-klein-4b", "x_embedder", 128, ""),
    ],
)
def test_what_a_checkpoint_is_made_for(model: str, entry: str, reads: int, says: str) -> None:
    found = inspect(header(checkpoint(model, entry, reads)))
    assert found.kind == "checkpoint"
    made_for = [line for line in found.evidence if "It is made for" in line]
    assert [says in line for line in made_for] == ([True] if says else [])


@pytest.mark.parametrize(
    ("reads", "codes"), [(9, {"weights_unusable"}), (8, {"weights_unusable"})]
)
def test_a_plan_refuses_a_base_of_another_purpose(
    reads: int, codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = worlds.SHAPES["unet"] | {"conv_in.weight": (320, 4, 3, 3)}
    monkeypatch.setitem(worlds.SHAPES, "unet", shapes)
    world = worlds.World("StableDiffusionPipeline")
    world.plan()
    shapes["conv_in.weight"] = (320, reads, 3, 3)
    wrong = world.violations()
    assert set(wrong) == codes
    assert wrong["weights_unusable"].field == "base"


def read(metadata: str) -> SafetensorsHeader:
    """A file of one tensor, its metadata spelt as they are given."""
    found, size = entries({"a.lora_A.weight": (4, 4)})
    text = json.dumps(found)
    data = framed(f'{{"__metadata__": {metadata}, {text[1:]}'.encode())
    return parse(data, len(data) + size)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", "1"),
        ("-2.5e3", "-2.5e3"),
        ("null", "null"),
        ("true", "true"),
        ('{"a": [1, {"b": "]}"}]}', '{"a": [1, {"b": "]}"}]}'),
        ("[]", "[]"),
        ('"words"', "words"),
    ],
)
def test_metadata_of_any_json_are_read(value: str, text: str) -> None:
    assert read(f'{{"n": {value}, "ss_v2": "True"}}').metadata == {"n": text, "ss_v2": "True"}


@pytest.mark.parametrize("metadata", ["null", "{}"])
def test_no_metadata(metadata: str) -> None:
    assert read(metadata).metadata == {}


@pytest.mark.parametrize("metadata", ["1", '"text"', "[]"])
def test_metadata_that_are_no_object(metadata: str) -> None:
    with pytest.raises(HeaderError, match="__metadata__ is not a JSON object"):
        read(metadata)


@pytest.mark.parametrize("value", ["", "nul", "{", "[1", "}", ",", "NaN", "[" * 2_000_000])
def test_metadata_that_are_no_json(value: str) -> None:
    with pytest.raises(HeaderError):
        read(f'{{"n": {value}}}')


def test_eighteen_megabytes_of_tags_are_passed_over() -> None:
    tags = json.dumps(json.dumps({"10_x": {f"tag {n}": 1 for n in range(1_000_000)}}))
    assert 18_000_000 < len(tags) < MAX_HEADER
    found = read(f'{{"ss_tag_frequency": {tags}, "ss_v2": "True"}}')
    assert found.left_out == {"ss_tag_frequency": len(tags)}
    assert found.metadata == {"ss_v2": "True"}
