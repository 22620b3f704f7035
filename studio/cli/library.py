"""``studio library``: what its files are called elsewhere, what is newer, what is the same."""

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer

from studio.cli.console import Console, Ended, ExitCode, command
from studio.cli.options import Json, PresetDirs, open_workspace
from studio.cli.progress import ProgressLine, cancelled_by_ctrl_c
from studio.cli.weights import look
from studio.library.downloads.transfer import TransferCancelled
from studio.library.identify import Stepwise
from studio.library.known_files import KnownFile, news, side_by_side
from studio.library.twins import Group

T = TypeVar("T")

app = typer.Typer(
    help="Identify the files that lie there, and find what is new or the same.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Again = Annotated[
    bool, typer.Option("--again", help="Also ask about files that CivitAI did not know before.")
]


@app.command()
def identify(again: Again = False, presets: PresetDirs = None, as_json: Json = False) -> None:
    """Ask CivitAI by SHA-256 what each LoRA and base is, and whether there is a newer version.

    Only hashes are sent, a hundred at a time. What was answered is kept: a second call goes on
    where the first one ended. Ends with 1 when a file cannot be read.
    """
    with command(as_json) as console, closing(open_workspace(presets, None, False)) as workspace:
        files = look(console, workspace)
        with cancelled_by_ctrl_c(console, "Cancelling; what was answered is kept.") as cancel:
            found = _told(console, workspace.stock.identifying.run(files, cancel, again))
        named = [each for each in found.known if each.published is not None]
        if as_json:
            data = [_data(each) for each in found.known]
            console.data({"files": data, "problems": dict(found.problems)})
        for each in named:
            console.say(console.paint(each.holding.held.path, "strong"))
            rows = [
                (what, f"{own or '-'} [file], {theirs or '-'} [CivitAI]")
                for what, own, theirs in side_by_side(each)
            ]
            console.fields(rows)
        console.say(f"CivitAI knows {len(named)} of {len(found.known)} files.")
        _show_news(console, found.known)
        for path, problem in found.problems:
            console.note(f"{path}: {problem}")
        if found.problems:
            raise Ended(ExitCode.FAILURE)


@app.command("news")
def what_is_new(presets: PresetDirs = None, as_json: Json = False) -> None:
    """List newer versions of the files that `studio library identify` named, for the same base.

    A version for another base model is none, nor is one that the library has already.
    """
    with command(as_json) as console, closing(open_workspace(presets, None, False)) as workspace:
        files = look(console, workspace)
        with cancelled_by_ctrl_c(console) as cancel:
            known = _told(console, workspace.stock.identifying.renew(files, cancel))
        if as_json:
            console.data({"files": [_data(each) for each in news(known)]})
        _show_news(console, known)


@app.command()
def duplicates(presets: PresetDirs = None, as_json: Json = False) -> None:
    """List files that are the same, hold the same tensors, or go by nearly the same name.

    Reads only files whose tensors take equally many bytes. Nothing is deleted.
    """
    with command(as_json) as console, closing(open_workspace(presets, None, False)) as workspace:
        look(console, workspace)
        with cancelled_by_ctrl_c(console) as cancel:
            found = _told(console, workspace.stock.twins(cancel))
        kinds = {
            "same_file": ("The same file", found.same_file),
            "same_tensors": ("The same tensors", found.same_tensors),
            "near_names": ("Nearly one name", found.near_names),
        }
        if as_json:
            data = {key: [_paths(group) for group in groups] for key, (_, groups) in kinds.items()}
            console.data({**data, "problems": dict(found.problems)})
        for title, groups in kinds.values():
            console.say(console.paint(f"{title} ({len(groups)})", "strong"))
            for group in groups:
                console.say("  " + ", ".join(_paths(group)))
        for path, problem in found.problems:
            console.note(f"{path}: {problem}")


def _told(console: Console, steps: Stepwise[T]) -> T:
    """What comes of ``steps``, saying how far they are."""
    line = ProgressLine(console)
    try:
        while True:
            step = next(steps)
            line.write(f"{step.what} ({step.done} of {step.count})", passing=True)
    except StopIteration as end:
        result: T = end.value
        return result
    except TransferCancelled:
        console.note("TransferCancelled.")
        raise Ended(ExitCode.CANCELLED) from None
    finally:
        line.end()


def _paths(group: Group) -> list[str]:
    return [each.held.path for each in group]


def _show_news(console: Console, known: tuple[KnownFile, ...]) -> None:
    found = list(news(known))
    console.say(console.paint(f"Newer versions ({len(found)})", "strong"))
    for each in found:
        assert each.newer is not None
        date = each.newer.published_at[:10]
        console.say(f"  {each.holding.held.path}: {each.newer.name}, {date}, {each.newer.page}")


def _data(known: KnownFile) -> dict[str, Any]:
    published, newer = known.published, known.newer
    return {
        "path": known.holding.held.path,
        "sha256": known.sha256,
        "civitai": None if published is None else published.model_dump(mode="json"),
        "beside": [list(row) for row in side_by_side(known)],
        "newer": None if newer is None else asdict(newer),
    }
