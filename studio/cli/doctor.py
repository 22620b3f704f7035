"""``studio doctor``: what this installation is, and what is wrong with it."""

import dataclasses
import importlib.metadata
import os
import platform
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

import studio
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, OutputDir, PresetDirs, workspace_settings
from studio.cli.space_check import SpaceKind, faults
from studio.contract.base import in_bytes
from studio.errors import StudioError
from studio.library.preset_files import load
from studio.library.store import WeightStore
from studio.machine import main_memory
from studio.presets import Catalog
from studio.presets.parse import PresetProblem
from studio.resolve.memory import MemoryRules, offload_in_words
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.self_test import self_test as run_self_test
from studio.workspace.workspace import WorkerStatus, Workspace

LIBRARIES = (
    "accelerate",
    "compel",
    "diffusers",
    "gradio",
    "huggingface-hub",
    "pillow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
)


GREETING = 120.0
"""Seconds in which workers may get ready."""


def doctor(
    presets: PresetDirs = None,
    output_dir: OutputDir = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Run every kind of pipeline on a tiny base.")
    ] = False,
    space: Annotated[
        SpaceKind | None,
        typer.Option("--space", help="Check whether this checkout can run as such a Space."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show versions, device, memory, paths, keys (never their values) and presets.

    With --self-test, run every kind of pipeline from plan to verified picture instead, on tiny
    bases in a temporary folder. With --space, check this checkout and the settings for a Hugging
    Face Space. Ends with 1 when something is wrong, and says what.
    """
    with command(as_json) as console:
        settings = workspace_settings(presets, output_dir)
        if self_test:
            _self_test(console, settings, as_json)
            return
        if space is not None:
            _space(console, settings, space, as_json)
            return
        findings = _findings(settings)
        if as_json:
            console.data(findings)
        _show(console, findings)
        if findings["problems"]:
            raise Ended(ExitCode.FAILURE)


def _space(console: Console, settings: Settings, kind: SpaceKind, as_json: bool) -> None:
    catalog, wrong = load((BUILT_IN_PRESETS, *settings.preset_dirs), settings.local_presets)
    found = list(faults(kind, BUILT_IN_PRESETS.parent, settings, catalog))
    problems = [f"{each.found} {each.way_out}" for each in found]
    problems += [problem.describe() for problem in wrong]
    if as_json:
        console.data({"space": kind.value, "ok": not problems, "problems": problems})
    for problem in problems:
        console.say(problem)
    if problems:
        raise Ended(ExitCode.FAILURE)
    console.say(f"Nothing here stands in the way of a Space ({kind.value}).")


def _self_test(console: Console, settings: Settings, as_json: bool) -> None:
    """One line for each pipeline class as it is done."""
    rows = []
    for row in run_self_test(settings):
        rows.append(row)
        state = "ok" if row.ok else f"FAILED: {row.problem}"
        name = f"{row.architecture.value:<8}{row.pipeline:<30}"
        console.say(f"{name}{row.modules:>4} LoRA layers{row.seconds:>8.1f} s  {state}")
    failed = [row for row in rows if not row.ok]
    console.say(f"{len(rows) - len(failed)} of {len(rows)} kinds of pipelines ran to the letter.")
    if as_json:
        pipelines = [row.model_dump(mode="json") | {"ok": row.ok} for row in rows]
        console.data({"ok": bool(rows) and not failed, "pipelines": pipelines})
    if failed or not rows:
        raise Ended(ExitCode.FAILURE)


def _findings(settings: Settings) -> dict[str, Any]:
    catalog, wrong = load((BUILT_IN_PRESETS, *settings.preset_dirs), settings.local_presets)
    missing = _missing()
    # Without its libraries the studio does not start, and there is no device to ask.
    device, rules, workers, broken = (None, None, [], []) if missing else _device(settings)
    return {
        "versions": _versions(),
        "device": device,
        "memory": memory(),
        "placement": rules,
        "workers": workers,
        "paths": _paths(settings),
        "keys": {
            "CIVITAI_API_KEY": settings.civitai_api_key is not None,
            "HF_TOKEN": settings.hf_token is not None,
        },
        "presets": _presets(settings, catalog),
        "problems": [*missing, *_problems(settings, wrong), *broken],
    }


def _device(
    settings: Settings,
) -> tuple[str | None, dict[str, Any] | None, list[dict[str, Any]], list[str]]:
    """The device in words, what may be in its memory, the workers, or why it or the gallery
    cannot be used."""
    try:
        with closing(Workspace.open(settings)) as workspace:
            device = workspace.describe_device()
            workers = _greeted(workspace)
            problems = [f"Worker {each.name}: {each.problem}" for each in workers if each.problem]
            rows = [dataclasses.asdict(each) for each in workers]
            return device, _placement(workspace.planning.memory_rules()), rows, problems
    except StudioError as error:
        return None, None, [], [str(error)]


def _greeted(workspace: Workspace) -> Sequence[WorkerStatus]:
    """The workers, once each has said what it is, or at the latest after GREETING."""
    deadline = time.monotonic() + GREETING
    while any(each.is_starting for each in workspace.workers()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return workspace.workers()


def _placement(rules: MemoryRules | None) -> dict[str, Any] | None:
    """What is chosen for each base by its size, or was set."""
    if rules is None:
        return None
    tiling = {None: "auto", True: "on", False: "off"}[rules.vae_tiling]
    return {
        "budget": rules.budget,
        "dtype": rules.dtype.value if rules.dtype else "auto",
        "offload": rules.offload.value if rules.offload else "auto",
        "offload_in_words": offload_in_words(rules),
        "vae_tiling": tiling,
        "vae_slicing": "on" if rules.vae_slicing else "off",
    }


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
    """Bytes of main memory, where the system tells (Linux): the machine's, what of it is free, and
    what the studio may use of it."""
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
        "allowed": main_memory(),
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
    for title in ("versions", "memory", "placement", "paths", "keys", "presets"):
        _section(console, title.capitalize(), findings[title] or {"": "not known"})
    _section(console, "Device", {"device": findings["device"] or "not known"})
    if findings["workers"]:
        _section(console, "Workers", {each["name"]: _worker(each) for each in findings["workers"]})
    problems = findings["problems"] or ["none found"]
    console.say(console.paint("Problems", "strong"))
    for problem in problems:
        console.say(f"  {problem}")


def _worker(row: dict[str, Any]) -> str:
    said = [row["condition"], row["hardware"], row["running"] and f"runs {row['running']}"]
    said += [f"in memory: {', '.join(row['resident'])}"] if row["resident"] else []
    said += [f"{row['done']} done, {row['failed']} failed", row["problem"]]
    return "; ".join(each for each in said if each)


def _section(console: Console, title: str, values: dict[str, Any]) -> None:
    console.say(console.paint(title, "strong"))
    console.fields([(f"  {name}", _worded(value)) for name, value in values.items()])
    console.say()


def _worded(value: Any) -> str:
    if isinstance(value, dict):
        state = "writable" if value["writable"] else "not writable"
        return f"{value['path']} ({state}, {in_bytes(value['free'], 1)} free)"
    if isinstance(value, bool):
        return "set" if value else "not set"
    if value is None:
        return "not installed"
    return in_bytes(value, 1) if isinstance(value, int) and value > 10**6 else str(value)
