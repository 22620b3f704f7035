"""``studio weights``: the files that lie there, what they are, and whether they still are."""

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace
from studio.cli.progress import ProgressLine
from studio.contract.base import in_bytes
from studio.errors import StudioError
from studio.library.catalogue import Holding
from studio.library.check import Checked
from studio.workspace.workspace import Workspace

app = typer.Typer(
    help="Find, check and clear the weights on disk.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Hash = Annotated[bool, typer.Option("--hash", help="Hash what was never hashed.")]
Everything = Annotated[bool, typer.Option("--all", help="Also files that are no LoRAs.")]
MaybeSlugs = Annotated[
    list[str] | None, typer.Argument(metavar="[SLUG...]", help="Presets; all that are there.")
]
MOST_UNREAD = 20
"""Sidecars that are told of one by one."""
YesDelete = Annotated[bool, typer.Option("--yes", help="Delete; without it, only show.")]


@app.command()
def scan(
    hashes: Hash = False,
    everything: Everything = False,
    presets: PresetDirs = None,
    as_json: Json = False,
) -> None:
    """List every LoRA under MODEL_BASE_PATH, what it is and which presets name it.

    Ends with 1 when a file cannot be read.
    """
    with command(as_json) as console, closing(open_workspace(presets, None, False)) as workspace:
        rows = look(console, workspace)
        shown = [row for row in rows if everything or row.held.verdict.kind in ("lora", "")]
        if hashes:
            _hash(console, workspace, [row for row in shown if row.held.sha256 is None])
            paths = {row.held.path for row in shown}
            shown = [row for row in look(console, workspace) if row.held.path in paths]
        if as_json:
            console.data({"files": [_data(row) for row in shown]})
        _show(console, shown, len(rows))
        if any(row.held.verdict.problem for row in shown):
            raise Ended(ExitCode.FAILURE)


def look(console: Console, workspace: Workspace) -> tuple[Holding, ...]:
    """Every file of the library, looked at now."""
    line = ProgressLine(console)
    try:
        return workspace.stock.catalogue.refresh(
            lambda done, count: line.write(f"Reading file {done} of {count}", passing=True)
        )
    finally:
        line.end()


def _hash(console: Console, workspace: Workspace, rows: list[Holding]) -> None:
    line = ProgressLine(console)
    for number, row in enumerate(rows, 1):
        line.write(f"Hashing {number} of {len(rows)}: {row.held.path}", passing=True)
        if row.held.verdict.problem is None:
            workspace.stock.hash(row)
    line.end()


def _show(console: Console, rows: list[Holding], total: int) -> None:
    unknown = [row for row in rows if not row.presets and not row.held.verdict.problem]
    if rows:
        console.table([_row(row) for row in rows])
        console.say()
    console.say(
        f"{len(rows)} of {total} files; "
        + (f"{len(unknown)} without a preset." if unknown else "none is without a preset.")
    )
    unread = [f"{row.held.path}: {text}" for row in rows for text in row.held.unread]
    for text in unread[:MOST_UNREAD]:
        console.say(console.paint(text, "bad"))
    if len(unread) > MOST_UNREAD:
        console.say(f"{len(unread) - MOST_UNREAD} more cannot be read; --json has them all.")
    if unknown:
        console.say("`studio presets add FILE` makes a preset of one, everything prefilled.")


def _row(row: Holding) -> tuple[str, ...]:
    verdict = row.held.verdict
    reason = row.entry.reason if row.entry is not None else ""
    what = reason or " ".join(
        part for part in (verdict.architecture, verdict.variant, verdict.format) if part
    )
    own = row.entry.slug if row.entry is not None and not reason else ""
    named = ", ".join(row.presets) or own or "not usable"
    return (row.held.path, what, in_bytes(row.held.size), named)


def _data(row: Holding) -> dict[str, Any]:
    held = row.held
    data = {"path": held.path, "size": held.size, "sha256": held.sha256}
    data |= {"unread": list(held.unread)}
    entry = row.entry
    own = {
        "slug": entry.slug if entry is not None and entry.preset is not None else None,
        "reason": entry.reason if entry is not None else "",
    }
    return {**data, **asdict(held.verdict), "presets": list(row.presets), **own}


@app.command()
def verify(slugs: MaybeSlugs = None, presets: PresetDirs = None, as_json: Json = False) -> None:
    """Read weights again and compare them with what presets, pins and publishers say.

    With --json, one object a line. Ends with 1 when anything is not what it should be.
    """
    with command(as_json) as console, closing(open_workspace(presets)) as workspace:
        chosen = slugs or [slug for slug, there in workspace.present().items() if there]
        checks = [_verify(console, workspace, slug) for slug in chosen]
        if any(check.problem for check in checks):
            raise Ended(ExitCode.FAILURE)


def _verify(console: Console, workspace: Workspace, slug: str) -> Checked:
    checked = workspace.stock.holdings.verify(named(workspace, slug))
    if console.as_json:
        expected = checked.expected[0] if checked.expected else None
        data = {"slug": slug, "sha256": checked.found, "expected": expected}
        console.data({**data, "ok": checked.problem is None, "problem": checked.problem})
    verdict = (
        console.paint("changed", "bad") if checked.problem else console.paint("holds", "good")
    )
    said = checked.problem or (
        checked.expected[1] if checked.expected else "no hash is known for it"
    )
    console.say(f"{verdict}  {slug}  {(checked.found or '-')[:12]}  {said}")
    return checked


def named(workspace: Workspace, slug: str) -> Any:
    """The preset of a slug.

    Raises:
        StudioError: there is none.
    """
    try:
        return workspace.stock.preset(slug)
    except KeyError as error:
        raise StudioError(f"There is no preset {slug!r}.", "See `studio presets list`.") from error


@app.command()
def prune(yes: YesDelete = False, as_json: Json = False) -> None:
    """Clear unfinished downloads, and facts whose weights are gone. Weights are never deleted."""
    with command(as_json) as console, closing(open_workspace(None, None, False)) as workspace:
        found = workspace.stock.holdings.leftovers()
        gone = workspace.stock.holdings.prune(found) if yes else ()
        root = workspace.settings.model_base_path
        if as_json:
            listed = [
                {
                    "path": each.path.relative_to(root).as_posix(),
                    "size": each.size,
                    "reason": each.reason,
                    "deleted": each in gone,
                }
                for each in found
            ]
            console.data({"leftovers": listed})
        for each in found:
            said = "deleted" if each in gone else "may go"
            path = each.path.relative_to(root)
            console.say(f"{said}  {path}, {in_bytes(each.size)}: {each.reason}")
        total = in_bytes(sum(each.size for each in found))
        if not found:
            console.say("Nothing is left over.")
        elif not yes:
            console.say(f"{total} in all. `studio weights prune --yes` deletes them.")
