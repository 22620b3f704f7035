"""A backend in a process of its own, which shares nothing with its head but a pipe.

Jobs come in as JSON lines, and events go out as such. The arguments are the folder that its
weights lie in, under any names, and a folder to work in.
"""

import json
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from studio.backends import BackendEvent, BasePlace, Generated, LocalBackend
from studio.contract.base import FileIdentity, fingerprint
from studio.contract.events import Failed, Job
from studio.contract.plan import BaseIdentity, LoraUse
from studio.contract.request import ReferenceImage
from studio.errors import WeightsError
from studio.settings import Settings
from tests.support.plans import file_sha256


class Folder:
    """Weights by their SHA-256 alone, wherever they lie among ``places``."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._found: dict[str, Path] = {}
        for place in places:
            if place.is_file():
                self._found[file_sha256(place)] = place
            else:
                self._found[_manifest(place)] = place

    def base(self, wanted: BaseIdentity) -> BasePlace:
        return BasePlace(self._at(wanted.sha256))

    def lora(self, wanted: LoraUse) -> Path:
        return self._at(wanted.sha256)

    def reference(self, wanted: ReferenceImage) -> Path:
        return self._at(wanted.sha256)

    def _at(self, sha256: str) -> Path:
        if sha256 not in self._found:
            raise WeightsError(f"Nothing here is {sha256[:12]}.", "Send it.")
        return self._found[sha256]


def _manifest(folder: Path) -> str:
    files = (
        FileIdentity(
            name=str(file.relative_to(folder)), sha256=file_sha256(file), size=file.stat().st_size
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    )
    return fingerprint([file.model_dump() for file in files])


def _plain(event: BackendEvent) -> dict[str, Any]:
    if isinstance(event, Generated):
        return {"receipt": event.receipt.model_dump_json(), "pixels": event.image.tobytes().hex()}
    return {"code": event.code, "message": event.message} if isinstance(event, Failed) else {}


def main(store: Path, work: Path) -> None:
    settings = Settings(work, work, work, device="cpu")
    backend = LocalBackend.open(settings, Folder(store.iterdir()))
    for line in sys.stdin:
        for event in backend.run(Job.model_validate_json(line), threading.Event()):
            print(json.dumps({"event": type(event).__name__, **_plain(event)}), flush=True)
    backend.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
