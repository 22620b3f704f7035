"""The noise in the receipt is the noise of the picture, and asking for it changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from studio.engine import Engine
from studio.engine.run.numbers import recorded_noise
from tests.support.plans import make_job, pictures


def test_the_noise_is_what_the_seed_draws(engine: Engine, tiny_base: Path) -> None:
    first, second = pictures(engine, make_job(tiny_base, count=2, seed=41))
    for made in (first, second):
        seed = made.receipt.image.seed
        drawn = torch.randn((1, 4, 4, 4), generator=torch.Generator("cpu").manual_seed(seed))
        expected = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()
        assert made.receipt.image.noise_sha256 == expected


def test_arms_begin_from_one_noise(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    base = pictures(engine, make_job(tiny_base))[0].receipt.image
    lora = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0)))[0].receipt.image
    assert base.noise_sha256 == lora.noise_sha256
    assert base.pixels_sha256 != lora.pixels_sha256


def test_listening_leaves_picture_and_pipeline_as_they_were(tiny_base: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)

    def draw() -> torch.Tensor:
        generator = torch.Generator("cpu").manual_seed(3)
        return pipeline(
            "a rocket", num_inference_steps=2, height=32, width=32, generator=generator,
            output_type="pt",
        ).images  # fmt: skip

    alone = draw()
    with recorded_noise(pipeline) as noise:
        listened = draw()
    assert torch.equal(alone, listened)
    assert noise.latents is not None
    assert "prepare_latents" not in vars(pipeline)
