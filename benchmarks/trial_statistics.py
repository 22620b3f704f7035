"""Whether a trial's statistics do as they say: python -m benchmarks.trial_statistics

Trials are simulated whose truth is known. Intervals cover it, the halving keeps the best arm,
ties are called ties, and the pictures that "would decide it" do.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np

from studio.trials.halving import Goal, RacingRule, race
from studio.trials.observations import TrialArm
from studio.trials.samples import Readings
from studio.trials.statistics import (
    Direction,
    Resampling,
    against_the_leader,
    difference,
    estimate,
    more_pairs,
)
from studio.trials.tournament import Duel, ranking
from tests.support.simulated_trials import Noise, simulated

NOISES = {
    "skewed, prompts differ": Noise(0.6, 0.2, 0.7, skewed=True),
    "skewed, prompts differ much": Noise(1.0, 0.3, 0.6, skewed=True),
    "normal": Noise(0.3, 0.3, 1.0),
    "heavy tails": Noise(0.3, 0.1, 0.8, heavy=True),
    "seeds differ more than anything": Noise(0.3, 1.0, 0.6, skewed=True),
}
SIZES = ((4, 3), (4, 6), (8, 3), (8, 8))
"""Prompts and seeds."""
TRUTH = {500: 0.0, 1000: 0.1, 1500: 0.2, 2000: 0.3, 2500: 0.25, 3000: 0.05}


def grid(values: np.ndarray) -> Readings:
    """(prompts, seeds) → a sample."""
    prompts, seeds = values.shape
    return Readings.of(
        values.ravel(), np.repeat(np.arange(prompts), seeds), np.tile(np.arange(seeds), prompts)
    )


def coverage(times: int, rule: Resampling) -> dict[str, float]:
    """Share of 95 % intervals that hold the true median."""
    random = np.random.RandomState(1)
    found = {}
    for name, noise in NOISES.items():
        for prompts, seeds in SIZES:
            held = 0
            for _ in range(times):
                seen = estimate(grid(noise.draw(random, prompts, seeds)), rule)
                assert seen is not None
                assert seen.low is not None
                assert seen.high is not None
                held += seen.low <= noise.median <= seen.high
            found[f"{name}, {prompts} x {seeds}"] = round(held / times, 4)
    return found


def halving(times: int, rule: Resampling) -> dict[str, float]:
    """How often the best of six arms is still in, and what share of a full design was spent."""
    racing = RacingRule(goals=(Goal(measure="effect"),), seeds=tuple(range(12)), resampling=rule)
    kept, spent = 0, 0
    for number in range(times):
        every = simulated(TRUTH, 12, noise=0.1, random=number)
        arms = sorted({each.arm for each in every}, key=lambda arm: arm.step)
        end = race(arms, every, racing, 12)
        kept += 2000 in [arm.step for arm in end.inside]
        out = {each.arm: racing.rounds[each.round - 1] for each in end.out}
        last = max(out.values(), default=12) if len(end.inside) == 1 else 12
        spent += sum(out.get(arm, last) for arm in arms)
    return {
        "best arm kept": round(kept / times, 4),
        "pictures of a full design": round(spent / times / 12 / len(TRUTH), 3),
    }


def ties(times: int, rule: Resampling) -> float:
    """Chance that an arm of eight equal ones is called worse than the leader."""
    random = np.random.RandomState(2)
    called = 0
    for _ in range(times):
        arms = {name: grid(Noise(0.5, 0.2, 1.0).draw(random, 4, 4)) for name in range(8)}
        called += sum(each.out for each in against_the_leader(arms, rule)[1].values())
    return round(called / times / 8, 4)


def more(times: int, rule: Resampling) -> dict[str, float]:
    """Two arms that differ by half a standard deviation and cannot be told apart with 4 x 4
    pairs: how often so many more seeds as were said would decide it did."""
    random, noise = np.random.RandomState(3), Noise(0.1, 0.1, 1.0)
    asked = decided = 0
    for _ in range(times):
        whole = 0.5 + noise.draw(random, 4, 160)
        first = grid(whole[:, :4])
        wanted = more_pairs(first, grid(np.zeros((4, 4))), rule)
        if wanted is None or wanted.of != "seeds" or wanted.pairs > 4 * 156:
            continue
        seeds = 4 + wanted.pairs // 4
        after = difference(grid(whole[:, :seeds]), grid(np.zeros((4, seeds))), rule)
        assert after is not None
        asked += 1
        decided += after.direction is not Direction.OPEN
    return {"asked": asked, "decided": round(decided / asked, 3)}


def tournament(times: int) -> float:
    """Share of 95 % intervals that hold an arm's true strength: six arms, 8 duels a pair."""
    random, truth = np.random.RandomState(4), [1.0, 0.6, 0.2, -0.2, -0.6, -1.0]
    arms = [TrialArm(checkpoint=str(n), step=n, strength=1.0) for n in range(len(truth))]
    held = 0
    for _ in range(times):
        duels = [
            Duel(
                left=arms[one], right=arms[other], prompt="p", seed=number, swapped=False, by="a",
                choice="left"
                if random.rand() < 1 / (1 + np.exp(truth[other] - truth[one]))
                else "right",
            )
            for one, other in combinations(range(len(truth)), 2)
            for number in range(8)
        ]  # fmt: skip
        held += sum(each.low <= truth[each.arm.step] <= each.high
                    for each in ranking(arms, duels).ranks)  # fmt: skip
    return round(held / times / len(truth), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000, help="simulated trials of each kind")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    asked = parser.parse_args()
    rule = Resampling(seed=1, draws=200)
    figures = {
        "trials of each kind": asked.times,
        "draws": rule.draws,
        "intervals that cover (95 %)": coverage(asked.times, rule),
        "halving": halving(asked.times // 2, rule),
        "equal arms called worse": ties(asked.times // 4, rule),
        "more pairs would decide it": more(asked.times, rule),
        "tournament intervals that cover (95 %)": tournament(asked.times // 4),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
