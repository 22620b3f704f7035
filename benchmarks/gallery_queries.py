"""What the gallery answers with 100,000 pictures: python -m benchmarks.gallery_queries

Fills the index of a temporary gallery, a tenth of it cells of comparisons and a tenth decided on,
and times every kind of question that the page asks, each ``--repeats`` times: the items of a page,
and how many there are. Once it times the look at every file with which a gallery opens. Times are
by the clock, and of the processor: what a question takes where nothing else runs. Ends with 1 if a
95th percentile by the clock is above the limit.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from studio.architecture import Mode
from studio.comparison.review import ReviewState
from studio.gallery import Filter, Gallery
from studio.gallery.comparisons.index import ComparisonIndex, ComparisonRow
from studio.gallery.row import APPROVED_BY, REJECTED_BY, STANDING, Row, Tag, microseconds, place_at
from studio.ui.gallery.pages import COUNTED, PAGE

LIMIT_MS = 50.0
CELLS = 12
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
BASES = ("sdxl", "sdxl", "sdxl", "sd15", "flux1-dev", "mini")
MODES = tuple(Mode)
THINGS = ("rocket", "castle", "penguin", "lighthouse", "strawberry", "robot", "fox", "teapot")
WORDS = ("blue", "watercolour", "isometric", "morning", "grain", "soft", "light", "portrait", "4k")


def rows(count: int) -> Iterator[Row]:
    """Pictures a minute apart, each with a prompt of its own."""
    chance = random.Random(7)
    for n in range(count):
        base, mode, thing = chance.choice(BASES), chance.choice(MODES), chance.choice(THINGS)
        # A few LoRAs are used everywhere, most of them hardly ever.
        lora = f"style-{int(chance.paretovariate(0.6)) % 400}"
        said = " ".join(chance.choices(WORDS, k=14))
        red = "红色的狐狸" if n % 50 == 0 else "a picture"
        rare = f"unicorn{n}" if n % 1000 == 0 else ""
        prompt = f"{red} of a {thing} {n} on a background, {said} {rare}"
        seed = chance.randrange(2**32)
        words = (
            f"{prompt}\n{prompt}, trigger of {lora}\nblurry\n{base}\n{lora}\n{mode.label}\n{seed}"
        )
        yield Row(
            name=f"{n // 1000}/{n}.png",
            stamp=f"0 {n}",
            created=microseconds(BEGAN + timedelta(minutes=n)),
            columns=(
                *(base, base, mode.value, prompt, seed, 1024, 1024),
                *(f"{n:064x}", f"{n + count:064x}", f"{n + 2 * count:064x}", lora),
            ),
            tags=(
                ("base", base, base),
                ("mode", mode.value, mode.label),
                ("lora", lora, lora),
                *review(chance),
            ),
            words=words.casefold(),
        )


def review(chance: random.Random) -> tuple[Tag, ...]:
    if chance.random() > 0.1:
        return ((STANDING, ReviewState.UNDECIDED, "Undecided"),)
    kinds = chance.choices((APPROVED_BY, REJECTED_BY), k=2)
    standing = {APPROVED_BY: ReviewState.APPROVED, REJECTED_BY: ReviewState.REJECTED}[kinds[0]]
    if kinds[0] != kinds[1]:
        standing = ReviewState.DISAGREED
    said = zip(kinds, ("Anna", "Ben"), strict=True)
    return ((STANDING, standing, standing.label), *((kind, name, name) for kind, name in said))


def comparisons(count: int) -> Iterator[ComparisonRow]:
    """One after each thousandth part, of pictures that lie together."""
    for n in range(count // (10 * CELLS)):
        first = n * 10 * CELLS
        cells = [f"{k // 1000}/{k}.png" for k in range(first, first + CELLS)]
        columns = (
            "Grid: style",
            "Only the LoRA differs.",
            "valid",
            CELLS,
            f"{n:064x}",
            "grid",
            f"{n // 8:064x}",
        )
        at = microseconds(BEGAN + timedelta(minutes=first + CELLS, seconds=1))
        own = tuple((cell, True) for cell in cells)
        prompt = f"a {THINGS[n % 8]}"
        yield ComparisonRow(f"{n}/{n}.comparison.json", "0 1", at, (*columns, prompt), own)


FILTERS = {
    "everything": Filter(),
    "a base": Filter(base="sdxl"),
    "a LoRA used everywhere": Filter(lora="style-1"),
    "a LoRA hardly used": Filter(lora="style-397"),
    "base, LoRA and mode": Filter(base="mini", lora="style-1", mode=MODES[0]),
    "a word in every prompt": Filter(words="background"),
    "a word in some": Filter(words="penguin"),
    "two words": Filter(words="penguin watercolour"),
    "a word of two letters": Filter(words="4k"),
    "a word of two letters, Chinese": Filter(words="红色"),
    "a rare word": Filter(words="unicorn"),
    "a word that is nowhere": Filter(words="nowhere"),
    "two letters that are nowhere": Filter(words="zq"),
    "a common word and a rare LoRA": Filter(words="background", lora="style-397"),
    "a common word and a base": Filter(words="background", base="mini"),
    "approved": Filter(standing=ReviewState.APPROVED),
    "undecided": Filter(standing=ReviewState.UNDECIDED),
    "disagreed": Filter(standing=ReviewState.DISAGREED),
    "approved by one": Filter(standing=ReviewState.APPROVED, by="Anna"),
    "undecided by one": Filter(standing=ReviewState.UNDECIDED, by="Anna"),
}


def questions(gallery: Gallery, count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    shelf = gallery.comparisons
    middle = place_at(BEGAN + timedelta(minutes=count // 2))
    for name, wanted in FILTERS.items():
        yield f"{name}: first page", lambda wanted=wanted: shelf.items(wanted, PAGE)
        yield (
            f"{name}: page in the middle",
            lambda wanted=wanted: shelf.items(wanted, PAGE, middle),
        )
        yield f"{name}: oldest first", lambda wanted=wanted: shelf.items(wanted, PAGE, None, False)
        yield f"{name}: how many", lambda wanted=wanted: shelf.count(wanted, most=COUNTED)
        most = None if wanted == Filter() else COUNTED
        yield (
            f"{name}: page number",
            lambda wanted=wanted, most=most: shelf.count(wanted, middle, False, most),
        )
    yield "facets", gallery.facets
    yield "folders, to see which have changed", gallery._index.checksums
    folder = f"{count // 2000}/"
    yield "files of a folder that has", lambda: gallery._index.stamps(within=folder)
    yield "pages of a comparison", lambda: ComparisonIndex(gallery._index).pages(f"{7:064x}")
    yield "pictures of a plan", lambda: gallery._index.having("fingerprint", f"{count // 3:064x}")


def make(path: Path, size: int, changed: int) -> None:
    """A file of nothing that the index takes for the one it knows."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, ns=(changed, changed))


