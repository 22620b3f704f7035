"""What an import pulls in: the page and the command line stand before torch does."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TYPE = re.compile(r"[A-Z][a-z]\w*").fullmatch

LONGEST = 300
"""Lines of a file."""

TORCH_AND_FRIENDS = ("torch", "diffusers", "transformers", "compel", "peft", "accelerate")


def loaded_after(modules: str, outputs: Path) -> frozenset[str]:
    """Top-level modules in a fresh interpreter that imported ``modules``."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OUTPUTS": str(outputs)},
    )
    assert done.returncode == 0, done.stderr
    return frozenset(name.split(".")[0] for name in done.stdout.split())


def test_neither_torch_nor_the_page(tmp_path: Path) -> None:
    loaded = loaded_after("studio.resolve, studio.workspace.workspace, studio.cli", tmp_path)
    assert loaded.isdisjoint({*TORCH_AND_FRIENDS, "gradio", "requests"})


def test_the_page_is_up_before_torch(tmp_path: Path) -> None:
    loaded = loaded_after("app, studio.ui", tmp_path)
    assert "gradio" in loaded
    assert loaded.isdisjoint(TORCH_AND_FRIENDS)


def test_the_studio_can_be_imported_where_there_are_no_posix_locks() -> None:
    hidden = (
        "import sys; sys.modules['fcntl'] = None; "
        "import pkgutil, importlib, studio; "
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(studio.__path__,"
        " 'studio.') if not m.name.startswith(('studio.engine', 'studio.__main__'))]"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_pure_modules_read_no_environment(tmp_path: Path) -> None:
    assert "dotenv" not in loaded_after("studio.resolve", tmp_path)


def test_the_pure_modules_are_listed_once() -> None:
    """Whatever the import rule calls pure is also held to the rule about effects."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rule, _, effects, *_ = project["tool"]["importlinter"]["contracts"]
    layers = rule["layers"]
    (last_effects,) = [place for place, layer in enumerate(layers) if "settings" in layer]
    pure = re.findall(r"\w+", " ".join(layers[last_effects + 1 :]))
    assert sorted(effects["source_modules"]) == sorted(f"studio.{name}" for name in pure)


def test_one_word_one_class() -> None:
    """No two classes, nor type aliases, of one name: what is read in one room holds in all."""
    homes: dict[str, list[str]] = {}
    for path in sorted((ROOT / "studio").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        assigned = (node.targets[0] for node in tree.body if isinstance(node, ast.Assign))
        found |= {each.id for each in assigned if isinstance(each, ast.Name) and TYPE(each.id)}
        for name in found:
            homes.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_file_is_longer_than_a_reader_holds_in_mind() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "studio").rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
