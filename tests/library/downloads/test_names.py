"""Links, addresses, names, speeds and base models: the pure parts."""

import pytest

from studio.architecture import Architecture
from studio.contract.base import in_bytes, in_time
from studio.library.downloads import CivitaiName, HubName
from studio.library.downloads.addresses import (
    MAX_NAME,
    Allowed,
    hub_name,
    parse_source,
    safe_name,
    shown,
)
from studio.library.downloads.errors import SourceUnknown
from studio.library.downloads.plan import Meter
from studio.presets.model_card import Published, contradiction, differences, family_of

CIVITAI, HUB = "https://civitai.com", "https://huggingface.co"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("urn:air:sdxl:lora:civitai:12@34", CivitaiName("12", "34")),
        ("sdxl:lora:civitai:12@34+56", CivitaiName("12", "34", "56")),
        ("urn:air:sdxl:lora:huggingface:owner/name@main", HubName("owner/name", None, "main")),
        ("https://civitai.com/models/12/pen-ink?modelVersionId=34", CivitaiName("12", "34")),
        ("https://civitai.red/models/12?modelVersionId=34", CivitaiName("12", "34")),
        ("https://civitai.com/models/12", CivitaiName("12", None)),
        ("https://civitai.com/api/download/models/34?fileId=5", CivitaiName(None, "34", "5")),
        ("owner/name", HubName("owner/name")),
        ("owner/name/a/b.safetensors", HubName("owner/name", "a/b.safetensors")),
        ("https://huggingface.co/owner/name", HubName("owner/name")),
        (
            "https://huggingface.co/owner/name/resolve/v1/a%20b.safetensors",
            HubName("owner/name", "a b.safetensors", "v1"),
        ),
        (
            "https://hf.co/owner/name/blob/main/x.safetensors",
            HubName("owner/name", "x.safetensors", None),
        ),
    ],
)
def test_what_people_write(text: str, name: CivitaiName | HubName) -> None:
    assert parse_source(text, CIVITAI, HUB) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "urn:air:sdxl:lora:civitai:12",
        "urn:air:sdxl:lora:elsewhere:12@3",
        "https://evil.example/models/12?modelVersionId=34",
        "https://civitai.com.evil.example/models/12",
        "https://civitai.com/user/account",
        "https://civitai.com/models/../x",
        "file:///etc/passwd",
        "../../etc/passwd",
        "https://huggingface.co/datasets/owner",
        "loras/not-there.safetensors",
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(SourceUnknown) as caught:
        parse_source(text, CIVITAI, HUB)
    assert caught.value.way_out


def test_which_addresses_may_be_asked() -> None:
    allowed = Allowed(CIVITAI, (".r2.example", "exact.example", "http://127.0.0.1:9"))
    yes = ("https://civitai.com/x", "https://a.b.r2.example/", "https://exact.example:443/x")
    no = (
        "https://r2.example/",
        "https://evilr2.example/",
        "https://x.exact.example/",
        "http://a.r2.example/",
        "https://a.r2.example:444/",
        "http://127.0.0.1:90/",
        "https://civitai.com@evil.example/",
        "javascript:alert(1)",
        "https://[bad",
    )
    assert [allowed.allows(address) for address in yes] == [True] * len(yes)
    assert [address for address in no if allowed.allows(address)] == []
    assert allowed.allows("http://127.0.0.1:9/x")
    assert not allowed.is_api("https://a.r2.example/")


def test_an_address_is_shown_without_its_signature() -> None:
    assert shown("https://x.r2.example/file?X-Amz-Signature=secret") == "https://x.r2.example"
    assert shown("file:///etc/passwd") == "an address that is not on the web"


def test_files_of_one_name_are_told_apart() -> None:
    fleet = "rehan/klein-style-fleet"
    names = {
        hub_name(fleet, "watercolor/pytorch_lora_weights.safetensors"),
        hub_name(fleet, "claymation/pytorch_lora_weights.safetensors"),
    }
    assert names == {"klein-style-fleet-watercolor", "klein-style-fleet-claymation"}


def test_speed_and_the_time_that_is_left() -> None:
    now = 0.0
    meter = Meter(1000, clock=lambda: now)
    assert meter.at("x", 0) is not None
    now = 0.1
    assert meter.at("x", 100) is None, "not more than five a second"
    now = 1.0
    event = meter.at("x", 500)
    assert event is not None
    assert (event.speed, event.remaining) == (500.0, 1.0)
    now = 2.0
    last = meter.at("x", 1000)
    assert last is not None
    assert last.remaining == 0


def test_amounts_as_people_read_them() -> None:
    amounts = (999, 2_500, 218_000_000, 6_940_000_000, None)
    assert [in_bytes(amount) for amount in amounts] == [
        "999 bytes",
        "2.5 kB",
        "218 MB",
        "6.94 GB",
        "an unknown amount",
    ]
    assert [in_time(seconds) for seconds in (14, 200, 7500)] == ["14 s", "3 min", "2 h 5 min"]


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ("SD 1.5", "sd15"),
        ("SD 1.5 LCM", "sd15"),
        ("SDXL 1.0", "sdxl"),
        ("Pony", "sdxl"),
        ("Illustrious", "sdxl"),
        ("Flux.1 D", "flux1"),
        ("Flux.2 Klein 9B-base", "flux2"),
        ("Qwen", "qwen"),
        ("ZImageTurbo", "zimage"),
        ("ZImageBase", "zimage"),
        ("SD 3.5 Large", "sd3"),
        ("Wan Video 2.2", "wan"),
        ("black-forest-labs/FLUX.1-dev", "flux1"),
        ("Tongyi-MAI/Z-Image-Turbo", "zimage"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd15"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("Other", None),
        (None, None),
    ],
)
def test_base_models_in_their_publishers_words(said: str | None, family: str | None) -> None:
    assert family_of(said) == family


def facts(**more: object) -> Published:
    values: dict[str, object] = {
        "source": "civitai",
        "page": "https://civitai.com/models/1",
        "model_id": "1",
        "version": "2",
        "model_name": "Ink",
        "file_name": "ink.safetensors",
    }
    return Published.model_validate({**values, **more})


def test_a_contradiction_names_all_sides() -> None:
    said = facts(base_model="SDXL 1.0")
    sentence = contradiction(said, Architecture.SD15, "sd15")
    assert sentence is not None
    assert "SDXL 1.0" in sentence
    assert "preset says sd15" in sentence
    assert "tensors say sd15" in sentence
    assert contradiction(said, Architecture.SDXL, "sdxl") is None
    assert contradiction(said, Architecture.SDXL, "unknown") is None
    assert contradiction(said, Architecture.SDXL, "sd15") is not None
    assert contradiction(facts(base_model="Other"), Architecture.SD15, "sd15") is None


def test_differences_are_found_and_nothing_else() -> None:
    said = facts(trained_words=("phrsink, pen and ink",), recommended_strength=0.8)
    assert differences(said, "Pen and ink,  phrsink", 0.8) == ()
    found = differences(said, "phrsink", 0.7)
    assert [what for what, _, _ in found] == ["Trigger words", "Strength"]
    assert differences(facts(), "phrsink", 0.7) == ()


def test_a_long_name_is_cut_by_bytes_between_two_characters() -> None:
    name = safe_name("墨" * 200 + ".safetensors", "lora")
    assert name == "墨" * (MAX_NAME // 3) + ".safetensors"
