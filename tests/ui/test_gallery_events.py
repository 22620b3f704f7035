"""The Gallery tab's handlers where the gallery fails or must not be changed."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import pytest

from studio.comparison.review import Judgement
from studio.errors import GalleryError
from studio.gallery import Filter, Gallery
from studio.settings import Settings
from studio.ui.gallery.asked import GalleryInput
from studio.ui.gallery.events import GalleryEvents, strengths_of
from studio.ui.gallery.review import ReviewEvents
from studio.ui.studio.live import unchanged
from studio.workspace.packing import records
from studio.workspace.visitors import Visitors
from tests.support.shelf import fill


class BrokenGallery:
    """Refuses everything."""

    def _refuse(self, *_: object) -> None:
        raise GalleryError("The index cannot be read.", "Free the disk.")

    facets = query = count = delete = items = place = _refuse

    @property
    def comparisons(self) -> Any:
        return self

    decisions = comparisons


class Parts:
    """A name for each component instead of the component."""

    def __getattr__(self, name: str) -> Any:
        return Parts() if name == "review" else name


def events() -> GalleryEvents:
    visitors = SimpleNamespace(withdraw=lambda _: None)
    workspace: Any = SimpleNamespace(gallery=BrokenGallery(), visitors=visitors)
    parts: Any = Parts()
    return GalleryEvents(workspace, parts)


def test_its_strength_is_used_with_what_is_finer_of_it() -> None:
    picture = {"chosen": ("ink", "neon"), "strength_0": 0.75, "strength_1": 0.2,
               "finer": ("ink te=0.4:until=6", "neon mid=0.0")}  # fmt: skip
    form = {"chosen": ("wash", "ink"), "finer": ("wash te=0.0", "ink mid=0.5")}
    found, problem = strengths_of(picture, form)
    assert problem == ""
    assert found == {"strength_1": 0.75, "finer": ("wash te=0.0", "ink te=0.4:until=6")}
    found, _ = strengths_of({**picture, "finer": ()}, form)
    assert found == {"strength_1": 0.75, "finer": ("wash te=0.0",)}
    assert strengths_of(picture, {"chosen": ("wash",), "finer": ()})[0] is None


def test_a_gallery_that_fails_says_why_in_the_grids_place() -> None:
    asked = GalleryInput()
    page = events().pages
    answers = [each(asked) for each in (page.enter, page.first, page.next, page.previous)]
    for answer in answers:
        assert "The index cannot be read." in answer["grid"]


def test_a_handler_that_changes_nothing_is_taken_by_gradio() -> None:
    """An empty dictionary is refused where an event has several outputs."""
    with gr.Blocks() as page:
        several = [gr.Textbox("one"), gr.Textbox("two")]
        gr.Button().click(unchanged, outputs=several)
    # A thread of its own: a browser test before this one may have left a loop in the main one.
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(asyncio.run, page.process_api(next(iter(page.fns)), [])).result()
    assert [each["__type__"] for each in answer["data"]] == ["update", "update"]


def test_what_cannot_be_deleted_says_why() -> None:
    asked = GalleryInput(opened="a.png")
    assert "The index cannot be read." in events().delete(asked)["said"]


def test_a_decision_on_no_picture_is_said_to_be_lost() -> None:
    parts: Any = Parts()
    review = ReviewEvents(SimpleNamespace(gallery=BrokenGallery()), parts)  # type: ignore[arg-type]
    assert "No picture is open" in review.decide("", "Anna", "a note", Judgement.APPROVE)["shown"]


@pytest.mark.parametrize(
    ("share", "space", "public"),
    [(False, "", False), (True, "", True), (False, "somebody/studio", True)],
)
def test_a_link_or_a_space_is_public(
    share: bool, space: str, public: bool, tmp_path: Path
) -> None:
    said = {"SPACE_ID": space, "SHARE": str(int(share))}
    assert Settings.from_env(said, tmp_path).is_public is public


def shelf(tmp_path: Path) -> tuple[GalleryEvents, Gallery, list[str]]:
    """Handlers over a real gallery with three pictures, oldest first."""
    gallery = Gallery(tmp_path / "outputs")
    names = [path.relative_to(gallery.outputs).as_posix() for path in fill(gallery)]
    workspace: Any = SimpleNamespace(
        gallery=gallery,
        catalog=SimpleNamespace(loras={}, models={}),
        settings=SimpleNamespace(is_public=False),
        visitors=Visitors(Settings(tmp_path, tmp_path / "outputs", tmp_path / "state"), None),
    )
    parts: Any = Parts()
    return GalleryEvents(workspace, parts), gallery, names


def test_many_pictures_are_decided_on_by_a_named_reviewer(tmp_path: Path) -> None:
    page, gallery, names = shelf(tmp_path)
    asked = GalleryInput()
    assert "Nobody is named" in page.pages.decide(asked, "approve", names, " ")["to_hint"]
    assert "not a valid" in page.pages.decide(asked, "praise", names, "Anna")["to_hint"]
    assert not list(gallery.decisions.records())
    answer = page.pages.decide(asked, "approve", [*names[:2], "../x.png"], "Anna")
    assert "2 pictures decided on as Anna." in answer["to_hint"]
    assert "ls-problem" in answer["to_hint"], "the third is no picture"
    assert answer["grid"].count("ls-verdict-approved") == 2
    undecided = page.pages.first(GalleryInput(standing="undecided"))
    assert [name in undecided["grid"] for name in names] == [False, False, True]
    assert 'href="pictures.zip?standing=undecided"' in undecided["links"]


def test_an_address_names_the_filters_and_the_page(tmp_path: Path) -> None:
    page, gallery, names = shelf(tmp_path)
    after = gallery.place(names[2])
    told = {"order": "oldest", "words": "a", "standing": "undecided"}
    answer = page.visit(GalleryInput(), told)
    assert {key: answer[key] for key in told} == told
    named = urlencode({"words": "a", "standing": "undecided", "order": "oldest"})
    assert f'data-address="{named}"' in unescape(str(answer["grid"]))
    second = page.visit(GalleryInput(), {"after": str(after)})
    assert [name in second["grid"] for name in names] == [True, True, False]
    assert f'data-address="after={after}"' in second["grid"]
    invented = dict.fromkeys(
        ("base", "lora", "mode", "standing", "by", "order", "after"), "9" * 40
    )
    answer = page.visit(GalleryInput(base="mini", opened=names[0]), invented)
    assert all(name in answer["grid"] for name in names)
    assert (answer["base"].value, answer["order"], answer["opened"]) == ("", "newest", "")


def test_a_decision_leads_on_to_the_next_undecided_picture(tmp_path: Path) -> None:
    page, _, names = shelf(tmp_path)
    asked = GalleryInput(standing="undecided", opened=names[1])
    page.pages.decide(asked, "approve", names[1:2], "Anna")
    assert page.open_next(asked)["opened"] == names[0]
    assert page.open_previous(asked)["opened"] == names[2]
    last = GalleryInput(standing="undecided", opened=names[0])
    assert "no other picture" in page.open_next(last)["said"]


@pytest.mark.parametrize(
    ("typed", "shown"), [("1", 3), ("2", None), ("2026-11-22", 3), ("1999-01-01", 0), ("x", None)]
)
def test_a_page_or_a_date_is_gone_to_or_named(
    tmp_path: Path, typed: str, shown: int | None
) -> None:
    page, _, names = shelf(tmp_path)
    answer = page.pages.go(GalleryInput(to=typed))
    if shown is None:
        assert typed in answer["to_hint"]
        assert "grid" not in answer
    else:
        assert sum(name in answer["grid"] for name in names) == shown


def test_scores_are_imported_on_the_page_and_the_upload_goes(tmp_path: Path) -> None:
    page, gallery, _ = shelf(tmp_path)
    upload = tmp_path / "scores.jsonl"
    lines = [json.loads(line) for line in records(gallery, Filter())]
    answered = {**lines[0], "critic": "critic 2", "score": 0.5}
    upload.write_text("\n".join(map(json.dumps, [answered, lines[1], {"critic": "c"}])))
    said = page.pages.take_scores(str(upload))["imported"]
    assert "1 score taken, 1 lines refused. Line 3" in said
    assert not upload.exists()
    upload.write_bytes(b"\xff\xfe")
    assert "Nothing is taken" in page.pages.take_scores(str(upload))["imported"]
