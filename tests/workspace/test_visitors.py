"""What is a visitor's own, how it is shown, and how it goes."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from studio.comparison.axes import base_against_lora
from studio.contract.limits import VisitorLimits
from studio.contract.request import GenerationRequest
from studio.contract.violations import TooManyCells, TooMuchForVisitor
from studio.errors import GalleryError, StudioError
from studio.gallery import Gallery
from studio.gallery.ageing import forget_beyond
from studio.settings import Settings
from studio.workspace.comparing import Comparing
from studio.workspace.expiry import sweep
from studio.workspace.visitors import Visitor, VisitorKind, Visitors
from studio.workspace.workspace import Workspace
from tests.support.records import START, flat
from tests.support.shelf import fill

ANNA = Visitor(VisitorKind.GUEST, "key of Anna's browser")
BEN = Visitor(VisitorKind.MEMBER, "4711")
LIMITS = VisitorLimits(work=1, cells=2, guest_hours=24, member_items=2)
REQUEST = {"base": "mini", "mode": "lora", "prompt": "a rocket", "seed": 7,
           "loras": [{"slug": "pen-ink-mini"}]}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    places = (tmp_path, tmp_path / "outputs", tmp_path / "state")
    return Settings(*places, public=True, visitors=LIMITS)


@pytest.fixture
def visitors(settings: Settings) -> Visitors:
    made = Visitors(settings, None)

    def nobody() -> Visitor:
        raise StudioError("Nobody asks.", "Ask.")

    made.ask(nobody)
    return made


def given(visitors: Visitors, who: Visitor, count: int = 1) -> list[str]:
    """Names of pictures that were made for somebody."""
    with visitors.acting(who):
        gallery = visitors.made()
        return [path.relative_to(gallery.outputs).as_posix() for path in fill(gallery, count)]


def test_each_has_a_gallery_and_nobody_has_none(visitors: Visitors) -> None:
    (name,) = given(visitors, ANNA)
    with visitors.acting(BEN):
        assert visitors.gallery().query() == []
        with pytest.raises(GalleryError):
            visitors.gallery().read(name)
        assert visitors.a_pass() not in ("", visitors.prefix())
    with visitors.acting(ANNA):
        assert [each.name for each in visitors.gallery().query()] == [name]
        assert [each.name for each in visitors.passed(visitors.a_pass()).query()] == [name]
    assert visitors.public.query() == []
    for ask in (visitors.gallery, visitors.made, visitors.prefix, visitors.a_pass):
        with pytest.raises(StudioError, match="Nobody asks"):
            ask()


def test_a_folder_is_found_again_and_tells_nobody(visitors: Visitors, settings: Settings) -> None:
    (name,) = given(visitors, ANNA)
    again, other = Visitors(settings, None), Visitor(VisitorKind.MEMBER, ANNA.known_by)
    with again.acting(ANNA):
        assert [each.name for each in again.gallery().query()] == [name]
    folder = again.folder(ANNA)
    assert again.folder(other).name != folder.name
    assert len(folder.name) == 40
    assert "Anna" not in f"{folder} {ANNA!r}"
    key = settings.state / "visitors.key"
    assert key.stat().st_mode & 0o77 == 0
    key.unlink()
    assert Visitors(settings, None).folder(ANNA) != folder
    key.write_bytes(b"short")
    with pytest.raises(GalleryError):
        Visitors(settings, None).folder(ANNA)


def test_a_file_is_given_by_its_whole_address_alone(visitors: Visitors) -> None:
    (name,) = given(visitors, ANNA)
    folder, outputs = visitors.folder(ANNA), visitors.public.outputs
    assert visitors.serves(folder / name)
    elsewhere = (folder.parent, folder.parent / ("0" * 40), folder.parent.parent / "empty")
    others = [each / name for each in (outputs, *elsewhere)]
    for path in (*others, folder, folder / "index.sqlite"):
        assert not visitors.serves(path)
    for forged in (
        "",
        "guests",
        f"guests/{folder.name}",
        f"guests/{folder.name}/{'0' * 40}",
        "//",
    ):
        with pytest.raises(GalleryError):
            visitors.passed(forged)


def test_what_is_shown_can_be_taken_back_and_only_by_its_owner(visitors: Visitors) -> None:
    (name,) = given(visitors, ANNA)
    with visitors.acting(ANNA):
        visitors.show(name)
        visitors.show(name)
    (public,) = visitors.public.query()
    assert public.name != name
    with visitors.acting(BEN):
        assert visitors.holding(public.name).read(public.name)
        for act in (visitors.show, visitors.withdraw, visitors.shown):
            for each in (name, public.name):
                with pytest.raises(GalleryError):
                    act(each)
        with pytest.raises(GalleryError):
            visitors.gallery().delete(public.name)
    with visitors.acting(ANNA):
        assert visitors.shown(name) == public.name
        visitors.withdraw(name)
        assert visitors.shown(name) is None
        assert len(visitors.gallery().query()) == 1
    assert visitors.public.query() == []


def test_everything_goes_with_what_is_shown(visitors: Visitors) -> None:
    (name,) = given(visitors, ANNA)
    (other,) = given(visitors, BEN)
    for who, shown in ((ANNA, name), (BEN, other)):
        with visitors.acting(who):
            visitors.show(shown)
    visitors.discard(visitors.folder(ANNA))
    assert list((visitors.public.outputs / ".visitors" / "guests").rglob("*")) == []
    assert len(visitors.public.query()) == 1
    with visitors.acting(ANNA):
        assert visitors.gallery().query() == []


def test_guests_pictures_go_in_time_and_members_when_there_are_too_many(
    settings: Settings,
) -> None:
    workspace = Workspace.open(settings)
    try:
        old, new = given(workspace.visitors, ANNA, 2)
        given(workspace.visitors, BEN, 3)
        gallery = workspace.visitors.opened(workspace.visitors.folder(ANNA))
        limit = START + timedelta(hours=24, seconds=30)
        for name, at in ((old, START), (new, START + timedelta(minutes=1))):
            os.utime(gallery.outputs / name, (at.timestamp(), at.timestamp()))
        sweep(workspace, limit.timestamp())
        assert [each.name for each in gallery.query()] == [new]
        with workspace.visitors.acting(BEN):
            assert workspace.gallery.count() == LIMITS.member_items
        sweep(workspace, (limit + timedelta(minutes=1)).timestamp())
        assert workspace.visitors.folders(VisitorKind.GUEST) == []
    finally:
        workspace.close()


def test_the_newest_stay(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    *_, newest = fill(gallery)
    assert forget_beyond(gallery, 1) == 2
    assert [each.path for each in gallery.query()] == [newest]


def test_too_much_is_said_before_it_is_asked_for(settings: Settings) -> None:
    workspace = Workspace.open(settings)
    try:
        long = GenerationRequest.model_validate({**REQUEST, "settings": {"steps": 100}})
        (said,) = workspace.plan(long)  # type: ignore[misc]
        assert isinstance(said, TooMuchForVisitor)
        assert (said.field, said.limit, said.steps) == ("settings.steps", 1, 100)
        asked = base_against_lora(GenerationRequest.model_validate({**REQUEST, "count": 2}))
        (cells,) = Comparing(workspace).plan(asked)  # type: ignore[misc]
        assert isinstance(cells, TooManyCells)
        assert cells.limit == 2
    finally:
        workspace.close()


def test_what_was_handed_in_is_found_by_its_owner_alone(settings: Settings) -> None:
    workspace = Workspace.open(settings)
    path = settings.outputs / "given.png"
    flat().save(path)
    try:
        with workspace.visitors.acting(ANNA):
            sha256 = workspace.add_reference(path).sha256
            assert workspace.reference(sha256)
        with workspace.visitors.acting(BEN):
            assert workspace.reference(sha256) is None
            workspace.forget_visitor()
        with workspace.visitors.acting(ANNA):
            assert workspace.reference(sha256)
            workspace.forget_visitor()
            assert workspace.reference(sha256) is None
        with pytest.raises(GalleryError):
            workspace.forget_visitor()
    finally:
        workspace.close()
