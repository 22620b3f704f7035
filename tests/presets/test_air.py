"""AIR URNs: both grammars, canonical text, and refusal in one sentence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.presets.air import MAX_LENGTH, Air

WORDS = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,8}(?:[./][A-Za-z0-9_-]{1,8}){0,3}", fullmatch=True)
PINS = st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,10}", fullmatch=True)
FORMATS = st.none() | st.sampled_from(["safetensors", "ckpt", "gguf"])


def test_the_guides_example() -> None:
    air = Air.parse("urn:air:zimageturbo:lora:civitai:2344335@2636956")
    assert (air.ecosystem, air.type, air.source) == ("zimageturbo", "lora", "civitai")
    assert (air.id, air.version) == ("2344335", "2636956")
    assert (air.file_id, air.layer, air.format) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sd1:lora:civitai:28687@35516", "urn:air:sd1:lora:civitai:28687@35516"),
        ("air:sd1:lora:civitai:28687", "urn:air:sd1:lora:civitai:28687"),
        (
            "URN:AIR:SDXL:LoRA:CivitAI:1@2+3.SafeTensors",
            "urn:air:sdxl:lora:civitai:1@2+3.safetensors",
        ),
        ("urn:air:sd1:lora:civitai:1@2:unet.pt", "urn:air:sd1:lora:civitai:1@2:unet.pt"),
        (" urn:air:sd1:lora:civitai:1.ckpt\n", "urn:air:sd1:lora:civitai:1.ckpt"),
    ],
)
def test_both_grammars_and_missing_prefixes(text: str, canonical: str) -> None:
    assert str(Air.parse(text)) == canonical


def test_a_repository_keeps_its_dots_and_capitals() -> None:
    air = Air.parse("urn:air:sdxl:checkpoint:huggingface:StabilityAI/SDXL-base-1.0A")
    assert (air.id, air.format) == ("StabilityAI/SDXL-base-1.0A", None)
    air = Air.parse("urn:air:sdxl:checkpoint:huggingface:a/base-1.0.safetensors")
    assert (air.id, air.format) == ("a/base-1.0", "safetensors")


@pytest.mark.parametrize("kind", ["lora", "lycoris", "locon", "dora"])
def test_low_rank_types_are_known(kind: str) -> None:
    assert Air.parse(f"urn:air:sdxl:{kind}:civitai:1@2").is_lora


def test_a_checkpoint_is_no_lora() -> None:
    assert not Air.parse("urn:air:sdxl:checkpoint:civitai:1@2").is_lora


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not an AIR"),
        ("https://civitai.com/models/1?modelVersionId=2", "is not an AIR"),
        ("urn:air:lora:civitai:1@2", "is not an AIR"),
        ("urn:air:sdxl:lora:civitai:one@2", "has id 'one'"),
        ("urn:air:sdxl:lora:civitai:1@latest", "has version 'latest'"),
        ("urn:air:sdxl:lora:civitai:1@2+a", "has file_id 'a'"),
        ("urn:air:sdxl:lora:huggingface:../..", "is not an AIR"),
        ("urn:air:ſdxl:lora:civitai:1@2", "is not an AIR"),
        ("urn:air:sdxl:lora:civitai:" + "1" * MAX_LENGTH, "at most"),
    ],
)
def test_what_is_no_air_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"AIR|CivitAI") as caught:
        Air.parse(text)
    assert said in str(caught.value)


def test_fields_that_would_read_back_otherwise_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot have"):
        Air("sdxl", "lora", "huggingface", "a/b.safetensors")
    with pytest.raises(ValueError, match="cannot have"):
        Air("SDXL", "lora", "civitai", "1")


@settings(deadline=None)
@given(WORDS, WORDS, NAMES, PINS, PINS, PINS, FORMATS)
def test_text_and_back(
    ecosystem: str,
    kind: str,
    name: str,
    version: str | None,
    file_id: str | None,
    layer: str | None,
    form: str | None,
) -> None:
    text = f"urn:air:{ecosystem}:{kind}:huggingface:{name}"
    for mark, value in (("@", version), ("+", file_id), (":", layer), (".", form)):
        text += "" if value is None else mark + value
    air = Air.parse(text)
    assert str(air) == text
    assert (air.version, air.file_id, air.layer) == (version, file_id, layer)
    assert Air.parse(str(air)) == air


@settings(deadline=None)
@given(st.text() | st.from_regex(r"urn:air:[a-z0-9:@+./_-]*", fullmatch=True))
def test_any_text_is_an_air_or_a_value_error(text: str) -> None:
    air, reason = None, ""
    try:
        air = Air.parse(text)
    except ValueError as error:
        reason = str(error)
    assert (air is None) == bool(reason)
    assert air is None or Air.parse(str(air)) == air
