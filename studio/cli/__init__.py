"""The command line: the same core as the page, for shells and scripts.

Exit codes: 0 done, 1 failure, 2 violations, 64 the command line itself is wrong (typer's 2,
moved out of the way), 130 cancelled.
"""

import logging
from collections.abc import Sequence

import typer

import studio
from studio.cli import (
    compare,
    doctor,
    downloads,
    files,
    gallery,
    keys,
    library,
    making,
    page,
    presets,
    prompt,
    publish,
    replay,
    review,
    trial,
    weights,
    worker,
)
from studio.cli.console import Ended, ExitCode
from studio.cli.ending import end_on_signals, exit_with

TYPER_USAGE = 2

app = typer.Typer(
    name="studio",
    help="Make images with LoRAs, each under a contract.",
    epilog="Exit codes: 0 done, 1 failure, 2 violations, 64 usage, 130 cancelled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ui")(page.ui)
app.command("plan")(making.plan)
app.command("generate")(making.generate)
app.command("recall")(making.recall)
app.command("replay")(replay.replay)
app.command("compare")(compare.compare)
app.command("inspect")(files.inspect)
app.add_typer(trial.app, name="trial")
app.add_typer(prompt.app, name="prompt")
app.add_typer(presets.app, name="presets")
app.add_typer(weights.app, name="weights")
app.add_typer(library.app, name="library")
app.command("download")(downloads.download)
app.add_typer(gallery.app, name="gallery")
app.add_typer(review.app, name="review")
app.command("verify")(files.verify)
app.command("publish")(publish.publish)
app.command("keys")(keys.keys)
app.command("worker")(worker.worker)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"LoRA Studio {studio.__version__}")
        raise typer.Exit


@app.callback()
def _studio(
    _shown: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
    verbose: bool = typer.Option(
        False, "--verbose", "-v", help="The log of every run on standard error, a line a stage."
    ),
) -> None:
    """Make images with LoRAs, each under a contract."""
    logging.getLogger("studio").setLevel(logging.INFO if verbose else logging.WARNING)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        app(arguments, prog_name="studio")
    except Ended as end:
        return end.code
    except SystemExit as end:
        return _typer_code(end)
    except KeyboardInterrupt:
        return ExitCode.CANCELLED
    return ExitCode.DONE


def _typer_code(end: SystemExit) -> int:
    """Typer's own exits; only a wrong command line makes it say 2."""
    if end.code == TYPER_USAGE:
        return ExitCode.USAGE
    return end.code if isinstance(end.code, int) else ExitCode.DONE


def main() -> None:
    end_on_signals()
    exit_with(run())
