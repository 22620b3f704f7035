"""Trials whose truth is known, without a picture: the numbers that an engine would have given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studio.trials.observations import Observation, PromptKind, TrialArm


@dataclass(frozen=True)
class Noise:
    """How much prompts, seeds and single pictures add, as standard deviations of normal parts;
    ``skewed`` values are their exponential, ``heavy`` ones their signed square."""

    prompts: float
    seeds: float
    pictures: float
    skewed: bool = False
    heavy: bool = False

    @property
    def median(self) -> float:
        return 1.0 if self.skewed else 0.0

    def draw(self, random: np.random.RandomState, prompts: int, seeds: int) -> np.ndarray:
        """(prompts, seeds)"""
        parts = (
            self.prompts * random.standard_normal((prompts, 1))
            + self.seeds * random.standard_normal((1, seeds))
            + self.pictures * random.standard_normal((prompts, seeds))
        )
        if self.skewed:
            return np.exp(parts)
        return np.sign(parts) * parts**2 if self.heavy else parts


def simulated(
    truth: Mapping[int, float],
    seeds: int,
    prompts: int = 4,
    noise: float = 0.05,
    random: int = 0,
    measure: str = "effect",
    kind: PromptKind = PromptKind.TRIGGER,
) -> list[Observation]:
    """Step → the measure's median, with a part of prompts and seeds that all arms share."""
    state = np.random.RandomState(random)
    shared = Noise(0.1, 0.05, 0.02).draw(state, prompts, seeds)
    return [
        Observation(
            arm=TrialArm(checkpoint=str(step), step=step, strength=1.0),
            prompt=f"{kind.value}{prompt}",
            kind=kind,
            seed=seed,
            measure=measure,
            value=float(value + shared[prompt, seed] + noise * state.standard_normal()),
            base=0.0,
            picture=sha(step, kind, prompt, seed),
            base_picture=sha("base", kind, prompt, seed),
        )
        for step, value in truth.items()
        for prompt in range(prompts)
        for seed in range(seeds)
    ]


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
