"""Routing: who goes where, and a day of 8 workers and 40 sessions."""

from __future__ import annotations

from dataclasses import replace

from studio.backends.routing import (
    BYTES_PER_SECOND,
    JUMPS,
    Need,
    WaitingRun,
    WorkerState,
    bound,
    loading_seconds,
    route,
    share_of,
)
from studio.backends.turns import Turns
from tests.support.routing_trace import simulate, trace

GB = int(1e9)
BASE = Need("base", 4 * GB)
INK = Need("base", 4 * GB, {"ink": GB})


def worker(name: str, *loras: str, base: str | None = "base", **changed: object) -> WorkerState:
    resident = {} if base is None else {base: frozenset(loras)}
    return WorkerState(name, "c", resident, **changed)  # type: ignore[arg-type]


def given(line: list[WaitingRun], *workers: WorkerState) -> dict[str, str]:
    return dict(route(line, workers).assigned)


def test_loading_counts_what_is_missing() -> None:
    assert loading_seconds(INK, worker("w", "ink")) == 0
    assert loading_seconds(INK, worker("w")) == GB / BYTES_PER_SECOND
    assert loading_seconds(INK, worker("w", base=None)) == 5 * GB / BYTES_PER_SECOND


def test_a_run_goes_where_its_weights_are() -> None:
    run = WaitingRun("r", INK)
    assert given([run], worker("1"), worker("2", "ink"), worker("3", base=None)) == {"r": "2"}


def test_of_equals_the_emptiest_is_taken() -> None:
    assert given([WaitingRun("r", BASE)], worker("1", "x", "y"), worker("2", "x")) == {"r": "2"}


def test_a_run_waits_for_a_warm_worker_as_long_as_a_load_takes() -> None:
    load = GB / BYTES_PER_SECOND
    run, cold = WaitingRun("r", INK), worker("1")
    assert given([run], cold, worker("2", "ink", free_in=load / 2)) == {}
    assert given([run], cold, worker("2", "ink", free_in=load * 2)) == {"r": "1"}


def test_a_warm_run_jumps_the_line_so_often_and_no_more() -> None:
    warm = WaitingRun("warm", INK)
    for jumped, first in ((0, "warm"), (JUMPS - 1, "warm"), (JUMPS, "cold")):
        cold = WaitingRun("cold", Need("other", GB), jumped=jumped)
        routed = route([cold, warm], [worker("1", "ink")])
        assert routed.assigned == {first: "1"}
        assert routed.jumped == (("cold",) if first == "warm" else ())


def test_nobody_is_passed_too_often_in_one_round() -> None:
    cold = WaitingRun("cold", Need("other", GB), jumped=JUMPS - 1)
    line = [cold, *(WaitingRun(f"warm{n}", INK) for n in range(2))]
    assert set(given(line, worker("1", "ink"), worker("2", "ink"))) == {"cold", "warm0"}


def test_a_class_a_chosen_worker_and_a_lost_one_are_kept_to() -> None:
    free = [worker("1"), worker("2")]
    assert given([WaitingRun("r", BASE, worker_class="other")], *free) == {}
    assert given([WaitingRun("r", BASE, only_on="2")], *free) == {"r": "2"}
    assert given([WaitingRun("r", BASE, not_on=frozenset({"1"}))], *free) == {"r": "2"}
    pinned = WaitingRun("r", BASE, only_on="2")
    assert given([pinned, WaitingRun("s", BASE)], worker("1"), worker("2", free_in=9.0)) == {
        "s": "1"
    }


def test_a_group_stays_where_it_is_and_its_shares_keep_apart() -> None:
    run, group = WaitingRun("r", BASE), "whole"
    one, other = share_of(group, 0), share_of(group, 1)
    holds = worker("1", groups={one: None}, free_in=9.0)
    assert bound(run, one, [holds, worker("2")]).only_on == "1"
    assert bound(run, other, [holds, worker("2")]).not_on == {"1"}
    assert given([bound(run, other, [holds, worker("2")])], holds, worker("2")) == {"r": "2"}
    assert bound(run, "another", [holds, worker("2")]) == run
    assert bound(run, other, [holds]) == run, "rather together than not at all"
    stranger = replace(worker("2"), worker_class="other")
    there = WaitingRun("r", BASE, worker_class="c")
    assert bound(there, other, [holds, stranger]) == there


def test_turns_go_round() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        turns.add(item[0], item)
    assert turns.order() == ["a1", "b1", "c1", "a2", "c2", "a3"]
    turns.take("a", "a1")
    assert turns.order() == ["b1", "c1", "a2", "c2", "a3"]
    turns.put_first("a", "a1")
    assert turns.order()[0] == "a1"
    assert turns.remove("b", "b1")
    assert not turns.remove("b", "b1")


def test_a_day_on_eight_workers() -> None:
    lines = trace(runs=500, sessions=25, seed=1)
    eight, one = simulate(lines, 8), simulate(lines, 1)
    assert eight.hits / eight.possible > 0.9
    assert 0 < eight.jumped <= JUMPS
    assert len(eight.waits) == 25
    mean = sum(eight.waits.values()) / len(eight.waits)
    assert max(eight.waits.values()) < 1.5 * mean, "no session waits much longer than the others"
    assert eight.per_minute > 0.9 * 8 * one.per_minute
    assert eight.hits > simulate(lines, 8, by_affinity=False).hits
