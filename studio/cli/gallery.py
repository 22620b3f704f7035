"""``studio gallery``: pictures and comparisons on disk, listed, and their index rebuilt."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from studio.architecture import Mode
from studio.cli.console import command
from studio.cli.options import Json, OutputDir, open_workspace
from studio.cli.parsers import parse_text
from studio.comparison.review import ReviewState
from studio.comparison.validity import SEALS
from studio.errors import GalleryError
from studio.gallery import Filter, Gallery, Picture, StoredComparison
from studio.workspace.packing import packed

app = typer.Typer(
    help="List and delete pictures and comparisons, rebuild their index.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST = 1_000_000
"""Items of one list; far more than a gallery has, and a number that the index can take."""

BaseFilter = Annotated[
    str | None, typer.Option(parser=parse_text, metavar="SLUG", help="Only of this base.")
]
LoraFilter = Annotated[
    str | None,
    typer.Option(parser=parse_text, metavar="SLUG", help="Only where this LoRA was applied."),
]
ModeFilter = Annotated[Mode | None, typer.Option(help="Only of this mode.")]
SearchWords = Annotated[
    str,
    typer.Option(
        parser=parse_text,
        metavar="TEXT",
        help="Each must occur in the prompts, the names or the seed.",
    ),
]
StateFilter = Annotated[
    ReviewState | None,
    typer.Option("--decisions", help="Only pictures of which the reviewers say this."),
]
ByFilter = Annotated[
    str | None,
    typer.Option(
        "--by", parser=parse_text, metavar="NAME", help="Only what this reviewer decided on."
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=_MOST, help="At most this many.")]


@app.command("list")
def list_pictures(
    base: BaseFilter = None,
    lora: LoraFilter = None,
    mode: ModeFilter = None,
    words: SearchWords = "",
    decisions: StateFilter = None,
    by: ByFilter = None,
    limit: Limit = 60,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """List pictures and comparisons, newest first.

    A comparison stands for the pictures made for it. With --json, "pictures" has those too,
    and "comparisons" the comparisons.
    """
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        wanted = Filter(base, lora, mode, words, decisions, by)
        gallery = workspace.gallery
        if as_json:
            console.data(_listed(gallery, wanted, limit))
            return
        items, total = gallery.comparisons.items(wanted, limit), gallery.comparisons.count(wanted)
        if items:
            console.table([_row(item) for item in items])
        console.say(f"{len(items)} of {total} pictures and comparisons in {gallery.outputs}.")


def _listed(gallery: Gallery, wanted: Filter, limit: int) -> dict[str, Any]:
    # Counted last: what is not there any more leaves the index when it is listed.
    pictures = [_data(each) for each in gallery.query(wanted, limit)]
    comparisons = [_compared(each) for each in gallery.comparisons.stored(wanted, limit)]
    return {
        "total": gallery.count(wanted),
        "pictures": pictures,
        "total_comparisons": gallery.comparisons.count_stored(wanted),
        "comparisons": comparisons,
    }


def _data(picture: Picture) -> dict[str, Any]:
    return {
        "file": str(picture.path),
        "created": picture.created.isoformat(),
        "base": picture.base,
        "loras": list(picture.loras),
        "mode": picture.mode.value,
        "prompt": picture.prompt,
        "seed": picture.seed,
        "width": picture.width,
        "height": picture.height,
        "fingerprint": picture.fingerprint,
        "record_fingerprint": picture.record,
    }


def _compared(comparison: StoredComparison) -> dict[str, Any]:
    return {
        "file": str(comparison.path),
        "created": comparison.created.isoformat(),
        "kind": comparison.kind.value,
        "title": comparison.title,
        "summary": comparison.summary,
        "verdict": comparison.verdict.value,
        "cells": comparison.cells,
        "fingerprint": comparison.plan_fingerprint,
    }


def _row(item: Picture | StoredComparison) -> tuple[str, ...]:
    if isinstance(item, StoredComparison):
        cells = "1 cell" if item.cells == 1 else f"{item.cells} cells"
        return (item.name, "comparison", item.title, SEALS[item.verdict], cells, item.summary)
    return (
        item.name,
        item.base,
        ", ".join(item.loras) or "-",
        item.mode.label,
        str(item.seed),
        " ".join(item.prompt.split()),
    )


@app.command("zip")
def pack(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="A new file.")],
    base: BaseFilter = None,
    lora: LoraFilter = None,
    mode: ModeFilter = None,
    words: SearchWords = "",
    decisions: StateFilter = None,
    by: ByFilter = None,
    output_dir: OutputDir = None,
) -> None:
    """Pack pictures as they are, with a line of each record as studio review export --records
    writes it; the cells of comparisons too."""
    with (
        command(as_json=False) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        parts = packed(workspace.gallery, Filter(base, lora, mode, words, decisions, by))
        try:
            with file.open("xb") as stream:
                stream.writelines(parts)
        except OSError as error:
            raise GalleryError(
                f"{file} cannot be written: {error.strerror or error}.", "Name another file."
            ) from error
        console.say(str(file))


@app.command()
def remove(
    pictures: Annotated[
        list[str],
        typer.Argument(
            parser=parse_text,
            metavar="PICTURE...",
            help="By its name in list, its file or a link.",
        ),
    ],
    output_dir: OutputDir = None,
) -> None:
    """Delete pictures for good: of a public page also what its visitors show, or made."""
    with (
        command(as_json=False) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        for each in pictures:
            linked = unquote(urlsplit(each).path).partition("/file=")[2]
            place = (workspace.gallery.outputs / (linked or each)).absolute()
            gallery = workspace.visitors.at(place) or workspace.gallery
            gallery.delete(place)
            console.say(f"Deleted {each}")


@app.command()
def reindex(output_dir: OutputDir = None, as_json: Json = False) -> None:
    """Rebuild the index from the PNG files alone."""
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        done = workspace.gallery.reindex()
        if as_json:
            unreadable = [
                {"file": str(each.path), "reason": each.reason} for each in done.unreadable
            ]
            console.data({"read": done.read, "removed": done.removed, "unreadable": unreadable})
        for each in done.unreadable:
            console.say(f"Not read: {each.path}: {each.reason}")
        console.say(
            f"{done.read} pictures read, {done.removed} rows removed, "
            f"{len(done.unreadable)} files not readable."
        )
