"""``studio presets``: the preset files, checked, listed, imported and pinned anew."""

import stat
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.architecture import Architecture
from studio.cli import preset_edits
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace, workspace_settings
from studio.errors import StudioError
from studio.library.preset_files import load, read
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.presets.convert import Conversion, convert
from studio.settings import BUILT_IN_PRESETS

app = typer.Typer(
    help="Check, list, add and import presets.", no_args_is_help=True, rich_markup_mode=None
)

FitsFilter = Annotated[
    str | None,
    typer.Option(metavar="SLUG", help="Only what fits this base (or architecture)."),
]
ThemeFilter = Annotated[str | None, typer.Option(metavar="THEME", help="Only LoRAs of a theme.")]
PresetFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON or YAML.")]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        dir_okay=False,
        help="The YAML to write; beside FILE if not said.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
PresetSlugs = Annotated[list[str], typer.Argument(metavar="SLUG...", help="Presets, by slug.")]


app.command("add")(preset_edits.add)
app.command("remove")(preset_edits.remove)


@app.command()
def check(presets: PresetDirs = None, as_json: Json = False) -> None:
    """Read every preset file and say what is wrong: file, line, entry and field.

    Ends with 1 when anything is wrong; the other entries still load.
    """
    with command(as_json) as console:
        settings = workspace_settings(presets, None)
        catalog, problems = load((BUILT_IN_PRESETS, *settings.preset_dirs), settings.local_presets)
        if as_json:
            counts = {"models": len(catalog.models), "loras": len(catalog.loras)}
            listed = [problem.model_dump(mode="json") for problem in problems]
            console.data(counts | {"problems": listed})
        for problem in problems:
            console.say(problem.describe())
        console.say(
            f"{len(catalog.models)} models, {len(catalog.loras)} LoRAs, "
            f"{len(problems) or 'no'} problem{'' if len(problems) == 1 else 's'}."
        )
        if problems:
            raise Ended(ExitCode.FAILURE)


@app.command("list")
def list_presets(
    base: FitsFilter = None,
    theme: ThemeFilter = None,
    presets: PresetDirs = None,
    as_json: Json = False,
) -> None:
    """List models and LoRAs, and whether their weights are there."""
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        architecture = _architecture(workspace.catalog, base)
        models = [
            model
            for model in workspace.catalog.models.values()
            if architecture in (None, model.base_architecture)
        ]
        loras = [
            lora
            for lora in workspace.catalog.loras.values()
            if architecture in (None, lora.base_architecture) and _has_theme(lora, theme)
        ]
        there = workspace.present()
        if as_json:
            console.data(
                {
                    part: [
                        _data(each, there[each.slug])
                        | {"said_by": workspace.catalog.derived.get(each.slug)}
                        for each in each_kind
                    ]
                    for part, each_kind in (("models", models), ("loras", loras))
                }
            )
        _show(console, "Models", [_model_row(model, there[model.slug]) for model in models])
        _show(console, "LoRAs", [_lora_row(lora, there[lora.slug]) for lora in loras])


def _architecture(catalog: Catalog, base: str | None) -> Architecture | None:
    """The architecture ``base`` names, or that of the model it names."""
    if base is None:
        return None
    if base in catalog.models:
        return catalog.models[base].base_architecture
    if base in list(Architecture):
        return Architecture(base)
    known = ", ".join([*catalog.models, *Architecture])
    raise StudioError(
        f"{base!r} is neither a base nor an architecture.", f"Choose one of {known}."
    )


def _has_theme(lora: LoraPreset, theme: str | None) -> bool:
    return theme is None or (lora.theme or "").casefold() == theme.casefold()


def _data(preset: ModelPreset | LoraPreset, present: bool) -> dict[str, Any]:
    return preset.model_dump(mode="json") | {"present": present}


def _model_row(model: ModelPreset, present: bool) -> tuple[str, ...]:
    return (model.slug, model.base_architecture.value, _weights(present), model.label)


def _lora_row(lora: LoraPreset, present: bool) -> tuple[str, ...]:
    theme = lora.theme or "-"
    return (lora.slug, lora.base_architecture.value, theme, _weights(present), lora.label)


def _weights(present: bool) -> str:
    return "present" if present else "missing"


def _show(console: Console, title: str, rows: list[tuple[str, ...]]) -> None:
    console.say(console.paint(f"{title} ({len(rows)})", "strong"))
    if rows:
        console.table(rows)
    console.say()


@app.command("import")
def import_presets(
    source: PresetFile, output: OutputFile = None, force: Force = False, as_json: Json = False
) -> None:
    """Turn another tool's presets into a YAML file, and say what was changed and why.

    Ends with 1 when entries stay that will not load; the file is written all the same, unless
    nothing in FILE could be read.
    """
    with command(as_json) as console:
        _refuse_absent(source)
        target = output or _beside(source)
        imported = _convert(source, target)
        if imported.text:
            _write(target, imported.text, force)
        if as_json:
            console.data(_import_data(target, imported))
        for change in imported.changes:
            console.say(change.describe())
        for problem in imported.problems:
            console.say(problem.describe())
        console.say(f"{target} is written." if imported.text else "Nothing was written.")
        if imported.problems:
            raise Ended(ExitCode.FAILURE)


def _refuse_absent(source: Path) -> None:
    try:
        there = stat.S_ISREG(source.stat().st_mode)
        reason = "It is no file"
    except OSError as error:
        there, reason = False, error.strerror or str(error)
    if not there:
        raise StudioError(
            f"{source} cannot be read: {reason}.", "Name the JSON or YAML file to import."
        )


def _beside(source: Path) -> Path:
    suffix = "-imported.yaml" if source.suffix.lower() in (".yaml", ".yml") else ".yaml"
    return source.with_name(source.stem + suffix)


def _convert(source: Path, target: Path) -> Conversion:
    parsed = read(source)
    if parsed.located is None:
        return Conversion(text="", changes=(), problems=parsed.problems)
    return convert(source.read_text(encoding="utf-8"), str(source), str(target))


def _write(target: Path, text: str, force: bool) -> None:
    try:
        with target.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise StudioError(
            f"{target} is there already.", "Name another file with --output, or say --force."
        ) from error
    except OSError as error:
        raise StudioError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Name another file with --output.",
        ) from error


def _import_data(target: Path, imported: Conversion) -> dict[str, Any]:
    return {
        "file": str(target) if imported.text else None,
        "changes": [change.model_dump(mode="json") for change in imported.changes],
        "problems": [problem.model_dump(mode="json") for problem in imported.problems],
    }


@app.command()
def repin(slugs: PresetSlugs, presets: PresetDirs = None, as_json: Json = False) -> None:
    """Forget the SHA-256 that presets were pinned to; their next use pins the new one."""
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        repinned = [workspace.repin(slug) for slug in slugs]
        if as_json:
            console.data({"repinned": [item.model_dump(mode="json") for item in repinned]})
        for item in repinned:
            console.say(f"{item.slug}: forgot {item.forgotten}; the next use pins what is there.")
