"""Users suffer: the picture's metadata claims a LoRA that was not used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from studio.architecture import Mode
from studio.contract.events import Failed
from studio.gallery.infotext import write
from studio.recall.infotext import read
from tests.support import tiny
from tests.support.studios import Made, TinyStudio


@pytest.fixture
def studio(tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path) -> Iterator[TinyStudio]:
    idle = tiny.rewrite(
        tiny_loras["plain"],
        tmp_path / "idle.safetensors",
        lambda t: {key: value * 0 if "lora_B" in key else value for key, value in t.items()},
    )
    loras = {"ink": (tiny_loras["text"], "inkstyle"), "idle": (idle, "")}
    folder = tmp_path / "studio"
    folder.mkdir()
    opened = TinyStudio.open(
        folder, "StableDiffusionPipeline", tiny_base, loras, guidance_scale=4.0
    )
    yield opened
    opened.workspace.close()


def test_the_record_counts_the_modules_that_carried_it(studio: TinyStudio) -> None:
    made = studio.make(("ink", 0.8), mode=Mode.LORA)
    (lora,) = made.record.receipt.loras
    assert (lora.slug, lora.strength) == ("ink", 0.8)
    assert {part.component: part.applied for part in lora.components} == {
        "text_encoder": 18,
        "unet": 48,
    }
    assert studio.make(mode=Mode.BASE).record.receipt.loras == ()


def parameters(made: Made) -> str:
    """What other tools read out of the picture."""
    with Image.open(made.path) as image:
        return str(image.info["parameters"])


def claimed(made: Made) -> dict[str, tuple[float | None, str | None]]:
    """The LoRAs that other tools read out of it: strength and hash."""
    seen = read(parameters(made))
    return {tag.name: (tag.strength, seen.hashes.get(tag.name)) for tag in seen.loras}


def test_other_tools_read_the_lora_that_was_applied(
    studio: TinyStudio, tiny_loras: dict[str, Path]
) -> None:
    made = studio.make(("ink", 0.8), mode=Mode.LORA)
    sha256 = hashlib.sha256(tiny_loras["text"].read_bytes()).hexdigest()
    assert claimed(made) == {"ink": (0.8, sha256[:10])}
    assert json.loads(read(parameters(made)).parameters["Hashes"])["lora:ink"] == sha256[:10]


@pytest.mark.parametrize(
    ("mode", "loras", "recorded"),
    [
        (Mode.BASE, (), ()),
        (Mode.TRIGGER_ONLY, (("ink", 0.8),), ()),
        (Mode.LORA, (("ink", 0.0),), ("ink",)),
    ],
    ids=["base", "trigger only", "strength 0"],
)
def test_other_tools_read_no_lora_where_none_had_a_part(
    studio: TinyStudio,
    mode: Mode,
    loras: tuple[tuple[str, float], ...],
    recorded: tuple[str, ...],
) -> None:
    """The record stays whole: it has the LoRA that was applied at strength 0."""
    made = studio.make(*loras, mode=mode)
    text = parameters(made)
    assert claimed(made) == {}
    assert "lora:" not in text
    assert "Lora hashes" not in text
    assert tuple(lora.slug for lora in made.record.receipt.loras) == recorded


def test_the_text_is_the_receipts_and_not_the_plans(studio: TinyStudio) -> None:
    """A run that applied something else than planned says what it applied, or nothing."""
    record = studio.make(("ink", 0.8), mode=Mode.LORA).record
    nothing = record.receipt.model_copy(update={"loras": ()})
    (lora,) = record.receipt.loras
    half = record.receipt.model_copy(
        update={"loras": (lora.model_copy(update={"strength": 0.4}),)}
    )
    assert read(write(record.model_copy(update={"receipt": nothing}))).loras == ()
    (tag,) = read(write(record.model_copy(update={"receipt": half}))).loras
    assert tag.strength == 0.4


def test_a_lora_that_was_refused_leaves_no_picture(studio: TinyStudio) -> None:
    before = list(studio.workspace.gallery.outputs.rglob("*.png"))
    plan = studio.plan(studio.request(("idle", 1.0), mode=Mode.LORA))
    last = studio.events(plan)[-1]
    assert isinstance(last, Failed)
    assert "changes nothing" in last.message
    assert list(studio.workspace.gallery.outputs.rglob("*.png")) == before
