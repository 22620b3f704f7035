"""Every pipeline class: the studio's picture is the one that diffusers makes of the same call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from tests.engine.conftest import OpenStudio, TinyBases
from tests.studios import PROMPT

SDXL, FLUX, KONTEXT = "StableDiffusionXLPipeline", "FluxPipeline", "FluxKontextPipeline"
Case = tuple[str, str | None, dict[str, Any], dict[str, Any]]
"""Pipeline, variant, what the request says, what diffusers' own call says."""

NEGATIVE = {"negative_prompt": "cat"}
CASES: dict[str, Case] = {
    "sdxl": (SDXL, None, {"guidance_scale": 5.0} | NEGATIVE, {"guidance_scale": 5.0} | NEGATIVE),
    "sdxl without a negative prompt": (SDXL, None, {"guidance_scale": 5.0}, {}),
    "sdxl that reads an empty one": (SDXL, "reads-empty-negative", {"guidance_scale": 5.0}, {}),
    "sdxl turbo": (SDXL, None, {"guidance_scale": 0.0} | NEGATIVE, {"guidance_scale": 0.0}),
    "sdxl, an earlier layer": (
        SDXL,
        None,
        {"guidance_scale": 1.0, "clip_skip": 3},
        {"guidance_scale": 1.0, "clip_skip": 1},
    ),
    "flux dev": (FLUX, "dev", {"guidance_scale": 3.5}, {"guidance_scale": 3.5}),
    "flux dev in short": (
        FLUX,
        "dev",
        {"guidance_scale": 2.0, "max_sequence_length": 64},
        {"guidance_scale": 2.0, "max_sequence_length": 64},
    ),
    "flux dev, true CFG": (
        FLUX,
        "dev",
        {"guidance_scale": 1.0, "true_cfg_scale": 4.0} | NEGATIVE,
        {"guidance_scale": 1.0, "true_cfg_scale": 4.0} | NEGATIVE,
    ),
    "flux dev, true CFG from nothing": (
        FLUX,
        "dev",
        {"guidance_scale": 1.0, "true_cfg_scale": 4.0},
        {"guidance_scale": 1.0, "true_cfg_scale": 4.0, "negative_prompt": ""},
    ),
    "flux schnell": (FLUX, "schnell", {"guidance_scale": 0.0}, {"guidance_scale": 0.0}),
    "kontext from text": (
        KONTEXT,
        None,
        {"guidance_scale": 2.5},
        {"guidance_scale": 2.5, "max_area": 64 * 32},
    ),
}


def theirs(base: Path, pipeline: str, **call: Any) -> bytes:
    """RGB bytes of diffusers' own picture of PROMPT at 64 by 32, seed 7, in two steps."""
    made = getattr(diffusers, pipeline).from_pretrained(base, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    given = {"prompt": PROMPT, "width": 64, "height": 32, "num_inference_steps": 2} | call
    image = made(generator=torch.Generator("cpu").manual_seed(7), **given).images[0]
    return bytes(image.tobytes())


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("sdxl")])
def test_the_picture_is_the_pipelines_own(
    name: str, open_studio: OpenStudio, tiny_bases: TinyBases
) -> None:
    pipeline, variant, asked, call = CASES[name]
    made = open_studio(pipeline, variant).make(**asked, width=64)
    assert made.pixels == theirs(tiny_bases(pipeline, variant), pipeline, **call)
    assert made.record.receipt.warnings == ()
