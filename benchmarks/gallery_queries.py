"""What the gallery answers with 100,000 pictures: python -m benchmarks.gallery_queries

Fills the index of a temporary gallery, a tenth of it cells of comparisons and a tenth decided on,
and times every kind of question that the page asks, each ``--repeats`` times: the items of a page,
and how many there are. Ends with 1 if a 95th percentile is above the limit.
"""

import argparse
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
from studio.ui.gallery.events import COUNTED, PAGE

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
            stamp=f"{n} {n}",
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
        columns = ("Grid: style", "Only the LoRA differs.", "valid", CELLS, f"{n:064x}", "grid")
        at = microseconds(BEGAN + timedelta(minutes=first + CELLS, seconds=1))
        own = tuple((cell, True) for cell in cells)
        yield ComparisonRow(f"{n}/{n}.comparison.json", "1 1", at, columns, own)


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
    yield "stamps", gallery._index.stamps
    yield "pictures of a plan", lambda: gallery._index.having("fingerprint", f"{count // 3:064x}")


def percentiles(ask: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds; the first time, with cold pages, counts."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begin) * 1000)
    times.sort()
    return times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.95))]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        gallery = Gallery(Path(name))
        begin = time.perf_counter()
        gallery._index.change(add=rows(options.pictures))
        ComparisonIndex(gallery._index).change(add=comparisons(options.pictures))
        for each in (*gallery._index.stamps(), *gallery._index.stamps(comparisons=True)):
            (gallery.outputs / each).parent.mkdir(exist_ok=True)
            (gallery.outputs / each).touch()
        size = (gallery.outputs / "index.sqlite").stat().st_size / 2**20
        print(
            f"{options.pictures} pictures in {time.perf_counter() - begin:.0f} s, {size:.0f} MiB"
        )
        slow = 0
        for said, ask in questions(gallery, options.pictures):
            median, late = percentiles(ask, options.repeats)
            slow += late > LIMIT_MS
            mark = "  above the limit" if late > LIMIT_MS else ""
            print(f"{said:<48} median {median:6.1f} ms, p95 {late:6.1f} ms{mark}")
    print(f"{slow} above {LIMIT_MS:.0f} ms")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
