"""A CLIP model of the user's own: real classes with small random weights, saved and read back."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
from PIL import Image

from studio.engine.run.clip_scores import ClipModel
from studio.errors import WeightsError
from tests.support.tiny_clip import save_tiny_clip

RED, BLUE = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (64, 64), "blue")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny-clip")


def test_pictures_and_texts_become_unit_vectors_in_their_order(folder: Path) -> None:
    model = ClipModel(folder)
    read = model.read([RED, BLUE, RED], ["a rocket", "the rocket", "a rocket"])
    assert read.images[0] == read.images[2] != read.images[1]
    assert read.texts[0] == read.texts[2] != read.texts[1]
    for vector in (*read.images, *(text for text in read.texts if text is not None)):
        assert math.isclose(sum(value * value for value in vector), 1.0, rel_tol=1e-9)
    assert read.model == model.identity
    assert model.identity.name == "tiny-clip"
    weights = (folder / "model.safetensors").read_bytes()
    assert model.identity.sha256 == hashlib.sha256(weights).hexdigest()


def test_they_are_transformers_own(folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    theirs = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        whole = theirs(
            pixel_values=CLIPImageProcessorPil.from_pretrained(folder)(
                images=[RED], return_tensors="pt"
            ).pixel_values,
            **AutoTokenizer.from_pretrained(folder)(["a rocket"], return_tensors="pt"),
        )
    read = ClipModel(folder).read([RED], ["a rocket"])
    assert read.texts[0] is not None
    cosine = sum(a * b for a, b in zip(read.images[0], read.texts[0], strict=True))
    expected = whole.logits_per_image.item() / theirs.logit_scale.exp().item()
    assert math.isclose(cosine, expected, abs_tol=1e-5)


def test_a_text_beyond_the_window_has_no_vector(folder: Path) -> None:
    read = ClipModel(folder).read([RED], ["a rocket " * 60, "a rocket"])
    assert read.texts[0] is None
    assert read.texts[1] is not None


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_part_is_refused(name: str, tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"has no {name}") as caught:
        ClipModel(folder)
    assert "CLIP_MODEL" in caught.value.way_out


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_tiny_clip(tmp_path / "clip")
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="lack visual_projection"):
        ClipModel(folder)
