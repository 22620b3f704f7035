"""``studio publish``: a picture as it is to be given away."""

import os
from pathlib import Path
from typing import Annotated

import typer

from studio.cli.console import command
from studio.cli.options import Json
from studio.errors import GalleryError
from studio.gallery.publishing import Disclosure, PictureFormat
from studio.gallery.publishing import publish as published
from studio.imaging import png
from studio.settings import Settings
from studio.signing.sealing import sealer_of
from studio.storage import atomic


def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture of the studio.")],
    tell: Annotated[
        Disclosure,
        typer.Option(
            help="All; the facts (base, LoRAs, counts) without the prompt; or the mark alone."
        ),
    ] = Disclosure.FACTS,
    form: Annotated[
        PictureFormat,
        typer.Option("--format", help="PNG and WebP keep every pixel; JPEG is smaller."),
    ] = PictureFormat.PNG,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="DIR", file_okay=False, help="The folder to write into."),
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Write a copy of a picture that tells as much as you want, and verifies as far as it tells.

    It is signed where SIGN is set; only then do the facts prove more than they claim.
    """
    with command(as_json) as console:
        if (
            to.suffix.lower() in (".jpg", *(f".{each}" for each in PictureFormat))
            and not to.exists()
        ):
            raise GalleryError(
                f"--to takes a folder, and {to} is named like a picture.",
                "Name the folder; the copy gets the picture's name.",
            )
        sealer = sealer_of(Settings.from_env(os.environ, Path.cwd()))
        try:
            made = published(atomic.read_file(file, png.MAX_FILE + 1), tell, form, sealer)
            stem = f"{file.stem}-{tell.value}"
            path = atomic.publish(to.absolute(), stem, form.suffix, made)
        except OSError as error:
            raise GalleryError(
                f"{error.filename or file}: {error.strerror or error}.", "Name other files."
            ) from error
        if as_json:
            signed = sealer is not None
            console.data({"file": str(path), "tells": tell.value, "signed": signed})
        console.say(str(path))
