"""What an import pulls in: the page and the command line stand before torch does."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TORCH_AND_FRIENDS = ("torch", "diffusers", "transformers", "compel", "peft", "accelerate")


def loaded_after(*modules: str) -> frozenset[str]:
    """Top-level modules in a fresh interpreter that imported ``modules``."""
    program = f"import sys, {', '.join(modules)}; print(*{{n.split('.')[0] for n in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", ["studio.resolve", "studio.workspace", "studio.cli"])
def test_neither_torch_nor_the_page(module: str) -> None:
    loaded = loaded_after(module)
    assert loaded.isdisjoint({*TORCH_AND_FRIENDS, "gradio", "requests"})


def test_the_page_is_up_before_torch() -> None:
    loaded = loaded_after("studio.ui")
    assert "gradio" in loaded
    assert loaded.isdisjoint(TORCH_AND_FRIENDS)


def test_the_app_file_needs_no_torch() -> None:
    assert loaded_after("app").isdisjoint(TORCH_AND_FRIENDS)


def test_pure_modules_read_no_environment() -> None:
    assert "dotenv" not in loaded_after("studio.resolve")
