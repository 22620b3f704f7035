"""What files are by their headers: read by threads, and of many by processes of their own.

Reading headers is work for the processor: processes of their own take every core for it, and
leave the page's to the page.
"""

import json
import logging
import os
import queue
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from studio.architecture.diffusers_folder import INDEX
from studio.errors import HeaderError, WeightsError
from studio.library.files import inspected
from studio.library.folder import read_object
from studio.library.sidecars import SUFFIXES, Sidecar, read_sidecar
from studio.machine import cores

SUFFIX = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
THREADS = 8
MANY = 400
"""Files for which it pays to start processes, which takes each a second or so."""
AT_A_TIME = 20
"""Files that a process is given at once."""
_FORMAT = 7
"""Counted up whenever ``Facts`` changes: what was remembered before is read anew."""
logger = logging.getLogger("studio.library.reading")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is, from its header alone.

    Attributes:
        kind: as ``LoraInspection``; ``model`` is a folder in diffusers layout, ``pickle`` a
            format that can run code, which is never opened.
        architecture, variant, format, candidates: as ``LoraInspection``.
        problem: why it cannot be told what it is, or why no base can take it.
        pipeline: of a model, the class that its index names.
        title, trigger, called: ``modelspec.title``, ``modelspec.trigger_phrase`` and
            ``ss_output_name``.
        tag: the tag that stands in nearly every caption (``ss_tag_frequency``), if any.
        data: bytes of the tensors; files of other numbers cannot hold the same ones.
    """

    kind: str = ""
    architecture: str = ""
    variant: str | None = None
    format: str = ""
    candidates: tuple[str, ...] = ()
    problem: str | None = None
    pipeline: str = ""
    title: str = ""
    trigger: str = ""
    called: str = ""
    tag: str = ""
    data: int = 0


def _look(place: str) -> Facts | Sidecar | None:
    path = Path(place)
    if path.name.endswith(SUFFIXES) and path.name != INDEX:
        return read_sidecar(path)
    if path.suffix.lower() in PICKLES:
        return Facts(kind="pickle")
    try:
        if path.name == INDEX:
            return Facts(kind="model", pipeline=str(read_object(path).get("_class_name", ""))[:80])
        header, found = inspected(path)
    except HeaderError as error:
        return Facts(problem=f"{error.reason}.")
    except WeightsError as error:
        return Facts(problem=error.message)
    trigger = found.claims.get("modelspec.trigger_phrase", "")
    hints = [hint for hint in found.trigger_hints if hint != trigger]
    return Facts(
        kind=found.kind,
        architecture=found.architecture,
        variant=found.variant,
        format=found.format,
        candidates=found.candidates,
        problem=" ".join(found.problems) or None,
        title=found.claims.get("modelspec.title", ""),
        trigger=trigger,
        called=found.claims.get("ss_output_name", ""),
        tag=hints[0] if hints else "",
        data=max((each.end for each in header.tensors.values()), default=0),
    )


def _spelled(facts: Facts | Sidecar | None) -> str:
    said = {} if facts is None else {name: value for name, value in asdict(facts).items() if value}
    kind = "" if facts is None else type(facts).__name__
    return json.dumps({"as": _FORMAT, "is": kind, **said})


def is_current(text: str) -> bool:
    """Whether this release wrote ``text``."""
    return text.startswith(f'{{"as": {_FORMAT},')


def parsed(text: str) -> Facts | Sidecar | None:
    """What ``read_all`` spelled."""
    said = json.loads(text)
    del said["as"]
    kind = said.pop("is")
    if kind == "Facts":
        said["candidates"] = tuple(said.get("candidates", ()))
        return Facts(**said)
    return Sidecar(**said | {"tags": tuple(said.get("tags", ()))}) if kind else None


def read_all(places: Sequence[str]) -> Generator[str, None, None]:
    """What each file says, as text to be remembered, in their order."""
    workers = cores()
    if len(places) < MANY or workers < 2:
        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(_text_of, places)
        return
    parts = [places[at : at + AT_A_TIME] for at in range(0, len(places), AT_A_TIME)]
    free: queue.SimpleQueue[_Reader] = queue.SimpleQueue()

    def read(part: Sequence[str]) -> list[str]:
        reader = free.get()
        try:
            return reader.ask(part)
        finally:
            free.put(reader)

    with ExitStack() as ending:
        readers = [ending.enter_context(_Reader()) for _ in range(workers)]
        threads = ending.enter_context(ThreadPoolExecutor(workers))
        for reader in readers:
            ending.callback(reader.end)
            free.put(reader)
        ending.callback(threads.shutdown, wait=False, cancel_futures=True)
        for texts in threads.map(read, parts):
            yield from texts


def _text_of(place: str) -> str:
    return _spelled(_look(place))


class _Reader:
    """A process that reads headers; it ends with its standard input."""

    def __init__(self) -> None:
        self._ended = False
        program = f"from {__name__} import serve; serve()"
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
            text=True,
        )

    def ask(self, places: Sequence[str]) -> list[str]:
        """A process that has ended has its files read here, which is slower."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(places) + "\n")
            self._process.stdin.flush()
            texts: list[str] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            if self._ended:
                return []
            logger.warning("a process that reads headers has ended: %r", error)
            return [_text_of(place) for place in places]
        return texts

    def end(self) -> None:
        """Whatever it does; what it was asked is answered with nothing."""
        self._ended = True
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._process.communicate()


def serve() -> None:
    """Answer lists of paths with lists of texts, a line each, until the input ends."""
    for line in sys.stdin:
        print(json.dumps([_text_of(place) for place in json.loads(line)]), flush=True)
