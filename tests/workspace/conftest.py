"""A workspace over a tiny base with two LoRAs, on real files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.settings import Settings
from studio.workspace.workspace import Workspace

PRESETS = """
models:
  - slug: tiny
    label: Tiny
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: mini
    settings: {steps: 2, guidance_scale: 2.0, default_width: 64, default_height: 64,
               dtype: float32, scheduler: DDIMScheduler}
  - {slug: wide, label: Wide, path: base, pipeline: StableDiffusionXLPipeline,
     base_architecture: sdxl}
  - {slug: below, label: Below, path: base/unet/config.json/model,
     pipeline: StableDiffusionPipeline, base_architecture: mini}
loras:
  - {slug: plain, label: Plain, base_architecture: mini, path: plain.safetensors,
     prompt: plaintrigger, trigger: required, settings: {strength: 0.8}}
  - {slug: text, label: Text, base_architecture: mini, path: text.safetensors, trigger: none}
"""


@pytest.fixture
def workspace(tmp_path: Path, tiny_base: Path, tiny_loras: dict[str, Path]) -> Iterator[Workspace]:
    models = tmp_path / "models"
    shutil.copytree(tiny_base, models / "base")
    for name in ("plain", "text"):
        shutil.copy(tiny_loras[name], models / f"{name}.safetensors")
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "tiny.yaml").write_text(PRESETS)
    opened = Workspace.open(
        Settings(
            model_base_path=models,
            outputs=tmp_path / "outputs",
            state=tmp_path / "state",
            preset_dirs=(presets,),
            device="cpu",
        )
    )
    yield opened
    opened.close()
