"""Request to picture for every pipeline class: what resolve promises, the engine keeps.

The audit compares the tokens that the encoder really read with the plan's ledger, so each
picture also proves that the counters and the room around a prompt are right.
"""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.architecture import PIPELINES, TRAITS, Mode
from studio.engine.tiny import TINY, save_tiny
from tests.support.studios import TinyStudio, architecture_of

PLAIN = [
    (name, variant)
    for name, variants in TINY.items()
    for variant in variants
    if TRAITS[architecture_of(name)].flow_matching and Mode.BASE in PIPELINES[name].modes
]
EDITORS = ("FluxKontextPipeline", "Flux2KleinPipeline")


def opened(folder: Path, name: str, variant: str | None = None, **settings: Any) -> TinyStudio:
    base = save_tiny(name, folder / "tiny", variant=variant)
    return TinyStudio.open(folder, name, base, **settings)


def picture(folder: Path, colour: str) -> Path:
    path = folder / f"holiday-{colour}.jpg"
    exif = Image.Exif()
    exif[0x010F] = "A Camera Maker"
    Image.new("RGB", (96, 64), colour).save(path, exif=exif)
    return path


@pytest.mark.parametrize(("name", "variant"), PLAIN)
def test_both_sides_are_read_as_the_plan_counts_them(
    tmp_path: Path, name: str, variant: str
) -> None:
    traits = PIPELINES[name]
    studio = opened(tmp_path, name, variant, guidance_scale=1.0)
    try:
        guided = variant not in ("distilled", "schnell")
        changes: dict[str, Any] = {"guidance_scale": 2.0} if guided else {}
        if traits.true_cfg and guided:
            changes["true_cfg_scale"] = 2.0
        if traits.negative_prompt and (guided or not traits.true_cfg):
            changes["negative_prompt"] = "ink, a cat"
        made = studio.make(**changes)
        receipt = made.record.receipt
        assert receipt.max_sequence_length == (
            traits.sequence.default if traits.sequence else None
        )
        if "negative_prompt" in changes:
            assert {entry.side for entry in receipt.encoding} == {"prompt", "negative"}
    finally:
        studio.workspace.close()


@pytest.mark.parametrize("name", EDITORS)
def test_an_edit_depends_on_its_picture_and_keeps_it(tmp_path: Path, name: str) -> None:
    studio = opened(tmp_path, name, guidance_scale=1.0)
    try:
        black, white = (
            studio.workspace.add_reference(picture(tmp_path, colour))
            for colour in ("black", "white")
        )
        made = [
            studio.make(mode=Mode.REFERENCE_EDIT, references=(each,)) for each in (black, white)
        ]
        assert made[0].pixels != made[1].pixels
        assert made[0].record.receipt.references == (black.sha256,)
        kept = studio.workspace.gallery.reference(black.sha256)
        assert kept.is_file()
        assert b"Camera" not in kept.read_bytes() + made[0].path.read_bytes()
        assert b"holiday" not in made[0].path.read_bytes()
        kept.unlink()
        found = studio.workspace.verify(made[0].path)
        assert [finding.code for finding in found.findings] == ["reference"]
    finally:
        studio.workspace.close()
