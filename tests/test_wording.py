"""What the studio says, in one file: every other test asserts codes and fields.

``tests/wording.txt`` holds the sentences of violations, the help of the command line and the
labels of the page. Change a sentence where it is written, then write the file anew and read the
difference as a reader would: ``python -m tests.test_wording``.
"""

import sys
import tempfile
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import pytest
import typer

from studio.cli import app
from studio.contract.violations import Rule, Violation
from studio.settings import Settings
from studio.ui import page
from studio.workspace.workspace import Workspace

HERE = Path(__file__).with_name("wording.txt")
TOLD = ("label", "placeholder", "info")
"""What a component says of itself, and a button its value."""


def violations() -> Iterator[str]:
    """Templates over the fields of each."""
    union, _ = get_args(Violation)
    rules: list[type[Rule]] = sorted(get_args(union), key=lambda rule: rule.__name__)
    for rule in rules:
        yield str(rule.model_fields["code"].default)
        yield from (f"  {text}" for text in (rule.FOUND, rule.EXPECTED, rule.WAY_OUT))


def commands(command: Any, path: str = "studio") -> Iterator[tuple[str, str]]:
    """Every command with its help, and every option with its own; alike options once."""
    yield path, command.help or ""
    for parameter in command.params:
        named = ", ".join(parameter.opts) if parameter.opts[0].startswith("-") else ""
        said = getattr(parameter, "help", None)
        if said and not getattr(parameter, "hidden", False):
            yield (named or f"{path} {parameter.name}"), said
    for name, each in sorted(getattr(command, "commands", {}).items()):
        yield from commands(each, f"{path} {name}")


def labels(folder: Path) -> Iterator[str]:
    """Of every component and tab of the page."""
    workspace = Workspace.open(
        Settings(folder / "models", folder / "outputs", folder / "state", device="cpu")
    )
    try:
        for block in page.build(workspace).blocks.values():
            names = (*TOLD, "value") if isinstance(block, gr.Button) else TOLD
            yield from (str(text) for name in names if (text := getattr(block, name, None)))
            if isinstance(block, gr.Radio):
                yield from (str(label) for label, _ in block.choices)
    finally:
        workspace.close()


def wording(folder: Path) -> str:
    helps = dict.fromkeys(commands(typer.main.get_command(app)))
    parts = {
        "Violations: what was found, what is expected, the way out": violations(),
        "The command line": (f"{name}\n  {' '.join(said.split())}" for name, said in helps),
        "The page": sorted(set(labels(folder))),
    }
    return "\n".join(f"# {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts.items())


def test_the_studio_says_what_was_read_and_agreed(tmp_path: Path) -> None:
    kept, now = HERE.read_text(encoding="utf-8"), wording(tmp_path)
    changed = unified_diff(kept.splitlines(), now.splitlines(), "wording.txt", "now", n=1)
    if kept != now:
        pytest.fail("\n".join(changed) + "\nWrite it anew: python -m tests.test_wording")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        HERE.write_text(wording(Path(place)), encoding="utf-8")
    sys.exit(0)
