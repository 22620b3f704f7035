"""``studio review``: decide on pictures, export the decisions, import a critic's scores."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studio.cli.console import Ended, ExitCode, command
from studio.cli.options import Json, OutputDir, open_workspace
from studio.cli.parsers import parse_text
from studio.comparison.review import PERSON, Judged, Judgement, as_csv, as_jsonl
from studio.errors import GalleryError
from studio.gallery import Filter
from studio.workspace.packing import records
from studio.workspace.reviewing import MAX_SCORES, Reviewing

app = typer.Typer(
    help="Decide on pictures; export decisions, import scores.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


Note = Annotated[str, typer.Option(parser=parse_text, metavar="TEXT", help="Why.")]
By = Annotated[str, typer.Option(parser=parse_text, metavar="NAME", help="Who decides.")]


@app.command("set")
def decide(
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A picture of the gallery.")],
    judgement: Annotated[
        Judgement, typer.Argument(metavar="approve|reject|note", help="The decision.")
    ],
    note: Note = "",
    by: By = PERSON,
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Decide on one picture; the decision is bound to its whole record."""
    if judgement is Judgement.SCORE:
        raise typer.BadParameter("Scores are imported: studio review import FILE.")
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        made = Reviewing(workspace.gallery).decide(picture.resolve(), judgement, note, by)
        if as_json:
            console.data(made.model_dump(mode="json"))
        console.say(f"{made.judgement.value}, record {made.record_fingerprint[:12]}…")


@app.command("export")
def export(
    form: Annotated[Format, typer.Option("--format", help="What is written.")] = Format.JSONL,
    records_too: Annotated[
        bool,
        typer.Option(
            "--records", help="A line of every record instead, decided on or not, for critics."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A file; else standard output.")
    ] = None,
    output_dir: OutputDir = None,
) -> None:
    """Every decision with all fields of its contract and receipt; or, with --records, every record
    in the form that import takes, once a critic has filled in its name and a score."""
    if records_too and form is Format.CSV:
        raise typer.BadParameter("Records are JSON Lines.")
    with (
        command(as_json=False) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        reviewing, left_out = Reviewing(workspace.gallery), list[str]()
        if records_too:
            lines: Iterable[str] = records(workspace.gallery, Filter(), left_out)
        else:
            writers: dict[Format, Callable[[Sequence[Judged]], str]] = {
                Format.JSONL: as_jsonl,
                Format.CSV: as_csv,
            }
            lines = [writers[form](list(reviewing.judged()))]
            for name in reviewing.all_torn():
                console.note(f"The last decision on {name} was cut off, and is left out.")
        if output is None:
            console.out.writelines(lines)
        else:
            _write(output, lines)
            console.say(str(output))
        for each in left_out:
            console.note(f"Left out: {each}")


def _write(output: Path, lines: Iterable[str]) -> None:
    """
    Raises:
        GalleryError: it cannot be written.
    """
    try:
        with output.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines)
    except OSError as error:
        raise GalleryError(
            f"{output} cannot be written: {error.strerror or error}.", "Name another file."
        ) from error


@app.command("agreement")
def agree(output_dir: OutputDir = None, as_json: Json = False) -> None:
    """How far reviewers agree on approving and rejecting: Krippendorff's alpha, nominal."""
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        found = workspace.gallery.agreement()
        if as_json:
            console.data(asdict(found))
        alpha = "cannot be computed" if found.alpha is None else f"{found.alpha:.3f}"
        console.say(
            f"Krippendorff's alpha {alpha}: {found.reviewers} reviewers, "
            f"{found.pictures} pictures that two or more decided on."
        )


@app.command("import")
def take(
    scores: Annotated[Path, typer.Argument(metavar="FILE", help="A critic's JSON Lines.")],
    output_dir: OutputDir = None,
    as_json: Json = False,
) -> None:
    """Keep a critic's scores by the records' fingerprints; ends with 1 if a line is refused.

    Each line is a JSON object: record_fingerprint (as studio review export has it), critic (its
    name), score (a number on the critic's own scale) and, if wanted, note.

    \b
    {"record_fingerprint": "FINGERPRINT", "critic": "sharpness 2", "score": 0.81, "note": "crisp"}
    """
    with (
        command(as_json) as console,
        closing(open_workspace(None, output_dir, library=False)) as workspace,
    ):
        imported = Reviewing(workspace.gallery).take_scores(_read(scores))
        if as_json:
            refused = [{"line": each.line, "reason": each.reason} for each in imported.refused]
            console.data({"taken": imported.taken, "refused": refused})
        for each in imported.refused:
            console.say(f"Refused, line {each.line}: {each.reason}.")
        console.say(f"{imported.taken} scores taken, {len(imported.refused)} lines refused.")
        if imported.refused:
            raise Ended(ExitCode.FAILURE)


def _read(path: Path) -> str:
    """
    Raises:
        GalleryError: it cannot be read, or is larger than MAX_SCORES.
    """
    try:
        if path.stat().st_size > MAX_SCORES:
            raise GalleryError(f"{path} has more than {MAX_SCORES} bytes.", "Split the file.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(
            f"{path} cannot be read: {error}.", "Give a JSON Lines file."
        ) from error
