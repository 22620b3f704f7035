"""``studio keys``: what pictures are signed with, and how others can trust it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from studio.cli.console import command
from studio.cli.options import Json
from studio.errors import SigningError
from studio.settings import Settings
from studio.signing.keys import others_can_read
from studio.signing.sealing import sealer_of

_MEANING = (
    "A signature says that a file is unchanged since it was signed with this key. Who made the "
    "file it does not say, unless somebody you trust vouches for the certificate."
)


def keys(
    export: Annotated[
        Path | None,
        typer.Option(
            "--export-root",
            metavar="FILE",
            help="Write the root certificate there, for others to name as TRUST.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the certificate that pictures are signed with; the private key is never shown."""
    with command(as_json) as console:
        sealer = sealer_of(Settings.from_env(os.environ, Path.cwd()))
        if sealer is None:
            if as_json:
                console.data({"sign": None})
            console.say("Pictures are not signed. SIGN=local signs them with the studio's key.")
            return
        identity = sealer.identity
        if export is not None:
            _write(export, identity.root)
        data = {
            "sign": "local" if identity.is_local else str(identity.place),
            "name": identity.name,
            "certificate": identity.serial,
            "algorithm": identity.algorithm,
            "until": identity.until.date().isoformat(),
            "place": str(identity.place),
            "others_can_read": others_can_read(identity.place),
            "root": str(export) if export else None,
        }
        if as_json:
            console.data(data)
        console.fields([(name.replace("_", " "), str(value)) for name, value in data.items()])
        console.say(_MEANING)


def _write(place: Path, root: bytes) -> None:
    try:
        place.write_bytes(root)
    except OSError as error:
        raise SigningError(
            f"{place} cannot be written: {error.strerror or error}.", "Name another file."
        ) from error
