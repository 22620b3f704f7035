"""Every page's links lead somewhere, and every command it shows is one."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from studio.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each line that begins with ``studio``, in blocks of shell."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("studio "):
                yield shlex.split(line, comments=True)


def unknown(words: list[str]) -> list[str]:
    """The words that are neither a command nor one of its options."""
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while below := getattr(command, "commands", None):
        if not rest or rest[0] not in below:
            return rest[:1] or ["no command"]
        command, rest = below[rest[0]], rest[1:]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    options = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return [option for option in options if option not in {*known, "--help"}]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_and_options_are_real(page: Path) -> None:
    shown = list(commands(page.read_text(encoding="utf-8")))
    assert [(words, wrong) for words in shown if (wrong := unknown(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(\s*(?!https?:)([^)#\s]*)(?:#([^)\s]+))?\s*\)", text)
    for target, anchor in links:
        other = page.parent / target if target else page
        assert other.exists(), target
        if anchor and other.suffix == ".md":
            heads = re.findall(r"(?m)^#+ (.+)$", other.read_text(encoding="utf-8"))
            found = {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}
            assert anchor in found, (target, anchor)


def test_the_readme_is_short_and_names_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.partition("---\n")[2].partition("---\n")[2].split()) <= 900
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in text] == []


def test_the_check_finds_what_is_wrong() -> None:
    (words,) = commands("```sh\nstudio generate --base x \\\n  --stepps 4  # --no\n```")
    assert unknown(words) == ["--stepps"]
    assert unknown(["studio", "genrate"]) == ["genrate"]
