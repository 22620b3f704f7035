"""Runs the command line in this process, in a folder of its own, with a bare environment."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from studio.cli import run

VARIABLES = (
    "MODEL_BASE_PATH OUTPUTS STATE_DIR PRESETS HOST PORT SHARE DEVICE MEMORY_BUDGET_GB "
    "CIVITAI_API_KEY HF_TOKEN CIVITAI_BASE_URL HF_ENDPOINT DOWNLOAD_HOSTS AUTO_DOWNLOAD "
    "MAX_DOWNLOAD_GB HF_HUB_OFFLINE LOCAL_PRESETS SPACE_ID"
)
PRESETS = """
models:
  - slug: tiny
    label: Tiny
    path: base
    pipeline: StableDiffusionPipeline
    base_architecture: mini
    settings: {steps: 2, guidance_scale: 3.0, default_width: 64, default_height: 64,
               dtype: float32, scheduler: DDIMScheduler}
loras:
  - {slug: ink, label: Ink, base_architecture: mini, path: ink.safetensors,
     prompt: "phrsink, pen and ink illustration", trigger: required, settings: {strength: 0.7}}
  - {slug: wash, label: Wash, base_architecture: mini, path: wash.safetensors, trigger: none}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command ended with and said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output; anything else there fails the test."""
        (value,) = self.lines
        return value

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES.split():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("plan", "--base", ...)`` as a shell would say it; no command leaves a thread."""

    def answer(*arguments: object) -> Answer:
        capsys.readouterr()
        before = set(threading.enumerate())
        code = run([str(argument) for argument in arguments])
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("studio-"):
                thread.join(30)  # what runs may outlast the command's patience, not the test's
                assert not thread.is_alive(), thread.name
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return answer


@pytest.fixture(scope="session")
def tiny_place(
    tiny_base: Path, tiny_loras: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny base, two LoRAs and a folder of presets for them; nobody writes here."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(tiny_base, folder / "base")
    shutil.copy(tiny_loras["plain"], folder / "ink.safetensors")
    shutil.copy(tiny_loras["other"], folder / "wash.safetensors")
    (folder / "presets").mkdir()
    (folder / "presets" / "tiny.yaml").write_text(PRESETS)
    return folder


@pytest.fixture
def tiny_studio(tiny_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a studio with the base ``tiny`` and the LoRAs ``ink`` and ``wash``."""
    monkeypatch.setenv("MODEL_BASE_PATH", str(tiny_place))
    monkeypatch.setenv("PRESETS", str(tiny_place / "presets"))
    monkeypatch.setenv("DEVICE", "cpu")
