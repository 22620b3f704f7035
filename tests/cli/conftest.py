"""Runs the command line in this process, in a folder of its own, with a bare environment."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from studio.cli import run
from tests.cli.stand_in import StandIn

VARIABLES = (
    "MODEL_BASE_PATH OUTPUTS STATE_DIR PRESETS HOST PORT SHARE DEVICE MEMORY_BUDGET_GB "
    "CIVITAI_API_KEY HF_TOKEN"
)


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
    """``cli("plan", "--base", ...)`` as a shell would say it."""

    def answer(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return answer


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A workspace with a real resolver and scripted runs, in place of the real one."""
    workspace = StandIn()
    monkeypatch.setattr(
        "studio.cli.options.Workspace.open", lambda settings: workspace.at(settings)
    )
    return workspace
