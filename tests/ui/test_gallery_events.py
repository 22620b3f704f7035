"""The Gallery tab's handlers where the gallery fails or must not be changed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from studio.comparison.review import Judgement
from studio.errors import GalleryError
from studio.settings import Settings
from studio.ui.gallery.events import GalleryEvents
from studio.ui.gallery.layout import GalleryInput
from studio.ui.gallery.review import NO_DELETING, ReviewEvents
from studio.ui.studio.live import unchanged


class BrokenGallery:
    """Refuses everything."""

    def _refuse(self, *_: object) -> None:
        raise GalleryError("The index cannot be read.", "Free the disk.")

    facets = query = count = delete = items = _refuse

    @property
    def comparisons(self) -> Any:
        return self

    decisions = comparisons


class Parts:
    """A name for each component instead of the component."""

    def __getattr__(self, name: str) -> str:
        return name


def events(may_delete: bool = True) -> GalleryEvents:
    workspace: Any = SimpleNamespace(gallery=BrokenGallery())
    parts: Any = Parts()
    return GalleryEvents(workspace, parts, may_delete)


def test_a_gallery_that_fails_says_why_in_the_grids_place() -> None:
    asked = GalleryInput("", "", "", "", (), "")
    page = events()
    answers = [each(asked) for each in (page.enter, page.first, page.older, page.newer)]
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


def test_deleting_is_refused_where_strangers_can_open_the_page() -> None:
    asked = GalleryInput("", "", "", "", (), "a.png")
    assert NO_DELETING in events(may_delete=False).delete(asked)["said"]
    assert "The index cannot be read." in events().delete(asked)["said"]


def test_a_decision_on_no_picture_is_said_to_be_lost() -> None:
    parts: Any = Parts()
    review = ReviewEvents(SimpleNamespace(gallery=BrokenGallery()), parts)  # type: ignore[arg-type]
    assert "No picture is open" in review.decide("", "a note", Judgement.APPROVE)["shown"]


@pytest.mark.parametrize(
    ("share", "space", "public"),
    [(False, "", False), (True, "", True), (False, "somebody/studio", True)],
)
def test_a_link_or_a_space_is_public(
    share: bool, space: str, public: bool, tmp_path: Path
) -> None:
    said = {"SPACE_ID": space, "SHARE": str(int(share))}
    assert Settings.from_env(said, tmp_path).is_public is public
