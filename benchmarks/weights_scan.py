"""How long the library takes to look at 10,000 LoRA files that no preset names.

    python -m benchmarks.weights_scan [--files 10000] [--tensors 48]

Makes the folder from the tests' header samples: every family and format at full size, with holes
for weights, nested, with odd names, every third file with a sidecar, of each of the three kinds.
Of more than 1,000 files the others are hard links to them: each is read all the same. First from
an empty state in the background, as the page does it; then, each time as another process would,
warm; and once more when one file has come. The bound for the warm one is one second on two cores.
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


def timed(what: str, action: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), used()
    action()
    seconds = time.perf_counter() - wall
    print(f"{what}: {seconds:.2f} s, {used() - cpu:.2f} s of CPU", flush=True)


def used() -> float:
    """Seconds of CPU of this process and of those that it has ended."""
    own, theirs = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--tensors", type=int, help="kept of each file; real ones have 900 or so")
    parser.add_argument("--folder", type=Path, help="where the files are made and removed again")
    said = parser.parse_args()
    count = said.files
    with tempfile.TemporaryDirectory(dir=said.folder) as name:
        root = Path(name)
        fill(root / "models", count, said.tensors)
        settings = Settings(
            root / "models", root / "outputs", root / "state", local_presets=root / "local.yaml"
        )

        def opened() -> Catalogue:
            return Catalogue(settings, WeightStore(settings), Catalog((), ()), ())

        first = opened()
        timed("until the page can be built", lambda: (first.start(), first.catalog))

        def until_all_are_there() -> None:
            while len(first.holdings) < count:
                time.sleep(0.01)

        timed("from an empty state", until_all_are_there)
        first.close()
        for _ in range(3):
            catalogue = opened()
            timed("warm, another process", catalogue.refresh)
        timed("warm, the same process", catalogue.refresh)
        write(root / "models/one more.safetensors", samples()[0], count)
        timed("after one file has come", catalogue.refresh)
        assert len(catalogue.holdings) == count + 1
        print(f"{len(catalogue.catalog.loras)} of them can be used")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} files, at most {memory:.0f} MB of memory in all")


if __name__ == "__main__":
    main()
