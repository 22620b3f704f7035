"""Asking the gallery: pages, filters, words and facets."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from studio.architecture import Mode
from studio.gallery import Facet, Filter, Gallery, Picture
from studio.gallery.row import place_at
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
    assert whole == sorted(whole, key=lambda each: each.place, reverse=True)
    assert [each.created for each in whole] == sorted(
        (each.created for each in whole), reverse=True
    )
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
        "other": {"loras": (), "base": base_identity("sd15"), "prompt": "a dog, 红色的狐狸"},
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
        (Filter(words="%"), ""),
        (Filter(words="ca"), "quiet both"),
        (Filter(words="at"), ""),
        (Filter(words="红色"), "other"),
        (Filter(words="狐"), "other"),
        (Filter(words="色的狐 dog"), "other"),
        (Filter(words='ca" OR "do'), ""),
        (Filter(words="cat", base="mini", lora="neon"), "both"),
        (Filter(words="cat\0dog"), ""),
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


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_place_of_an_item_leads_to_its_page(outputs: Path, newest_first: bool) -> None:
    shelf = Gallery(outputs)
    fill(shelf, 7)
    items = shelf.comparisons
    order = items.items(newest_first=newest_first)
    assert [each.created for each in order] == sorted(
        (each.created for each in order), reverse=newest_first
    )
    assert shelf.place(order[2].name) == order[2].place
    assert items.place_of(Filter(), 2, newest_first) == order[2].place
    assert items.place_of(Filter(), 7, newest_first) is None
    assert items.items(None, 9, order[2].place, newest_first) == order[3:]
    assert items.count(None, order[2].place, newest_first) == 4
    assert items.count(None, order[2].place, not newest_first) == 2
    assert items.count(Filter(words="rocket"), most=3) == 4, "it stops counting"
    day = place_at(order[2].created)
    assert order[2].place == day
    assert {each.place for each in items.items(None, 9, day, newest_first=True)} == {
        each.place for each in order if each.created < order[2].created
    }


def test_more_copies_of_one_moment_than_have_a_place_of_their_own(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.gallery.tables.TIES", 2)
    monkeypatch.setattr("studio.gallery.row.TIES", 2)
    shelf = Gallery(outputs)
    paths = [shelf.save(flat(), run_record(at=START)) for _ in range(5)]
    later = shelf.save(flat(), run_record(at=START + timedelta(seconds=1)))
    assert [each.path for each in shelf.query()] == [later, *paths[::-1]]
