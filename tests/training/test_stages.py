"""The recipe, whole: every stage in small, from nothing to files that load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("resvg_py")

import numpy as np  # noqa: E402
from diffusers import StableDiffusionPipeline  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402

from training.mini import base, lora, previews, render, slider, subjects, trial, vae  # noqa: E402
from training.mini.generation import EXPORT, SECOND, UNetShape  # noqa: E402
from training.mini.subjects import DAY_NIGHT, Pair  # noqa: E402
from training.mini.train import Job  # noqa: E402

FEW = (Pair("fox", "red"), Pair("owl", "blue"))
DISC = '<circle cx="16" cy="16" r="12" fill="#d07020"/>'
STEPS = 10  # the checkpoints of a trial stay apart
WIDE = UNetShape((16, 16), (False, True), 2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two pairs in one place each, small, and a disc for every drawing: nothing is fetched."""
    monkeypatch.setattr(render, "_icons", lambda: {s.icon: DISC for s in subjects.SUBJECTS})
    forget()
    for module in (vae, base, lora, slider):
        monkeypatch.setattr(module, "training_pairs", lambda: FEW)
    monkeypatch.setattr(vae, "held_out", lambda: frozenset(FEW))
    monkeypatch.setattr(lora, "SUBJECTS", [s for s in subjects.SUBJECTS if s.name in "fox owl"])
    for module, name, value in (
        *((module, "PLACEMENTS", 1) for module in (base, slider)),
        *((module, "BATCH", 2) for module in (vae, base)),
        (vae, "BATCHES_FOR_SCALE", 1),
        (previews, "PICTURES", 8),
        (render, "SIZE", 32),
        (vae, "SIZE", 32),
    ):
        monkeypatch.setattr(module, name, value)
    yield
    forget()


def forget() -> None:
    for cached in (render._large, render._glyph, render._outline, render._neon_colours):
        cached.cache_clear()


def test_every_stage_runs_and_what_is_exported_loads(small: None, tmp_path: Path) -> None:
    tiny = replace(SECOND, widths=(8, 8, 8), decoder_widths=(8, 8, 16), unet=WIDE)
    for stage in (*tiny.steps, EXPORT):
        steps = STEPS if stage == "trial" else 1
        Job(stage, tmp_path / "work", tmp_path / "out", steps, 1, "cpu", tiny).run()

    out = tmp_path / "out"
    pipeline = StableDiffusionPipeline.from_pretrained(out / "base", local_files_only=True)
    assert pipeline.vae.config.latent_channels == tiny.latent_channels
    styles = (subjects.PEN_INK, subjects.NIGHT_NEON, DAY_NIGHT)
    assert {path.stem for path in (out / "loras").iterdir()} == {style.name for style in styles}
    kept = {at * STEPS // trial.CHECKPOINTS[-1] for at in trial.CHECKPOINTS}
    names = {f"{trial.NAME}-step{step:08d}" for step in kept}
    assert {path.stem for path in (out / "trial").iterdir()} == names
    for path in out.glob("*/*.safetensors"):
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=path.stem)


def test_a_slider_at_nothing_is_the_base_and_works_both_ways() -> None:
    torch.manual_seed(2)
    unet = base.build_unet(replace(SECOND, unet=WIDE)).eval()
    given = (
        torch.randn(1, SECOND.latent_channels, 8, 8),
        torch.tensor([500]),
        torch.randn(1, 4, 128),
    )
    with torch.no_grad():
        plain = unet(*given).sample
        lora.add(slider.RECIPE, unet, unet)
        for name, weight in unet.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=1e-4)
        changes = dict[float, Tensor]()
        for strength in (-1.0, 0.0, 1.0):
            slider.set_strength(unet, strength)
            changes[strength] = unet(*given).sample - plain
    assert not changes[0.0].any()
    assert changes[1.0].abs().max() > 1e-6
    difference = (changes[1.0] + changes[-1.0]).abs().max()
    assert difference < 0.1 * changes[1.0].abs().max()


def test_light_goes_from_day_to_night_and_is_nothing_in_the_middle() -> None:
    source = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(source)
    graded = [np.asarray(render.grade(image, night)) for night in (-1, -0.5, 0, 0.5, 1)]
    assert (graded[2] == source).all()
    light = [float(each.mean()) for each in graded]
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == len(light)
