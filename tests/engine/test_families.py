"""Every pipeline class: the studio's picture is the one that diffusers makes of the same call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux_kontext import PREFERRED_KONTEXT_RESOLUTIONS
from PIL import Image

from studio.architecture import Mode, pipeline_traits
from tests.engine.conftest import OpenStudio, TinyBases
from tests.support.studios import PROMPT

SDXL, FLUX, KONTEXT = "StableDiffusionXLPipeline", "FluxPipeline", "FluxKontextPipeline"
SD3 = "StableDiffusion3Pipeline"
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
    "sdxl in bfloat16": (
        SDXL,
        None,
        {"guidance_scale": 5.0, "dtype": "bfloat16"},
        {"dtype": torch.bfloat16},
    ),
    "flux dev in bfloat16": (
        FLUX,
        "dev",
        {"guidance_scale": 3.5, "dtype": "bfloat16"},
        {"guidance_scale": 3.5, "dtype": torch.bfloat16},
    ),
    "sd 3": (SD3, None, {"guidance_scale": 4.0} | NEGATIVE, {"guidance_scale": 4.0} | NEGATIVE),
    "sd 3 without a negative prompt": (
        SD3,
        None,
        {"guidance_scale": 4.0},
        {"guidance_scale": 4.0},
    ),
    "sd 3 without guidance": (SD3, None, {"guidance_scale": 1.0}, {"guidance_scale": 1.0}),
    "sd 3 in short, in bfloat16": (
        SD3,
        None,
        {"guidance_scale": 4.0, "max_sequence_length": 64, "dtype": "bfloat16"},
        {"guidance_scale": 4.0, "max_sequence_length": 64, "dtype": torch.bfloat16},
    ),
    "kontext from text": (
        KONTEXT,
        None,
        {"guidance_scale": 2.5},
        {"guidance_scale": 2.5, "max_area": 64 * 32},
    ),
}


def theirs(base: Path, pipeline: str, dtype: torch.dtype = torch.float32, **call: Any) -> bytes:
    """RGB bytes of diffusers' own picture of PROMPT at 64 by 32, seed 7, in two steps."""
    made = getattr(diffusers, pipeline).from_pretrained(base, dtype=dtype, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    given = {"prompt": PROMPT, "width": 64, "height": 32, "num_inference_steps": 2} | call
    image = made(generator=torch.Generator("cpu").manual_seed(7), **given).images[0]
    return bytes(image.tobytes())


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_the_pipelines_own(
    name: str, open_studio: OpenStudio, tiny_bases: TinyBases
) -> None:
    pipeline, variant, asked, call = CASES[name]
    preset = {key: asked[key] for key in ("dtype",) if key in asked}
    studio = open_studio(pipeline, variant, **preset)
    rest = {key: value for key, value in asked.items() if key not in preset}
    made = studio.make(**rest, width=64)
    assert made.pixels == theirs(tiny_bases(pipeline, variant), pipeline, **call)
    assert made.record.receipt.warnings == ()


def test_kontext_edits_a_reference_as_the_pipeline_does(
    open_studio: OpenStudio, tiny_bases: TinyBases
) -> None:
    """The picture has the planned size; the reference is scaled, and the plan says to what."""
    noise = torch.randint(0, 256, (80, 120, 3), generator=torch.Generator().manual_seed(3))
    picture = Image.fromarray(noise.to(torch.uint8).numpy(), "RGB")
    studio = open_studio(KONTEXT, guidance_scale=2.5)
    reference = studio.reference(picture)
    made = studio.make(mode=Mode.REFERENCE_EDIT, references=(reference,), width=64)
    expected = theirs(
        tiny_bases(KONTEXT), KONTEXT, guidance_scale=2.5, image=picture, max_area=64 * 32
    )
    assert made.pixels == expected
    assert made.pixels != studio.make(width=64).pixels
    assert made.record.receipt.references == (reference.sha256,)
    (notice,) = [each for each in made.record.plan.notices if each.code == "reference_scaled"]
    assert "120 × 80 pixels" in notice.text
    assert "1248 × 832" in notice.text


def test_kontexts_sizes_are_diffusers_own() -> None:
    assert pipeline_traits(KONTEXT).reference_sizes == tuple(PREFERRED_KONTEXT_RESOLUTIONS)
