"""One list of dependencies, one version, one entry for shells and one for a Space."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import yaml

import studio

PACKAGES = {
    "c2pa": "c2pa-python",
    "PIL": "pillow",
    "dotenv": "python-dotenv",
    "huggingface_hub": "huggingface-hub",
    "pydantic_core": "pydantic",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
"""Import name → requirement, where the two differ."""

NOT_IMPORTED = {
    "accelerate": "diffusers loads weights with it",
}

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirement_names(lines: list[str]) -> set[str]:
    entries = (line.split("#")[0].strip() for line in lines)
    return {re.split(r"[<>=!~;\[ ]", entry)[0].lower() for entry in entries if entry}


def front_matter() -> dict[str, object]:
    _, head, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    values = yaml.safe_load(head)
    assert isinstance(values, dict)
    return values


def test_requirements_are_the_one_list() -> None:
    assert "dependencies" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["dependencies"] == {
        "file": ["requirements.txt"]
    }
    listed = requirement_names((ROOT / "requirements.txt").read_text().splitlines())
    declared = importlib.metadata.requires("lora-studio") or []
    installed = requirement_names([entry for entry in declared if "extra ==" not in entry])
    assert installed == listed


def imported_packages() -> set[str]:
    """The distributions that the studio's own files import."""
    names: set[str] = set()
    for path in [ROOT / "app.py", *(ROOT / "studio").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    foreign = names - sys.stdlib_module_names - {"studio"}
    return {PACKAGES.get(name, name) for name in foreign}


def test_what_is_imported_is_listed_and_the_reverse() -> None:
    listed = requirement_names((ROOT / "requirements.txt").read_text().splitlines())
    imported = imported_packages()
    extras = PROJECT["project"]["optional-dependencies"]
    wished = requirement_names([*extras["sign"], *extras["scale"], *extras["space"]])
    assert imported - listed == wished
    assert listed - imported - NOT_IMPORTED.keys() == set()


def test_no_list_names_a_host() -> None:
    for name in ("requirements.txt", "pyproject.toml"):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_every_requirement_is_a_range() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert all(">=" in entry and "==" not in entry for entry in entries)


def test_version_has_one_home() -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "studio.__version__"}
    assert importlib.metadata.version("lora-studio") == studio.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", studio.__version__)


def test_the_studio_command_is_installed() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="studio")
    assert entry.value == "studio.cli:main"


def test_the_space_finds_its_entry() -> None:
    values = front_matter()
    assert values["sdk"] == "gradio"
    assert (ROOT / str(values["app_file"])).is_file()
    assert tuple(map(int, str(values["python_version"]).split("."))) >= (3, 11)


def test_the_space_runs_the_gradio_of_the_list() -> None:
    version = str(front_matter()["sdk_version"])
    (least,) = re.findall(r"^gradio>=([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))


def test_links_of_the_benchmarks_lead_somewhere() -> None:
    for name in ("benchmarks/README.md",):
        page = ROOT / name
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_card_of_mini_is_filled_in() -> None:
    card = (ROOT / "presets" / "mini" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"@[A-Z_]+@", card) == []
