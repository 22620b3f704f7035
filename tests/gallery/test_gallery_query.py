"""Asking the gallery: pages, filters, words, facets, and ten thousand pictures."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from studio.architecture import Mode
from studio.gallery import Facet, Filter, Gallery, Picture
from studio.gallery.row import Row
from tests.support.records import START, base_identity, flat, lora_use, run_record
from tests.support.shelf import fill


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def test_newest_first_and_page_by_page(outputs: Path) -> None:
    """Also where many pictures have the same time."""
    shelf = Gallery(outputs)
    paths = fill(shelf, 5) + [shelf.save(flat(), run_record(at=START)) for _ in range(4)]
    whole = shelf.query()
    assert {each.path for each in whole} == set(paths)
    assert whole == sorted(whole, key=lambda each: (each.created, each.name), reverse=True)
    seen: list[Picture] = []
    while page := shelf.query(limit=2, after=seen[-1] if seen else None):
        assert len(page) <= 2
        seen += page
    assert seen == whole
    assert shelf.query(limit=0) == []


@pytest.fixture
def mixed(outputs: Path) -> tuple[Gallery, dict[str, Path]]:
    shelf = Gallery(outputs)
    plans: dict[str, dict[str, Any]] = {
        "base": {"loras": (), "prompt": "A Straße in the RAIN, 100% wet", "negative": "fog"},
        "ink": {"loras": (lora_use("ink"),), "prompt": "a rocket", "seed": 1234567},
        "both": {"loras": (lora_use("ink"), lora_use("neon")), "prompt": "a cat"},
        "quiet": {"loras": (lora_use("ink"),), "mode": Mode.LORA, "prompt": "a cat_x"},
        "other": {"loras": (), "base": base_identity("sd15"), "prompt": "a dog"},
    }
    paths = {
        name: shelf.save(flat(), run_record(at=START + timedelta(minutes=n), **plan))
        for n, (name, plan) in enumerate(plans.items())
    }
    return shelf, paths


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), "other quiet both ink base"),
        (Filter(base="mini"), "quiet both ink base"),
        (Filter(base="none"), ""),
        (Filter(lora="ink"), "quiet both ink"),
        (Filter(lora="neon"), "both"),
        (Filter(mode=Mode.LORA), "quiet"),
        (Filter(mode=Mode.BASE), "other base"),
        (Filter(lora="ink", mode=Mode.LORA_WITH_TRIGGER), "both ink"),
        (Filter(base="sd15", lora="ink"), ""),
        (Filter(words="CAT"), "quiet both"),
        (Filter(words="  a   cat "), "quiet both"),
        (Filter(words="rain strasse"), "base"),
        (Filter(words="rain rocket"), ""),
        (Filter(words="fog"), "base"),
        (Filter(words="1234567"), "ink"),
        (Filter(words="100%"), "base"),
        (Filter(words="%"), "base"),
        (Filter(words="t_x"), "quiet"),
        (Filter(words="neon"), "both"),
        (Filter(words="'; DROP TABLE pictures; --"), ""),
        (Filter(words="without trigger"), "quiet"),
    ],
)
def test_filters(mixed: tuple[Gallery, dict[str, Path]], wanted: Filter, names: str) -> None:
    shelf, paths = mixed
    assert [each.path for each in shelf.query(wanted)] == [paths[name] for name in names.split()]
    assert shelf.count(wanted) == len(names.split())


def test_facets(mixed: tuple[Gallery, dict[str, Path]]) -> None:
    shelf, paths = mixed
    found = shelf.facets()
    assert found.total == 5
    assert found.bases == (Facet("mini", "Mini", 4), Facet("sd15", "Sd15", 1))
    assert found.loras == (Facet("ink", "Ink", 3), Facet("neon", "Neon", 1))
    assert found.modes == (
        Facet("base", "Base", 2),
        Facet("lora_with_trigger", "LoRA with trigger", 2),
        Facet("lora", "LoRA without trigger", 1),
    )
    shelf.delete(paths["both"])
    assert shelf.facets().loras == (Facet("ink", "Ink", 2),)


def test_ten_thousand_pictures_are_quick_to_ask(outputs: Path) -> None:
    shelf = Gallery(outputs)
    folder = outputs / "2026-11-22"
    folder.mkdir()
    rows = []
    for n in range(50):
        chosen = (lora_use(f"lora-{n % 7}"),)
        row = Row.of("", (0, 0), run_record(prompt=f"a rocket {n} on blue", loras=chosen))
        for copy in range(200):
            name = f"2026-11-22/{n}-{copy}.png"
            rows.append(Row((name, n * 1000 + copy, *row.columns[2:]), row.loras))
            (outputs / name).touch()
    shelf._index.change(add=rows)
    shelf.query()
    took: dict[str, float] = {}
    for wanted in (
        Filter(),
        Filter(lora="lora-3"),
        Filter(words="rocket 49 blue"),
        Filter(words="nowhere"),
        Filter(base="mini", lora="lora-1", mode=Mode.LORA_WITH_TRIGGER, words="rocket"),
    ):
        began = time.process_time()
        shelf.query(wanted)
        took[str(wanted)] = time.process_time() - began
    began = time.process_time()
    shelf.facets()
    took["facets"] = time.process_time() - began
    assert max(took.values()) < 0.1, took
