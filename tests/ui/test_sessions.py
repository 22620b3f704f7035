"""What the server holds for a page, and what outlives it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.comparison.axes import ComparisonPlan, base_against_lora
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest
from studio.errors import QueueFull
from studio.settings import Settings
from studio.ui.sessions import SHORTEST_KEY, Sessions
from studio.workspace.comparing import Comparing
from studio.workspace.line import Limits
from studio.workspace.runs import Runs
from studio.workspace.workspace import Workspace

REQUEST = GenerationRequest.model_validate(
    {
        "base": "mini",
        "mode": "lora",
        "prompt": "a rocket",
        "loras": [{"slug": "pen-ink-mini"}],
        "settings": {"steps": 200},
        "seed": 7,
    }
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = Workspace.open(Settings(tmp_path, tmp_path / "outputs", tmp_path / "state"))
    yield opened
    opened.close()


@pytest.fixture
def sessions(workspace: Workspace) -> Sessions:
    return Sessions(Runs(workspace))


def planned(workspace: Workspace, steps: int) -> RunPlan:
    settings = REQUEST.settings.model_copy(update={"steps": steps})
    plan = workspace.plan(REQUEST.model_copy(update={"settings": settings}))
    assert isinstance(plan, RunPlan)
    return plan


def test_a_key_is_given_once_and_none_is_guessed(sessions: Sessions) -> None:
    key = sessions.open("a", None)
    assert len(key) >= SHORTEST_KEY
    assert sessions.open("b", key) == key
    assert sessions.open("c", "guess") not in ("guess", key)


def test_a_run_outlives_its_page_and_is_found_by_its_key(
    sessions: Sessions, workspace: Workspace
) -> None:
    key = sessions.open("a", None)
    sessions.open("stranger", None)
    run_id = sessions.submit("a", planned(workspace, 2))
    sessions.close("a")
    sessions.open("after a reload", key)
    (end,) = (e for e in sessions.watch("after a reload", run_id) if isinstance(e, Finished))
    assert sessions.made_before("after a reload") == (end,)
    assert sessions.made_before("stranger") == ()


def test_a_page_cancels_its_owners_runs_of_one_kind(
    sessions: Sessions, workspace: Workspace
) -> None:
    compared = Comparing(workspace).plan(base_against_lora(REQUEST))
    assert isinstance(compared, ComparisonPlan)
    for page in ("a", "b"):
        sessions.open(page, None)
    sessions.submit("a", planned(workspace, 200))
    assert sessions.is_running("a")
    assert not sessions.is_running("b")
    assert not sessions.cancel("b", RunPlan)
    sessions.submit("a", compared)
    assert sessions.is_comparing("a")
    assert sessions.cancel("a", ComparisonPlan)
    assert not sessions.is_comparing("a")
    assert [plan.seed for plan, _ in sessions.going("a", RunPlan)] == [7]
    assert sessions.cancel("a", RunPlan)


def test_what_is_fetched_ends_with_its_page(sessions: Sessions) -> None:
    cancel = sessions.start_fetching("a")
    assert cancel is not None
    assert sessions.start_fetching("a") is None
    assert sessions.is_running("a")
    sessions.end_fetching("a", cancel)
    again = sessions.start_fetching("a")
    assert again is not None
    sessions.end_fetching("a", cancel)
    assert sessions.is_running("a"), "what ended before is not what is fetched now"
    assert sessions.cancel("a", RunPlan)
    assert again.is_set()
    last = sessions.start_fetching("b")
    sessions.close("b")
    assert last is not None
    assert last.is_set()


def test_pages_that_were_never_loaded_are_counted_as_one(workspace: Workspace) -> None:
    sessions = Sessions(Runs(workspace, Limits(per_client=1)))
    sessions.submit("by hand", planned(workspace, 200))
    with pytest.raises(QueueFull):
        sessions.submit("by hand too", planned(workspace, 2))
    sessions.open("loaded", None, "an address")
    sessions.submit("loaded", planned(workspace, 200))


def test_the_oldest_of_too_many_pages_starts_over(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.ui.sessions.MOST_PAGES", 2)
    for page in ("a", "b"):
        sessions.start_fetching(page)
    sessions.open("c", None)
    assert sessions.is_running("b")
    assert not sessions.is_running("a")


def test_a_form_is_corrected_once_however_often_its_base_is_told(sessions: Sessions) -> None:
    asked = ("kontext", "lora", "")
    assert sessions.claim_correction("page", asked, True)
    assert not sessions.claim_correction("page", asked, True)
    assert sessions.claim_correction("other page", asked, True)
    assert not sessions.claim_correction("page", ("kontext", "reference_edit", ""), False)
    assert not sessions.claim_correction("page", asked, True)  # what was told late
    assert not sessions.claim_correction("page", ("mini", "lora", ""), False)
    assert sessions.claim_correction("page", asked, True)
