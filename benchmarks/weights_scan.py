"""How long the library takes to look at 10,000 LoRA files that no preset names.

    python -m benchmarks.weights_scan [--files 10000] [--tensors 48] [--json FILE]

Makes the folder from the tests' header samples: every family and format at full size, with holes
for weights, nested, with odd names, every third file with a sidecar, of each of the three kinds.
Of more than 1,000 files the others are hard links to them: each is read all the same. First from
an empty state in the background, as the page does it; then, each time as another process would,
warm; and once more when one file has come. The bound for the warm one is one second on two cores.
Last what the LoRA browser does with them: its list, its first page, and a search of all.

    python -m benchmarks.weights_scan --cold 240

Only the first look from an empty state, with whole headers, for so many seconds at most; where
that does not do for all files it says how many it did, and what all would have taken at that pace.
"""

import argparse
import json
import os
import resource
import struct
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

from studio.library.catalogue import Catalogue
from studio.library.store import WeightStore
from studio.presets import Catalog
from studio.settings import Settings
from studio.ui.browser.query import LoraQuery
from studio.ui.browser.shelf import LoraFacts, LoraShelf
from tests.support.header_data import Sample, samples

DISTINCT = 1000
NAMES = ("LoRA {}", "pen & ink_v{}", "über {} (1)", "a.b.{}", "水彩 {}", "UPPER-{}")
SIDECARS: dict[str, Callable[[int], object]] = {
    ".json": lambda n: {"activation text": f"word{n}", "preferred weight": 0.8},
    ".metadata.json": lambda n: {"model_name": f"Name {n}", "usage_tips": '{"strength": 0.6}'},
    ".civitai.info": lambda n: {"trainedWords": [f"word{n}"], "baseModel": "SD 1.5"},
}


def write(place: Path, sample: Sample, number: int, most: int | None = None) -> None:
    """A file of its real size; nothing but the header takes room on the disk.

    Args:
        most: tensors that it keeps; None for all.
    """
    size = 4 if sample.dtype == "F32" else 2
    header: dict[str, object] = {"__metadata__": sample.metadata | {"number": str(number)}}
    end = 0
    for name, shape in list(sample.shapes.items())[:most]:
        start, end = end, end + size * prod(shape)
        header[name] = {"dtype": sample.dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    with place.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)


def fill(root: Path, count: int, most: int | None) -> None:
    kinds, made = samples(), list[Path]()
    for number in range(count):
        folder = root / f"loras/{number % 7}/{number // 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{NAMES[number % len(NAMES)].format(number)}.safetensors"
        if number < DISTINCT:
            write(place, kinds[number % len(kinds)], number, most)
            made.append(place)
        else:
            os.link(made[number % DISTINCT], place)
        if number % 3 == 0:
            suffix = list(SIDECARS)[number // 3 % 3]
            beside = place.with_name(place.name.removesuffix(".safetensors") + suffix)
            beside.write_text(json.dumps(SIDECARS[suffix](number)))


Figures = list[dict[str, str | float]]


def timed(what: str, action: Callable[[], object], figures: Figures) -> None:
    wall, cpu = time.perf_counter(), used()
    action()
    wall, cpu = time.perf_counter() - wall, used() - cpu
    figures.append({"what": what, "seconds": round(wall, 3), "cpu_seconds": round(cpu, 3)})
    print(f"{what}: {wall:.2f} s, {cpu:.2f} s of CPU", flush=True)


def used() -> float:
    """Seconds of CPU of this process and of those that it has ended."""
    own, theirs = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime


def browse(catalogue: Catalogue, figures: Figures) -> None:
    """What a visitor waits for in the LoRA browser; everything is taken to be on disk."""
    catalog = catalogue.catalog
    facts = LoraFacts(dict.fromkeys(catalog.loras, True), {}, frozenset())
    shelf = LoraShelf(catalog, catalogue.holdings)
    timed("the browser's list", lambda: LoraShelf(catalog, catalogue.holdings), figures)
    timed("its first page", lambda: shelf.find(LoraQuery(), facts), figures)
    shelf.find(LoraQuery(words="first"), facts)  # the files that cannot be used are folded once
    timed("a search of all", lambda: shelf.find(LoraQuery(words="pen ink 12"), facts), figures)


def measure(root: Path, count: int, figures: Figures) -> int:
    """How many of the LoRAs can be used."""
    settings = Settings(
        root / "models", root / "outputs", root / "state", local_presets=root / "local.yaml"
    )

    def opened() -> Catalogue:
        return Catalogue(settings, WeightStore(settings), Catalog((), ()), ())

    first = opened()
    timed("until the page can be built", lambda: (first.start(), first.catalog), figures)

    def until_all_are_there() -> None:
        while len(first.holdings) < count:
            time.sleep(0.01)

    timed("from an empty state", until_all_are_there, figures)
    first.close()
    for _ in range(3):
        catalogue = opened()
        timed("warm, another process", catalogue.refresh, figures)
    timed("warm, the same process", catalogue.refresh, figures)
    browse(catalogue, figures)
    write(root / "models/one more.safetensors", samples()[0], count)
    timed("after one file has come", catalogue.refresh, figures)
    assert len(catalogue.holdings) == count + 1
    return len(catalogue.catalog.loras)


def cold(root: Path, count: int, most: float, figures: Figures) -> int:
    """The first look alone; how many files it got to in ``most`` seconds."""
    settings = Settings(root / "models", root / "outputs", root / "state")
    catalogue = Catalogue(settings, WeightStore(settings), Catalog((), ()), ())
    read, whole = 0, False

    def look() -> None:
        nonlocal read, whole
        end = time.perf_counter() + most
        while len(catalogue.holdings) < count and time.perf_counter() < end:
            time.sleep(0.05)
            read = (catalogue.looking or (read, 0))[0]
        whole = len(catalogue.holdings) == count
        catalogue.close()  # and with it the processes that read, whose CPU counts too

    catalogue.start()
    timed("from an empty state, whole headers", look, figures)
    seconds = figures[-1]["seconds"]
    if not whole:
        looked = max(read, 1)
        print(f"{read} files looked into; at that pace all take {seconds * count / looked:.0f} s")
    return count if whole else read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--tensors", type=int, help="kept of each file; real ones have 900 or so")
    parser.add_argument("--folder", type=Path, help="where the files are made and removed again")
    parser.add_argument("--cold", type=float, metavar="SECONDS", help="only the first look")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    said = parser.parse_args()
    figures: Figures = []
    with tempfile.TemporaryDirectory(dir=said.folder) as name:
        fill(Path(name) / "models", said.files, said.tensors)
        if said.cold:
            read = cold(Path(name), said.files, said.cold, figures)
            told: dict[str, object] = {"files": said.files, "looked_into": read}
        else:
            told = {"files": said.files, "tensors": said.tensors}
            told |= {"usable": measure(Path(name), said.files, figures)}
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    shown = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in told.items())
    print(f"{shown}; at most {memory} MB of memory in all")
    if said.json:
        said.json.write_text(
            json.dumps({**told, "memory_mb": memory, "figures": figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
