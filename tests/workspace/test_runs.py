"""Runs that belong to the studio: lines of one's own, found again by their key."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, base_against_lora
from studio.comparison.events import Compared
from studio.contract.events import Cancelled, Failed, Finished, Progress, Queued
from studio.contract.plan import RunPlan
from studio.errors import NoSuchRun, QueueFull, StudioError
from studio.workspace import runs as running
from studio.workspace.comparing import Comparing
from studio.workspace.line import AnyEvent, Limits, RunState
from studio.workspace.runs import Runs
from studio.workspace.workspace import Workspace
from tests.workspace.test_workspace import planned, request

WAIT = 120.0
LONG = 200
"""Steps of a run that lasts until it is cancelled."""


@pytest.fixture
def runs(workspace: Workspace) -> Iterator[Runs]:
    made = Runs(workspace)
    yield made
    made.close()


@pytest.fixture
def plan(workspace: Workspace) -> Callable[..., RunPlan]:
    def make(seed: int = 7, steps: int = 2, count: int = 1) -> RunPlan:
        count = 4 if steps == LONG else count
        return planned(workspace, request(seed=seed, count=count, settings={"steps": steps}))

    return make


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states(runs: Runs, owner: str) -> list[RunState]:
    return [each.state for each in runs.of(owner)]


def begun(runs: Runs, owner: str, run_id: str) -> None:
    next(event for event in runs.watch(owner, run_id) if isinstance(event, Progress))


def test_a_run_goes_on_without_its_reader_and_is_found_again(
    runs: Runs, plan: Callable[..., RunPlan]
) -> None:
    run_id = runs.submit("key", plan(steps=40, count=2))
    begun(runs, "key", run_id)  # and the page is closed
    again = list(runs.watch("key", run_id))
    pictures = [event for event in again if isinstance(event, Finished)]
    assert [picture.index for picture in pictures] == [0, 1]
    assert all(picture.path.is_file() for picture in pictures)
    (standing,) = runs.of("key")
    assert standing.state is RunState.DONE
    assert isinstance(standing.plan, RunPlan)
    assert standing.plan.fingerprint == plan(steps=40, count=2).fingerprint
    assert standing.results == tuple(pictures)
    assert list(runs.watch("key", run_id)) == pictures, "what is over is read again"


def test_a_key_opens_its_own_line_only(runs: Runs, plan: Callable[..., RunPlan]) -> None:
    run_id = runs.submit("key", plan(steps=LONG))
    assert runs.of("another") == ()
    for ask in (runs.cancel, runs.forget, lambda *names: list(runs.watch(*names))):
        with pytest.raises(NoSuchRun):
            ask("another", run_id)
    with pytest.raises(NoSuchRun):
        runs.move("another", run_id, 0)
    assert states(runs, "key")[0] in (RunState.WAITING, RunState.RUNNING)


def test_ones_own_are_seen_reordered_and_taken_out(
    runs: Runs, plan: Callable[..., RunPlan]
) -> None:
    first, second, third, fourth = (
        runs.submit("key", plan(seed, LONG if seed == 1 else 2)) for seed in (1, 2, 3, 4)
    )
    begun(runs, "key", first)
    assert [each.ahead for each in runs.of("key")] == [0, 1, 2, 3]
    runs.move("key", fourth, 0)
    assert [each.run_id for each in runs.of("key")] == [first, fourth, second, third]
    assert runs.cancel("key", second)
    assert list(runs.watch("key", second)) == [Cancelled(second)]
    with pytest.raises(NoSuchRun):
        runs.move("key", first, 1)
    with pytest.raises(NoSuchRun):
        runs.forget("key", first)
    assert runs.cancel("key", first)
    until(lambda: all(state.is_over for state in states(runs, "key")))
    assert not runs.cancel("key", first)
    made = {each.run_id: each.results for each in runs.of("key")}
    assert isinstance(made[first][-1], Cancelled)
    ends = [made[run_id][-1] for run_id in (fourth, third)]
    assert all(isinstance(end, Finished) for end in ends)
    starts = [end.record.receipt.started_at for end in ends if isinstance(end, Finished)]
    assert starts == sorted(starts), "the fourth was moved before the third"
    runs.forget("key", first)
    assert first not in {each.run_id for each in runs.of("key")}


def test_a_reader_hears_its_place_and_then_its_steps(
    runs: Runs, plan: Callable[..., RunPlan]
) -> None:
    first = runs.submit("key", plan(1, LONG))
    second = runs.submit("key", plan(2))
    heard: list[AnyEvent] = []
    reader = threading.Thread(target=lambda: heard.extend(runs.watch("key", second)))
    reader.start()
    until(lambda: Queued(second, 1) in heard)
    runs.cancel("key", first)
    reader.join(WAIT)
    assert isinstance(heard[-1], Finished)


def test_owners_take_turns(runs: Runs, plan: Callable[..., RunPlan]) -> None:
    mine = [runs.submit("mine", plan(seed, 60)) for seed in range(4)]
    theirs = runs.submit("theirs", plan(9))
    (end,) = (event for event in runs.watch("theirs", theirs) if isinstance(event, Finished))
    last = [event for event in runs.watch("mine", mine[-1]) if isinstance(event, Finished)]
    assert end.record.receipt.finished_at < last[0].record.receipt.started_at


def test_too_many_are_refused_by_name(workspace: Workspace, plan: Callable[..., RunPlan]) -> None:
    runs = Runs(workspace, Limits(per_client=2, in_all=3))
    for owner in ("a", "b"):
        runs.submit(owner, plan(steps=LONG), client="one address")
    with pytest.raises(QueueFull, match="of yours"):
        runs.submit("c", plan(), client="one address")
    third = runs.submit("d", plan(steps=LONG))
    with pytest.raises(QueueFull, match="others"):
        runs.submit("e", plan())
    runs.cancel("d", third)
    until(lambda: states(runs, "d") == [RunState.CANCELLED])
    runs.cancel("d", runs.submit("d", plan()))
    runs.close()


def test_a_line_whose_owner_is_gone_ends_where_strangers_ask(
    workspace: Workspace, plan: Callable[..., RunPlan]
) -> None:
    runs = Runs(workspace, Limits(alone=1.0))
    watched, alone = runs.submit("watched", plan(1, LONG)), runs.submit("alone", plan(2, LONG))
    reader = threading.Thread(target=lambda: list(runs.watch("watched", watched)))
    reader.start()
    time.sleep(3.0)
    assert workspace.queue_length() == 1
    with pytest.raises(NoSuchRun):
        runs.cancel("alone", alone)
    assert runs.cancel("watched", watched)
    reader.join(WAIT)
    runs.close()


def test_a_comparison_is_a_run_like_any_other(workspace: Workspace, runs: Runs) -> None:
    compared = Comparing(workspace).plan(base_against_lora(request("plain", mode=Mode.LORA)))
    assert isinstance(compared, ComparisonPlan)
    run_id = runs.submit("key", compared)
    until(lambda: states(runs, "key")[0].is_over)
    end = list(runs.watch("key", run_id))[-1]
    assert isinstance(end, Compared)
    assert not end.cancelled
    assert end.path.exists()


def test_a_run_that_fails_says_why_and_the_next_one_goes_on(
    runs: Runs, workspace: Workspace, plan: Callable[..., RunPlan], tmp_path: Path
) -> None:
    broken = planned(workspace, request("plain", mode=Mode.LORA))
    (tmp_path / "models" / "plain.safetensors").write_bytes(b"another")
    first, second = runs.submit("key", broken), runs.submit("key", plan())
    (end,) = (event for event in runs.watch("key", first) if isinstance(event, Failed))
    assert end.code == "weights"
    assert isinstance(list(runs.watch("key", second))[-1], Finished)
    assert states(runs, "key") == [RunState.FAILED, RunState.DONE]


def test_closing_cancels_everything_and_takes_no_more(
    workspace: Workspace, plan: Callable[..., RunPlan]
) -> None:
    runs = Runs(workspace)
    first, second = (runs.submit("key", plan(seed, LONG)) for seed in (1, 2))
    begun(runs, "key", first)
    heard: list[AnyEvent] = []
    reader = threading.Thread(target=lambda: heard.extend(runs.watch("key", second)))
    reader.start()
    workspace.close()
    reader.join(WAIT)
    assert not reader.is_alive()
    assert workspace.queue_length() == 0
    with pytest.raises(StudioError):
        runs.submit("key", plan())


def test_an_idle_line_lets_its_loras_go_and_comes_back(
    workspace: Workspace, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "REST", 0.5)
    with_lora = planned(workspace, request("plain", mode=Mode.LORA))
    list(runs.watch("key", runs.submit("key", with_lora)))
    until(lambda: not workspace.running._running)
    list(runs.watch("key", runs.submit("key", with_lora)))
    assert states(runs, "key") == [RunState.DONE, RunState.DONE]


def test_a_client_with_several_lines_has_one_turn(
    runs: Runs, plan: Callable[..., RunPlan]
) -> None:
    first = runs.submit("one browser", plan(steps=LONG), "an address")
    begun(runs, "one browser", first)
    runs.submit("another browser", plan(seed=8), "an address")
    runs.submit("somebody else", plan(seed=9), "another address")
    until(lambda: states(runs, "somebody else") == [RunState.RUNNING])
    assert states(runs, "another browser") == [RunState.WAITING], "the other is not over"
    runs.cancel("one browser", first)
    until(lambda: states(runs, "another browser") == [RunState.DONE])
