"""``studio presets add`` and ``remove``: the studio's own preset file."""

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from studio.architecture import Architecture
from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace
from studio.cli.parsers import parse_number, parse_text
from studio.errors import PresetsError, StudioError
from studio.library.preset_files import entry_of
from studio.presets import LoraPreset, TriggerRule
from studio.presets.model_card import differences
from studio.presets.suggest import Suggestion
from studio.workspace.workspace import Workspace

What = Annotated[
    list[str],
    typer.Argument(
        parser=parse_text,
        metavar="WHAT...",
        help="LoRA files under MODEL_BASE_PATH, AIRs, links, or owner/name.",
    ),
]
TextOption = Annotated[str | None, typer.Option(parser=parse_text, metavar="TEXT")]
YesWrite = Annotated[bool, typer.Option("--yes", help="Write it without asking.")]
Strength = Annotated[float | None, typer.Option(parser=parse_number, metavar="NUMBER")]


def add(
    what: What,
    slug: TextOption = None,
    label: TextOption = None,
    base_architecture: Annotated[Architecture | None, typer.Option()] = None,
    theme: TextOption = None,
    prompt: Annotated[
        str | None, typer.Option(parser=parse_text, metavar="TEXT", help="Trigger words.")
    ] = None,
    trigger: Annotated[TriggerRule | None, typer.Option()] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="One of the trigger words is enough.")
    ] = False,
    strength: Strength = None,
    notes: TextOption = None,
    yes: YesWrite = False,
    presets: PresetDirs = None,
    as_json: Json = False,
) -> None:
    """Make presets from files, AIRs, links or repositories, everything prefilled.

    They go into the studio's own file, presets/local.yaml; other files are never changed. Ends
    with 1 when one of several could not be made; the others are.
    """
    if len(what) > 1 and (slug or label):
        raise typer.BadParameter("--slug and --label are for one preset at a time.")
    changes = {
        "slug": slug,
        "label": label,
        "base_architecture": base_architecture.value if base_architecture else None,
        "theme": theme,
        "prompt": prompt,
        "trigger": trigger.value if trigger else None,
        "alternatives": alternatives or None,
        "settings": {"strength": strength} if strength is not None else None,
        "notes": notes,
    }
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        made = list(_suggested(console, workspace, what, changes))
        if made:
            _confirm(console, yes)
            workspace.stock.put(*(suggestion.preset for suggestion in made))
        path = workspace.settings.local_presets
        for suggestion in made:
            if as_json:
                console.data({"file": str(path), "preset": entry_of(suggestion.preset)})
            console.say(f"{suggestion.preset.slug} is in {path}.")
            if not suggestion.is_there:
                console.say(f"`studio download {suggestion.preset.slug}` fetches its weights.")
        if len(made) < len(what):
            raise Ended(ExitCode.FAILURE)


def _suggested(
    console: Console, workspace: Workspace, what: list[str], changes: dict[str, Any]
) -> Iterator[Suggestion]:
    """What can be made of each; of several, the rest is said and passed over."""
    taken: set[str] = set()
    for text in what:
        try:
            suggestion = workspace.stock.suggest(text, changes)
            if suggestion.preset.slug in taken:
                raise PresetsError(
                    f"The slug {suggestion.preset.slug!r} is that of one before it.",
                    "Add this one alone, with a --slug of its own.",
                )
        except StudioError as error:
            if len(what) == 1:
                raise
            console.complain(f"{text}: {error.message}", error.way_out)
            continue
        taken.add(suggestion.preset.slug)
        _show(console, suggestion)
        yield suggestion


def _show(console: Console, suggestion: Suggestion) -> None:
    rows = []
    for name, value in entry_of(suggestion.preset).items():
        who = suggestion.said_by.get(name)
        rows.append((name, _in_words(value) + (f" [{who}]" if who else "")))
    for what, own, theirs in _differences(suggestion):
        rows.append(("differs", f"{what}: {own} here, {theirs} at the publisher"))
    console.fields(rows)


def _differences(suggestion: Suggestion) -> tuple[tuple[str, str, str], ...]:
    preset = suggestion.preset
    if suggestion.published is None or not isinstance(preset, LoraPreset):
        return ()
    return differences(suggestion.published, preset.prompt, preset.settings.strength)


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def _confirm(console: Console, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise PresetsError("Nothing was written: no one is there to confirm.", "Say --yes.")
    console.note("Write it? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        console.note("Nothing was written.")
        raise Ended(ExitCode.CANCELLED)


def remove(
    slugs: Annotated[list[str], typer.Argument(metavar="SLUG...")],
    presets: PresetDirs = None,
    as_json: Json = False,
) -> None:
    """Take presets out of the studio's own file; their weights stay where they are."""
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        for slug in slugs:
            workspace.stock.remove(slug)
        if as_json:
            console.data({"removed": slugs})
        for slug in slugs:
            console.say(f"{slug} is removed.")
