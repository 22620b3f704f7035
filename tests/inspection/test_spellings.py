"""The sweep: every naming with every kind of layer, taken whole or refused by name."""

from pathlib import Path

import pytest

from studio.inspection import LoraInspection, inspect
from studio.inspection.fit import check_fit
from tests.support.full_size import layers_of, weights_of
from tests.support.headers import Shapes, header, lora, only
from tests.support.spellings import LAYERS, NAMINGS, TAKEN, Naming, Tensors, with_table

PARTS = {"flux1": "transformer", "sdxl": "unet"}
OWN = {
    "flux1": only(layers_of("flux1"), r"transformer_blocks\.0\.(?:attn|norm1|ff)"),
    "sdxl": only(layers_of("sdxl"), r"down_blocks\.1\.attentions\.0\.transformer_blocks"),
}
BASES = {
    family: {
        part: {
            name: shape
            for name, shape in weights_of(family).items()
            if name.removesuffix(".weight") in OWN[family]
        }
    }
    for family, part in PARTS.items()
}


def spelled(family: str, naming: Naming, tensors: Tensors) -> Shapes:
    found: Shapes = {}
    for name, (outputs, inputs, *_) in OWN[family].items():
        found |= tensors.shapes(naming.stem(PARTS[family], name), outputs, inputs)
    return found


def changed(found: LoraInspection, family: str) -> set[str]:
    fit = check_fit(found, BASES[family], "the base", family)
    assert fit.fits, fit.evidence
    return {slot.module for placement in fit.placements for slot in placement.slots}


@pytest.mark.parametrize("tensors", LAYERS, ids=lambda each: each.what)
@pytest.mark.parametrize("naming", NAMINGS, ids=lambda each: each.who)
def test_taken_whole_or_refused_by_name(naming: Naming, tensors: Tensors) -> None:
    for family, own in OWN.items():
        found = inspect(header(spelled(family, naming, tensors)))
        if tensors.verdict == TAKEN:
            assert found.kind == "lora"
            assert changed(found, family) == set(own)
        else:
            assert (found.kind, found.modules) == (tensors.verdict, ())
            assert "the studio applies LoRAs" in found.evidence[0]


@pytest.mark.parametrize(
    ("prefix", "strangers", "reason"),
    [
        ("transformer.", {"foo": (64, 64)}, "1 layer of the file does not exist in"),
        ("dit.", {"foo": (64, 64)}, "named as in no family"),
        ("strange_", {}, "named as in no family"),
        ("transformer.", {"transformer_blocks.0.attn.to_x": (64, 64)}, "does not exist in"),
        ("transformer.", {"transformer_blocks.9.attn.to_q": (3072, 3072)}, "does not exist in"),
        ("transformer.", {"transformer_blocks.0.attn.to_q.0": (3072, 3072)}, "does not exist in"),
    ],
)
def test_a_name_that_is_no_layers_is_named(prefix: str, strangers: Shapes, reason: str) -> None:
    """Nothing is applied in part unless somebody consents."""
    own = lora(OWN["flux1"], prefix)
    found = inspect(header(own | lora(strangers, "" if prefix == "dit." else prefix)))
    fit = check_fit(found, BASES["flux1"], "the base", "flux1")
    assert not fit.fits
    assert reason in " ".join((*found.evidence, *fit.evidence))


def test_the_page_shows_what_is_tested() -> None:
    text = Path("docs/inspect.md").read_text(encoding="utf-8")
    assert with_table(text) == text, "python -m tests.support.spellings --write docs/inspect.md"
    assert "| SimpleTuner |" in text
