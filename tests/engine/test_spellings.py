"""The sweep of spellings, run: of every naming and every kind of layers a file goes through plan,
load, picture and verification on a tiny base, or is refused before anything runs.

``tests/inspection/test_spellings.py`` tries all pairs of them by their headers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.library.files import read_inspection
from tests.engine.conftest import OpenStudio, TinyBases
from tests.support.headers import Shapes
from tests.support.spellings import LAYERS, NAMINGS, TAKEN, Naming, Tensors
from tests.support.studios import Made, TinyStudio

PIPELINE = "FluxPipeline"
CHANGED = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.to_out.0",
    "transformer_blocks.0.ff.net.0.proj",
    "single_transformer_blocks.0.attn.to_v",
    "single_transformer_blocks.0.proj_mlp",
)
(KOHYA,) = (each for each in LAYERS if each.what == "LoRA of kohya-ss")
SAME = {f"naming-{number}": (naming, KOHYA) for number, naming in enumerate(NAMINGS)}
"""One LoRA in every naming."""
KINDS = {
    f"kind-{number}": (NAMINGS[number % len(NAMINGS)], kind) for number, kind in enumerate(LAYERS)
}
"""Every kind of layers, each in another naming."""


def write(path: Path, naming: Naming, kind: Tensors, sizes: Shapes) -> tuple[Path, str]:
    """The numbers depend on the layer and on what a tensor is, not on how it is called."""
    tensors = {}
    for name in CHANGED:
        stem = naming.stem("transformer", name)
        for ending, shape in enumerate(kind.shapes(stem, *sizes[name]).items()):
            generator = torch.Generator().manual_seed(100 * CHANGED.index(name) + ending)
            drawn = 0.3 * torch.randn(shape[1], generator=generator)
            tensors[shape[0]] = torch.tensor(2.0) if shape[1] == () else drawn
    save_file(tensors, path)
    return path, ""


@pytest.fixture(scope="module")
def studio(
    open_studio: OpenStudio, tiny_bases: TinyBases, tmp_path_factory: pytest.TempPathFactory
) -> TinyStudio:
    folder = tmp_path_factory.mktemp("spelled")
    weights = load_file(
        tiny_bases(PIPELINE, "dev") / "transformer" / "diffusion_pytorch_model.safetensors"
    )
    sizes: Shapes = {name: tuple(weights[f"{name}.weight"].shape) for name in CHANGED}
    loras = {
        slug: write(folder / f"{slug}.safetensors", naming, kind, sizes)
        for slug, (naming, kind) in (SAME | KINDS).items()
    }
    return open_studio(PIPELINE, "dev", loras=loras, steps=1, guidance_scale=3.5)


@pytest.fixture(scope="module")
def base(studio: TinyStudio) -> Made:
    return studio.make()


def made(studio: TinyStudio, slug: str) -> Made:
    """A picture through every layer of the file."""
    found = studio.make((slug, 1.0), mode=Mode.LORA)
    (use,) = found.record.plan.loras
    (applied,) = found.record.receipt.loras
    parts = {part.component: part.applied for part in applied.components}
    assert use.modules == parts == {"transformer": len(CHANGED)}
    assert found.record.receipt.layer_effect is not None
    assert found.record.receipt.layer_effect > 0
    return found


def test_one_lora_is_one_picture_in_every_naming(studio: TinyStudio, base: Made) -> None:
    pictures = {slug: made(studio, slug).pixels for slug in SAME}
    assert len(set(pictures.values())) == 1, {NAMINGS[n].who for n, _ in enumerate(pictures)}
    assert base.pixels not in pictures.values()


@pytest.mark.parametrize("slug", KINDS, ids=[each.what for _, each in KINDS.values()])
def test_every_kind_of_layers_is_run_or_refused_by_its_name(
    studio: TinyStudio, base: Made, slug: str
) -> None:
    _, kind = KINDS[slug]
    if kind.verdict == TAKEN:
        assert made(studio, slug).pixels != base.pixels
        return
    refused = studio.workspace.plan(studio.request((slug, 1.0), mode=Mode.LORA))
    assert not isinstance(refused, RunPlan)
    assert {(each.code, each.field) for each in refused} == {("weights_unusable", f"loras.{slug}")}
    assert read_inspection(studio.base.parent / f"{slug}.safetensors").kind == kind.verdict


def test_the_studio_is_as_it_was(studio: TinyStudio, base: Made) -> None:
    assert studio.make(seed=base.record.plan.seed).pixels == base.pixels
