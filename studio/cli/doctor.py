"""``studio doctor``: what this installation is, and what is wrong with it."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import studio
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, OutputDir, PresetDirs, workspace_settings
from studio.errors import StudioError
from studio.preset_files import load
from studio.presets import Catalog
from studio.presets.text import PresetProblem
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.weights import WeightStore
from studio.workspace import Workspace

LIBRARIES = (
    "accelerate",
    "compel",
    "diffusers",
    "gradio",
    "huggingface-hub",
    "peft",
    "pillow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
)


def doctor(
    presets: PresetDirs = None, output_dir: OutputDir = None, as_json: Json = False
) -> None:
    """Show versions, device, memory, paths, keys (never their values) and presets.

    Ends with 1 when something is wrong, and says what.
    """
    with command(as_json) as console:
        findings = _findings(workspace_settings(presets, output_dir))
        if as_json:
            console.data(findings)
        _show(console, findings)
        if findings["problems"]:
            raise Ended(ExitCode.FAILURE)


def _findings(settings: Settings) -> dict[str, Any]:
    catalog, wrong = load((BUILT_IN_PRESETS, *settings.preset_dirs), settings.local_presets)
    missing = _missing()
    # Without its libraries the studio does not start, and there is no device to ask.
    device, broken = (None, []) if missing else _device(settings)
    return {
        "versions": _versions(),
        "device": device,
        "memory": memory(),
        "paths": _paths(settings),
        "keys": {
            "CIVITAI_API_KEY": settings.civitai_api_key is not None,
            "HF_TOKEN": settings.hf_token is not None,
        },
        "presets": _presets(settings, catalog),
        "problems": [*missing, *_problems(settings, wrong), *broken],
    }


def _device(settings: Settings) -> tuple[str | None, list[str]]:
    """The device in words, or why it or the gallery cannot be used."""
    try:
        with closing(Workspace.open(settings)) as workspace:
            return workspace.describe_device(), []
    except StudioError as error:
        return None, [str(error)]


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "studio": studio.__version__,
        "python": platform.python_version(),
    }
    return versions | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def memory() -> dict[str, int] | None:
    """Bytes of main memory, all and free to use, where the system tells (Linux)."""
    table = Path("/proc/meminfo")
    if not table.is_file():
        return None
    kibibytes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in table.read_text().splitlines())
    }
    return {
        "total": kibibytes["MemTotal"] * 1024,
        "available": kibibytes["MemAvailable"] * 1024,
    }


def _paths(settings: Settings) -> dict[str, dict[str, Any]]:
    places = {
        "MODEL_BASE_PATH": settings.model_base_path,
        "OUTPUTS": settings.outputs,
        "STATE_DIR": settings.state,
    }
    return {
        name: {
            "path": str(path),
            "exists": _nearest(path) == path and path.is_dir(),
            "writable": _writable(path),
            "free": shutil.disk_usage(_nearest(path)).free,
        }
        for name, path in places.items()
    }


def _nearest(path: Path) -> Path:
    """``path``, or the closest place above it that is there and can be looked at."""
    # Unlike pathlib's own questions, this one answers where a folder on the way is locked.
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _writable(path: Path) -> bool:
    nearest = _nearest(path)
    return nearest.is_dir() and os.access(nearest, os.W_OK)


def _presets(settings: Settings, catalog: Catalog) -> dict[str, int]:
    there = WeightStore(settings).present([*catalog.models.values(), *catalog.loras.values()])
    return {
        "models": len(catalog.models),
        "models_with_weights": sum(there[slug] for slug in catalog.models),
        "loras": len(catalog.loras),
        "loras_with_weights": sum(there[slug] for slug in catalog.loras),
    }


def _missing() -> list[str]:
    return [
        f"{name} is not installed. Run pip install -r requirements.txt."
        for name in LIBRARIES
        if _version(name) is None
    ]


def _problems(settings: Settings, wrong: Sequence[PresetProblem]) -> list[str]:
    closed = [
        f"{name} ({path}) cannot be written to. Choose another folder."
        for name, path in (("OUTPUTS", settings.outputs), ("STATE_DIR", settings.state))
        if not _writable(path)
    ]
    return closed + [problem.describe() for problem in wrong]


def _show(console: Console, findings: dict[str, Any]) -> None:
    for title in ("versions", "memory", "paths", "keys", "presets"):
        _section(console, title.capitalize(), findings[title] or {"": "not known"})
    _section(console, "Device", {"device": findings["device"] or "not known"})
    problems = findings["problems"] or ["none found"]
    console.say(console.paint("Problems", "strong"))
    for problem in problems:
        console.say(f"  {problem}")


def _section(console: Console, title: str, values: dict[str, Any]) -> None:
    console.say(console.paint(title, "strong"))
    console.fields([(f"  {name}", _worded(value)) for name, value in values.items()])
    console.say()


def _worded(value: Any) -> str:
    if isinstance(value, dict):
        state = "writable" if value["writable"] else "not writable"
        return f"{value['path']} ({state}, {_gigabytes(value['free'])} free)"
    if isinstance(value, bool):
        return "set" if value else "not set"
    if value is None:
        return "not installed"
    return _gigabytes(value) if isinstance(value, int) and value > 10**6 else str(value)


def _gigabytes(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
