"""What lies beside a LoRA and cannot be read is named, and the LoRA can be used all the same."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.library import sidecars
from studio.library.files import describe_file
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.workspace import Workspace

JSON = [suffix for suffix in sidecars.SUFFIXES if suffix != ".txt"]
BROKEN = {
    "no JSON": b'{"trainedWords": [',
    "no text": b"\xff\xfe\x00",
    "a list": b'["ink"]',
    "a number": b"7",
    "deep": b"[" * 100_000,
    "large": b'{"notes": "' + b"a" * sidecars.MAX_BYTES + b'"}',
    "empty": b"",
}


@pytest.mark.parametrize("suffix", JSON)
@pytest.mark.parametrize("kind", BROKEN)
def test_each_is_read_as_what_it_is(kind: str, suffix: str, tmp_path: Path) -> None:
    place = tmp_path / f"ink{suffix}"
    place.write_bytes(BROKEN[kind])
    said = sidecars.read_sidecar(place)
    assert said is not None
    assert said.problem
    assert place.name in said.sentence
    assert len(said.sentence) < 200
    assert sidecars.unread_beside(tmp_path / "ink.safetensors") == (said.sentence,)


def test_a_text_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "ink.txt").write_bytes(b"\xff\xfe")
    assert sidecars.unread_beside(tmp_path / "ink.safetensors") == ()


def test_a_link_to_nothing_and_a_pipe_are_no_sidecars(tmp_path: Path) -> None:
    (tmp_path / "ink.json").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "ink.civitai.info")
    assert sidecars.unread_beside(tmp_path / "ink.safetensors") == ()


def test_the_scan_the_header_and_the_plan_name_them(tmp_path: Path) -> None:
    place = tmp_path / "models/loras/ink.safetensors"
    place.parent.mkdir(parents=True)
    shutil.copy(next(BUILT_IN_PRESETS.rglob("pen-ink-mini.safetensors")), place)
    names = [f"ink{suffix}" for suffix in (".metadata.json", ".civitai.info")]
    for name in names:
        place.with_name(name).write_bytes(b"{")
    settings = Settings(
        tmp_path / "models", tmp_path / "outputs", tmp_path / "state", device="cpu"
    )
    with closing(Workspace.open(settings)) as workspace:
        catalogue = workspace.stock.catalogue
        (held,) = (each.held for each in catalogue.refresh() if each.held.place == place)
        plan = workspace.plan(
            GenerationRequest(
                base="mini",
                mode=Mode.LORA,
                prompt="a rocket",
                seed=1,
                loras=(LoraChoice(slug="ink"),),
            )
        )
        assert isinstance(plan, RunPlan)
        told = [each.text for each in plan.notices if each.code == "sidecar_unread"]
        shown = catalogue.unread_of("ink")
    for sentences in (held.unread, describe_file(place)["notes"], told, shown):
        assert all(name in each for name, each in zip(names, sentences, strict=True))
