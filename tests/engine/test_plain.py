"""What libraries say: the words stay, this machine's paths and a terminal's colours go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from studio.contract.receipt import RunRecord
from studio.engine import Engine
from studio.engine.base.library_logs import plain
from studio.errors import BaseRefused
from tests.support import tiny
from tests.support.plans import make_job, pictures

PLACES = {Path("/home/ann/my models/sd 15"): "SD 1.5", Path("/srv/lora/ink.safetensors"): "ink"}


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("from: /home/ann/my models/sd 15/unet", "from: SD 1.5/unet"),
        ("from:/home/ann/my models/sd 15", "from:SD 1.5"),
        ("in '/home/ann/my models/other one'", "in '…/other one'"),
        ("/home/ann/my models/sd 15-old", "…/sd 15-old"),
        ("/home/ann/x", "…/x"),
        ("/srv/lora/ink.safetensors, /srv/lora/pen.safetensors", "ink, …/pen.safetensors"),
        ("see (/opt/lib/python/peft.py:12)", "see (…/peft.py:12)"),
        ("file:///opt/lib/a.txt", "…/a.txt"),
        ("https://example.org/docs/of/it and/or down/up", None),
        ("A \x1b[1mbold\x1b[0m, \x1b[38;5;208mred\x1b[0m word", "A bold, red word"),
        ("\x1b[31m/home/ann/my models/sd 15\x1b[0m", "SD 1.5"),
        ("\x1b]8;;file:///home/ann\x07link\x1b]8;;\x07", "link"),
    ],
)
def test_paths_and_colours_go_and_words_stay(said: str, heard: str | None) -> None:
    assert plain(said, PLACES) == (said if heard is None else heard)


def test_a_link_to_the_base_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "real base").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real base")
    said = f"{tmp_path}/real base, {tmp_path}/link"
    assert plain(said, {tmp_path / "link": "Base"}) == "Base, Base"


@pytest.fixture
def strange_base(tiny_base: Path, tmp_path: Path) -> Path:
    """Its text encoder has a tensor that nobody expects, of which transformers reports."""
    folder = tmp_path / "my models" / "strange"
    shutil.copytree(tiny_base, folder)
    weights = folder / "text_encoder" / "model.safetensors"
    tiny.rewrite(weights, weights, lambda found: found | {"stranger.weight": torch.zeros(3)})
    return folder


def test_a_record_holds_no_path_and_no_colour(
    engine: Engine, strange_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = make_job(strange_base, (tiny_loras["text"], 1.0), (tiny_loras["plain"], 0.5))
    (made,) = pictures(engine, job)
    text = " ".join(made.receipt.warnings)
    assert "LOAD REPORT" in text
    assert "stranger.weight" in text
    record = json.dumps(RunRecord.of(job.plan, made.receipt).model_dump(), ensure_ascii=False)
    secrets = (strange_base.parents[1], tiny_loras["text"].parent, Path.home(), Path.cwd())
    assert [str(place) for place in secrets if str(place) in record] == []
    assert "\\u001b" not in record


def test_the_refusal_of_a_base_holds_no_path(engine: Engine, strange_base: Path) -> None:
    job = make_job(strange_base)
    (strange_base / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut")
    with pytest.raises(BaseRefused) as caught:
        pictures(engine, job)
    assert str(strange_base.parents[1]) not in str(caught.value)
    shutil.rmtree(strange_base / "unet")
    with pytest.raises(BaseRefused) as caught:
        pictures(engine, job)
    assert str(strange_base.parents[1]) not in str(caught.value)
