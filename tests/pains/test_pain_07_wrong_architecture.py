"""Users suffer: the wrong architecture is detected, or a wrong label is believed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from studio.cli import run
from studio.inspection import inspect
from studio.inspection.fit import check_fit
from tests.support.full_size import layers_of, weights_of
from tests.support.headers import header, lora, only

CROSS = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora"
WRONG = {
    "ss_base_model_version": "sd_v1",
    "modelspec.architecture": "flux-1-dev/lora",
    "ss_output_name": "zimage_style",
}


def sdxl_file(path: Path, metadata: dict[str, str] | None) -> Path:
    """A LoRA on a layer that reads SDXL's 2048 features."""
    tensors = {f"{CROSS}_A.weight": torch.ones(4, 2048), f"{CROSS}_B.weight": torch.ones(640, 4)}
    save_file(tensors, path, metadata)
    return path


def test_a_mislabelled_file_is_what_its_tensors_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = sdxl_file(tmp_path / "honest.safetensors", None)
    lying = sdxl_file(tmp_path / "sd15-lora.safetensors", WRONG)
    assert run(["inspect", str(honest), str(lying), "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    for verdict in ("architecture", "variant", "evidence", "components", "modules"):
        assert second[verdict] == first[verdict]
    assert second["architecture"] == "sdxl"
    assert second["claims"]["ss_base_model_version"] == "sd_v1"
    assert second["conflicts"] == [
        "The file claims FLUX.1 (modelspec.architecture); its tensors say SDXL.",
        "The file claims Stable Diffusion 1.5 (ss_base_model_version); its tensors say SDXL.",
    ]


def test_the_conflict_is_shown_to_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lying = sdxl_file(tmp_path / "sd15-lora.safetensors", WRONG)
    assert run(["inspect", str(lying)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Cross-attention reads 2048 features, as in SDXL." in said
    assert "The file claims FLUX.1 (modelspec.architecture); its tensors say SDXL." in said


def test_a_verdict_that_is_open_keeps_no_lora_out() -> None:
    """What decides is whether every layer fits the base, not what family it was taken for."""
    attention = only(layers_of("sd15"), r"attentions.*attn1\.to_q$")
    found = inspect(header(lora(attention, "unet."), WRONG))
    assert (found.architecture, found.candidates) == ("unknown", ("sd15", "sd2"))
    fit = check_fit(found, {"unet": weights_of("sd15")}, "Stable Diffusion 1.5")
    assert fit.fits
    assert not check_fit(found, {"unet": weights_of("mini")}, "Mini").fits