def percentiles(ask: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, by the clock and of processor time; the first
    time, with cold pages, counts."""
    clocks: list[float] = []
    busies: list[float] = []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        ask()
        clocks.append((time.perf_counter() - begin) * 1000)
        busies.append((time.process_time() - busy) * 1000)
    late = min(repeats - 1, int(repeats * 0.95))
    return {
        "median_ms": round(sorted(clocks)[repeats // 2], 1),
        "p95_ms": round(sorted(clocks)[late], 1),
        "p95_cpu_ms": round(sorted(busies)[late], 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        gallery = Gallery(Path(name))
        begin = time.perf_counter()
        gallery._index.change(add=rows(options.pictures))
        ComparisonIndex(gallery._index).change(add=comparisons(options.pictures))
        for comparison in (False, True):
            for each, stamp in gallery._index.stamps(comparison).items():
                size_and_time = [int(part) for part in stamp.split()]
                make(gallery.outputs / each, *size_and_time)
        size = (gallery.outputs / "index.sqlite").stat().st_size / 2**20
        print(
            f"{options.pictures} pictures in {time.perf_counter() - begin:.0f} s, {size:.0f} MiB"
        )
        found, figures = {}, {"pictures": options.pictures, "repeats": options.repeats}
        figures["load"] = os.getloadavg()[0]
        begin, busy = time.perf_counter(), time.process_time()
        if (done := gallery.sync()).read or done.removed:
            raise SystemExit(f"The index does not know its own files: {done}.")
        figures["sync_s"] = round(time.perf_counter() - begin, 2)
        figures["sync_cpu_s"] = round(time.process_time() - busy, 2)
        print(f"the look at every file with which a gallery opens: {figures['sync_s']} s")
        for said, ask in questions(gallery, options.pictures):
            found[said] = percentiles(ask, options.repeats)
            line = ", ".join(f"{key} {value}" for key, value in found[said].items())
            mark = "  above the limit" if found[said]["p95_ms"] > LIMIT_MS else ""
            print(f"{said:<48} {line}{mark}", flush=True)
    slow = sum(each["p95_ms"] > LIMIT_MS for each in found.values())
    print(f"{slow} above {LIMIT_MS:.0f} ms")
    if options.json is not None:
        options.json.write_text(json.dumps({**figures, "questions": found}, indent=1) + "\n")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
