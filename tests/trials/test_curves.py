"""Knees, fronts and onsets of curves that were made to have them, or not to."""

from __future__ import annotations

import numpy as np

from studio.trials.curves import front, knee, onset
from studio.trials.samples import Readings
from studio.trials.statistics import Resampling
from tests.trials.test_statistics import grid

QUICK = Resampling(seed=5, draws=200)
STEPS = (500, 1000, 1500, 2000, 2500, 3000, 3500, 4000)


def curve(truth: list[float], noise: float, seed: int) -> dict[int, Readings]:
    random = np.random.RandomState(seed)
    shared = 0.3 * random.standard_normal((4, 4))
    return {
        step: grid(value + shared + noise * random.standard_normal((4, 4)))
        for step, value in zip(STEPS, truth, strict=True)
    }


def test_a_knee_is_found_where_it_is() -> None:
    found = knee(curve([0.1, 0.4, 0.7, 1.0, 1.02, 1.0, 1.01, 1.0], 0.05, 1), QUICK)
    assert found is not None
    assert (found.bend, found.low <= 2000 <= found.high) == ("flattens", True)
    late = knee(curve([0, 0, 0.01, 0, 0.02, 0.3, 0.6, 0.9], 0.05, 2), QUICK)
    assert late is not None
    assert (late.bend, late.low <= 2500 <= late.high) == ("rises", True)
    over = knee(curve([0.1, 0.4, 0.7, 1.0, 0.8, 0.6, 0.4, 0.2], 0.05, 3), QUICK)
    assert over is not None
    assert (over.bend, over.step) == ("turns", 2000)


def test_noise_and_a_straight_line_have_no_knee() -> None:
    told = 0
    for seed in range(20):
        told += knee(curve([0.0] * 8, 0.5, seed), QUICK) is not None
        told += knee(curve([step / 4000 for step in STEPS], 0.3, seed), QUICK) is not None
    assert told <= 4
    assert knee(dict(list(curve([0.0] * 8, 0.1, 0).items())[:4]), QUICK) is None


def test_the_front_has_what_nobody_beats() -> None:
    random = np.random.RandomState(0)

    def around(value: float) -> Readings:
        return grid(value + 0.01 * random.standard_normal((4, 4)))

    likeness = {
        "early": around(0.2),
        "right": around(0.8),
        "late": around(0.9),
        "bad": around(0.5),
    }
    leak = {"early": around(0.0), "right": around(0.1), "late": around(0.6), "bad": around(0.7)}
    found = front(likeness, leak, QUICK)
    assert {name for name, each in found.items() if each.front} == {"early", "right", "late"}
    assert found["bad"].share == 0
    assert found["right"].share > 0.95
    assert front(likeness, {}, QUICK) == {}


def test_an_onset_lasts_to_the_end() -> None:
    lows = {500: 0.0, 1000: 0.4, 1500: 0.1, 2000: 0.3, 2500: 0.5}
    assert onset(lows, 0.25) == 2000
    assert onset({**lows, 2500: None}, 0.25) is None
    assert onset(lows, 0.6) is None
