"""What a terminal gets to see."""

import io

import pytest

from studio.cli.console import Console, command, paints, visible
from studio.cli.progress import ProgressLine
from studio.contract.events import Stalled


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paints(Terminal())
    assert not paints(io.StringIO())


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert not paints(Terminal())


def test_what_drives_a_terminal_is_shown_and_not_obeyed() -> None:
    assert visible("a\x1b[2Jb\x07c\u202ed") == "a�[2Jb�c�d"
    assert visible("\x1b[31mred\x1b[0m\n") == "\x1b[31mred\x1b[0m\n"
    assert visible("\x1b[8mhidden") == "�[8mhidden"
    assert visible("file\udcff.png") == "file�.png"


def test_long_values_wrap_in_their_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = io.StringIO()
    Console(False, out, out).fields([("Prompt", "word " * 30), ("Seed", "7")])
    lines = out.getvalue().splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 8) for line in lines[1:-1])
    assert lines[-1] == "Seed    7"


def test_json_is_one_line_and_text_is_silent() -> None:
    out = io.StringIO()
    console = Console(True, out, io.StringIO())
    console.say("for people")
    console.data({"b": "é", "a": "\udcff"})
    assert out.getvalue() == '{"b": "\\u00e9", "a": "\\udcff"}\n'


@pytest.mark.parametrize("as_json", [True, False])
def test_what_a_library_prints_is_no_result(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with command(as_json) as console:
        print("a library prints")
        console.data({"a": 1})
    assert capsys.readouterr() == ('{"a": 1}\n', "a library prints\n")


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_stage_that_does_not_move_is_said(kind: type[io.StringIO]) -> None:
    err = kind()
    ProgressLine(Console(False, io.StringIO(), err)).show(Stalled("r", "Reading the prompt", 30))
    assert "Reading the prompt" in err.getvalue()
    assert "30 s" in err.getvalue()
