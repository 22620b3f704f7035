"""The embedded model keeps the promise of the first page: an ink rocket, and a blue one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageStat
from safetensors.numpy import save_file

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import LoraDoesNotFit
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.workspace import Workspace

PROMPT = "a rocket on a blue background"
SIZE_LIMIT = 25_000_000
"""Bytes of all committed weights together."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("mini")
    opened = Workspace.open(
        Settings(folder / "models", folder / "outputs", folder / "state", device="cpu")
    )
    yield opened
    opened.close()


def make(workspace: Workspace, mode: Mode, *slugs: str) -> Path:
    loras = tuple(LoraChoice(slug=slug) for slug in slugs)
    request = GenerationRequest(base="mini", mode=mode, prompt=PROMPT, loras=loras, seed=7)
    plan = workspace.plan(request)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    *_, last = workspace.run(plan, workspace.open_session(), threading.Event())
    assert isinstance(last, Finished), last
    assert workspace.verify(last.path).ok
    return last.path


def saturation(path: Path) -> float:
    """Mean saturation, 0 (grey) to 1."""
    with Image.open(path) as image:
        return ImageStat.Stat(image.convert("HSV")).mean[1] / 255


def corner(path: Path) -> tuple[int, ...]:
    """Mean colour of the upper left corner, where the background is."""
    with Image.open(path) as image:
        return tuple(round(value) for value in ImageStat.Stat(image.crop((2, 2, 14, 14))).mean)


def test_the_lora_with_its_trigger_is_ink_and_the_base_is_blue(workspace: Workspace) -> None:
    base = make(workspace, Mode.BASE)
    ink = make(workspace, Mode.LORA_WITH_TRIGGER, "pen-ink-mini")
    without = make(workspace, Mode.LORA, "pen-ink-mini")
    words_only = make(workspace, Mode.TRIGGER_ONLY, "pen-ink-mini")
    for coloured in (base, without, words_only):
        red, _, blue = corner(coloured)
        assert blue > red + 40, coloured
        assert saturation(coloured) > 0.3
    assert saturation(ink) < 0.25
    assert min(corner(ink)) > 180


def test_night_neon_is_dark_and_both_loras_stack(workspace: Workspace) -> None:
    neon = make(workspace, Mode.LORA_WITH_TRIGGER, "night-neon-mini")
    assert max(corner(neon)) < 110
    both = workspace.gallery.read(
        make(workspace, Mode.LORA_WITH_TRIGGER, "pen-ink-mini", "night-neon-mini")
    )
    parts = {
        lora.slug: {part.component for part in lora.components} for lora in both.receipt.loras
    }
    assert parts == {
        "pen-ink-mini": {"unet", "text_encoder"},
        "night-neon-mini": {"unet", "text_encoder"},
    }


def test_the_presets_pin_the_weights_that_are_shipped(workspace: Workspace) -> None:
    model = workspace.catalog.models["mini"]
    loras = [workspace.catalog.loras[slug] for slug in ("pen-ink-mini", "night-neon-mini")]
    assert model.sha256 is not None
    assert all(lora.sha256 is not None for lora in loras)
    weights = list((BUILT_IN_PRESETS / "mini").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) <= SIZE_LIMIT


FOREIGN = {
    "sd15": ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", 768, 320),
    "flux1": ("transformer.single_transformer_blocks.0.proj_mlp", 3072, 12288),
}
RANK = 4


def foreign_lora(family: str, path: Path) -> None:
    """A one-layer LoRA with the names and widths of another family's modules."""
    layer, reads, writes = FOREIGN[family]
    save_file(
        {
            f"{layer}.lora_A.weight": np.ones((RANK, reads), np.float32),
            f"{layer}.lora_B.weight": np.ones((writes, RANK), np.float32),
        },
        path,
    )


@pytest.mark.parametrize(("family", "evidence"), [("sd15", "768"), ("flux1", "flux")])
def test_a_lora_of_another_family_is_refused_before_anything_is_loaded(
    tmp_path: Path, family: str, evidence: str
) -> None:
    models, presets = tmp_path / "models", tmp_path / "presets"
    models.mkdir()
    presets.mkdir()
    foreign_lora(family, models / "foreign.safetensors")
    (presets / "mine.yaml").write_text(
        "loras:\n  - {slug: foreign, label: Foreign, base_architecture: mini,"
        " path: foreign.safetensors, prompt: strange, trigger: required}\n"
    )
    workspace = Workspace.open(
        Settings(models, tmp_path / "outputs", tmp_path / "state", preset_dirs=(presets,))
    )
    try:
        request = GenerationRequest(
            base="mini",
            mode=Mode.LORA_WITH_TRIGGER,
            prompt=PROMPT,
            loras=(LoraChoice(slug="foreign"),),
            seed=7,
        )
        found = workspace.plan(request)
        assert not isinstance(found, RunPlan)
        (refusal,) = found
        assert isinstance(refusal, LoraDoesNotFit)
        assert evidence in " ".join(refusal.evidence).lower()
    finally:
        workspace.close()
