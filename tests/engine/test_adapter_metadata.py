"""peft's configuration in a file's header: it is followed wholly, or the file refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from studio.engine.tiny.sd15 import stable_diffusion
from studio.errors import LoraRefused
from studio.inspection.header import MAX_METADATA
from tests.support.applying import read
from tests.support.tiny import rewrite, with_metadata


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a UNet's own ``save_lora_adapter`` writes it: no prefixes anywhere."""
    torch.manual_seed(0)
    unet = stable_diffusion(32).unet
    config = LoraConfig(
        r=4, lora_alpha=1, target_modules=["attn2.to_q", "attn2.to_k"], rank_pattern={"to_k": 2}
    )
    unet.add_adapter(config, "made")
    folder = tmp_path_factory.mktemp("saved")
    unet.save_lora_adapter(folder, adapter_name="made", weight_name="own.safetensors")
    return folder / "own.safetensors"


def test_alpha_of_a_models_own_file_counts(saved: Path) -> None:
    scales = {
        (layer.module.name.rsplit(".", 1)[1], layer.scale) for layer in read(saved).layers.values()
    }
    assert scales == {("to_q", 0.25), ("to_k", 0.5)}


@pytest.mark.parametrize(
    ("field", "value"),
    [("rank_pattern", {"to_k": 3}), ("bias", "all"), ("modules_to_save", ["conv_in"])],
)
def test_other_fields_of_a_models_own_file_count(
    saved: Path, tmp_path: Path, field: str, value: object
) -> None:
    path = with_metadata(saved, tmp_path / "a.safetensors", lambda f: f.update({field: value}))
    with pytest.raises(LoraRefused, match="Its header asks for"):
        read(path)


def test_settings_of_an_unknown_part_are_refused(saved: Path, tmp_path: Path) -> None:
    def change(fields: dict[str, object]) -> None:
        own = {f"unet.{key}": value for key, value in fields.items()}
        fields.clear()
        fields.update(own | {"prior.lora_alpha": 1})

    prefixed = rewrite(
        saved, tmp_path / "a.safetensors", lambda own: {f"unet.{k}": v for k, v in own.items()}
    )
    path = with_metadata(prefixed, tmp_path / "b.safetensors", change)
    with pytest.raises(LoraRefused, match=r"no part it changes: 'prior\.lora_alpha'\."):
        read(path)


def test_other_long_metadata_do_not_push_alpha_out(saved: Path, tmp_path: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    path = tmp_path / "a.safetensors"
    save_file(load_file(saved), path, {"ss_tag_frequency": "x" * (MAX_METADATA - 10), **metadata})
    assert {layer.scale for layer in read(path).layers.values()} == {0.25, 0.5}


def test_settings_that_are_too_long_are_refused(saved: Path, tmp_path: Path) -> None:
    path = with_metadata(
        saved, tmp_path / "a.safetensors", lambda f: f.update({"revision": "x" * 300_000})
    )
    with pytest.raises(LoraRefused, match=r"lora_adapter_metadata takes 30\d,\d+ bytes"):
        read(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lora_bias", True),
        ("use_qalora", True),
        ("fan_in_fan_out", True),
        ("init_lora_weights", "mica"),
        ("kasa_config", {"beta": 1}),
        ("of_a_future_peft", 3),
    ],
)
def test_fields_that_are_not_known_to_be_harmless_are_refused(
    saved: Path, tmp_path: Path, field: str, value: object
) -> None:
    path = with_metadata(saved, tmp_path / "a.safetensors", lambda f: f.update({field: value}))
    with pytest.raises(LoraRefused, match=f"Its header asks for {field}="):
        read(path)


def test_whole_numbers_are_no_weights(saved: Path, tmp_path: Path) -> None:
    path = rewrite(
        saved, tmp_path / "a.safetensors", lambda own: {k: v.long() for k, v in own.items()}
    )
    with pytest.raises(LoraRefused, match="is I64, which no LoRA weights are"):
        read(path)
