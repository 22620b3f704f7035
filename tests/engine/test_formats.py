"""Every file format of every architecture gives the same ΔW in the same modules."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import Tensor

from studio.architecture import Architecture
from studio.engine.base.folder import Pipeline
from studio.engine.families import FAMILIES, EngineFamily, family_of
from studio.engine.lora.slot import slots_of
from studio.engine.tiny import TINY, build_tiny
from tests.support.applying import apply, probe
from tests.support.lora_formats import FORMATS, TinyLora, held, tiny_lora

CLASSES = {
    Architecture.SD15: "StableDiffusionPipeline",
    Architecture.SDXL: "StableDiffusionXLPipeline",
    Architecture.FLUX1: "FluxPipeline",
    Architecture.FLUX2: "Flux2KleinPipeline",
    Architecture.QWEN: "QwenImagePipeline",
    Architecture.ZIMAGE: "ZImagePipeline",
    Architecture.SD3: "StableDiffusion3Pipeline",
}
ARCHITECTURES = [a for a, name in CLASSES.items() if a in FAMILIES and name in TINY]
CASES = [(a, name) for a in ARCHITECTURES for name in FORMATS[a] if name != "diffusers"]


@cache
def tiny(architecture: Architecture) -> tuple[EngineFamily, Pipeline]:
    return family_of(architecture), build_tiny(CLASSES[architecture])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def with_file(architecture: Architecture, lora: TinyLora, name: str) -> list[Tensor]:
    """The probe's outputs with ``lora``, written in a format and applied."""
    family, pipeline = tiny(architecture)
    with TemporaryDirectory() as folder:
        path = FORMATS[architecture][name].write(lora, Path(folder) / "lora.safetensors")
        with apply(pipeline, path) as targets:
            assert {(t.component, t.module) for t in targets} == {
                (component, module) for component, layers in lora.items() for module in layers
            }
            return probe(family, pipeline)


@cache
def expected(architecture: Architecture, name: str) -> tuple[TinyLora, list[Tensor]]:
    """What a format holds of the LoRA, and the outputs with it in diffusers' own format."""
    family, pipeline = tiny(architecture)
    format = FORMATS[architecture][name]
    lora = held(tiny_lora(pipeline, text_encoders=bool(format.text)), format)
    known = KNOWN.setdefault(architecture, [])
    outputs = next((outputs for other, outputs in known if same(other, lora)), None)
    if outputs is None:
        outputs = with_file(architecture, lora, "diffusers")
        known.append((lora, outputs))
        assert not torch.equal(outputs[-1], probe(family, pipeline)[-1])
    return lora, outputs


KNOWN: dict[Architecture, list[tuple[TinyLora, list[Tensor]]]] = {}


def same(one: TinyLora, other: TinyLora) -> bool:
    return {c: set(layers) for c, layers in one.items()} == {
        c: set(layers) for c, layers in other.items()
    }


@pytest.mark.parametrize(("architecture", "name"), CASES)
def test_all_formats_are_one_lora(architecture: Architecture, name: str) -> None:
    lora, wanted = expected(architecture, name)
    for one, other in zip(with_file(architecture, lora, name), wanted, strict=True):
        if FORMATS[architecture][name].exact:
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["diffusers", "LoKr", "LoHa", "DoRA", "DoRA of peft"])
def test_strength_zero_and_removal_are_the_base(
    architecture: Architecture, name: str, tmp_path: Path
) -> None:
    family, pipeline = tiny(architecture)
    format = FORMATS[architecture][name]
    base = probe(family, pipeline)
    written = format.write(held(tiny_lora(pipeline), format), tmp_path / "lora.safetensors")
    with apply(pipeline, written, strength=0.0):
        off = probe(family, pipeline)
    removed = probe(family, pipeline)
    assert not list(slots_of(pipeline))
    for one, two, three in zip(base, off, removed, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
