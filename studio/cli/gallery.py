"""``studio gallery``: the pictures on disk, listed, and their index rebuilt."""

from contextlib import closing
from typing import Annotated, Any

import typer

from studio.architecture import Mode
from studio.cli.console import command
from studio.cli.options import Json, OutputDir, open_workspace, parse_text
from studio.gallery import Filter, Picture

app = typer.Typer(
    help="List pictures, rebuild their index.", no_args_is_help=True, rich_markup_mode=None
)

_MOST = 1_000_000
"""Pictures of one list; far more than a gallery has, and a number that the index can take."""

BaseFilter = Annotated[
    str | None, typer.Option(parser=parse_text, metavar="SLUG", help="Only of this base.")
]
LoraFilter = Annotated[
    str | None,
    typer.Option(parser=parse_text, metavar="SLUG", help="Only where this LoRA was applied."),
]
ModeFilter = Annotated[Mode | None, typer.Option(help="Only of this mode.")]
Words = Annotated[
    str,
    typer.Option(
        parser=parse_text,
        metavar="TEXT",
        help="Each must occur in the prompts, the names or the seed.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=_MOST, help="At most this many.")]


@app.command("list")
def list_pictures(
    base: BaseFilter = None,
    lora: LoraFilter = None,
    mode: ModeFilter = None,
    words: Words = "",
    limit: Limit = 60,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """List pictures, newest first."""
    with command(as_json) as console, closing(open_workspace(None, output_dir)) as workspace:
        wanted = Filter(base=base, lora=lora, mode=mode, words=words)
        pictures = workspace.gallery.query(wanted, limit)
        total = workspace.gallery.count(wanted)
        if as_json:
            console.data({"total": total, "pictures": [_data(picture) for picture in pictures]})
        if pictures:
            console.table([_row(picture) for picture in pictures])
        console.say(f"{len(pictures)} of {total} pictures in {workspace.gallery.outputs}.")


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
    }


def _row(picture: Picture) -> tuple[str, ...]:
    return (
        picture.name,
        picture.base,
        ", ".join(picture.loras) or "-",
        picture.mode.label,
        str(picture.seed),
        " ".join(picture.prompt.split()),
    )


@app.command()
def reindex(output_dir: OutputDir = None, as_json: Json = False) -> None:
    """Rebuild the index from the PNG files alone."""
    with command(as_json) as console, closing(open_workspace(None, output_dir)) as workspace:
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
