"""Trials whose truth is known, without a picture: the numbers that an engine would have given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from studio import __version__
from studio.trials.findings import findings
from studio.trials.halving import Goal, RacingRule
from studio.trials.measures import MeasureFacts
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.report.card import CardFile, CardPicture, CardPrompt, EpochCard
from studio.trials.statistics import Resampling


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
    shared: float = 0.1,
) -> list[Observation]:
    """Step → the measure's median, with a part of prompts and seeds that all arms share."""
    state = np.random.RandomState(random)
    parts = Noise(shared, shared / 2, shared / 5).draw(state, prompts, seeds)
    return [
        Observation(
            arm=TrialArm(checkpoint=str(step), step=step, strength=1.0),
            prompt=f"{kind.value}{prompt}",
            kind=kind,
            seed=seed,
            measure=measure,
            value=float(value + parts[prompt, seed] + noise * state.standard_normal()),
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


GOAL, QUICK = Goal(measure="contrast"), Resampling(seed=1, draws=200)
EFFECT = {500: 0.04, 1000: 0.09, 1500: 0.13, 2000: 0.135, 2500: 0.14, 3000: 0.15}
LEAK = {500: 0.05, 1000: 0.08, 1500: 0.12, 2000: 0.3, 2500: 0.72, 3000: 0.9}


def simulated_card(
    chosen: int | None = 1500, seeds: int = 3, inert: int | None = 500, finer: str = ""
) -> EpochCard:
    """The card of a trial that peaks at 1,500, leaks from 2,500 on, has an inert checkpoint and
    two equal files.

    Args:
        finer: every checkpoint is tried with this too, a little stronger.
    """
    observations = [
        *simulated(EFFECT, seeds, noise=0.004, measure="contrast", shared=0.01),
        *simulated(EFFECT, seeds, noise=0.004, measure="effect", shared=0.01, random=2),
        *simulated(LEAK, seeds, noise=0.02, measure="leak", shared=0.03, random=3),
    ]
    observations = [
        each.model_copy(update={"value": abs(each.value)} | _planted(each, inert))
        for each in observations
    ]
    twin = TrialArm(checkpoint="final", step=3500, strength=1.0)
    observations += [
        each.model_copy(update={"arm": twin}) for each in observations if each.arm.step == 3000
    ]
    if finer:
        observations += [_with_finer(each, finer, inert) for each in observations]
    arms = {each.arm.step: each.arm for each in observations}
    pictures = {
        each.picture: CardPicture(
            arm=each.arm, prompt=each.prompt, kind=each.kind, seed=each.seed,
            pixels=each.picture, record=sha("record", each.picture),
        )
        for each in observations
        if each.arm.checkpoint != twin.checkpoint
    }  # fmt: skip
    pictures |= {
        str(each.base_picture): CardPicture(
            arm=None, prompt=each.prompt, kind=each.kind, seed=each.seed,
            pixels=str(each.base_picture), record=sha("record", each.base_picture),
        )
        for each in observations
    }  # fmt: skip
    return EpochCard(
        trial="ink-1",
        design=sha("design"),
        finished_at="2026-11-30T12:00:00+00:00",
        release=__version__,
        device="cpu",
        base="Mini · emoji",
        run="pen-ink <mini> | try",
        trigger="phrsink, pen and ink illustration",
        rule=RacingRule(goals=(GOAL,), seeds=tuple(range(seeds)), resampling=QUICK),
        chosen=None if chosen is None else arms[chosen],
        files=tuple(
            CardFile(checkpoint=arm.checkpoint, step=step, file=f"ink-{step:06d}.safetensors",
                     sha256=sha("file", step))
            for step, arm in sorted(arms.items())
        ),
        prompts=tuple(
            CardPrompt(name=name, kind=PromptKind.TRIGGER, text=f"a {thing} on a blue background")
            for name, thing in zip(sorted({each.prompt for each in observations}),
                                   ("rocket", "penguin", "lighthouse", "tree"), strict=True)
        ),
        measures=tuple(
            MeasureFacts(name=name, unit=unit, better=better, says=says, cannot="What is good.",
                         source="Reckoned from pixels.")
            for name, unit, better, says in (
                ("contrast", "share of the range", "more", "What the words call alone."),
                ("effect", "share of the range", "neither", "How far the picture moves."),
                ("leak", "ratio", "less", "The effect without the trigger words over that with."),
            )
        ),
        findings=findings(observations, GOAL, QUICK),
        observations=tuple(observations),
        pictures=tuple(pictures.values()),
    )  # fmt: skip


def _planted(each: Observation, inert: int | None) -> dict[str, object]:
    if each.arm.step != inert:
        return {}
    return {"picture": each.base_picture, "value": 0.0}


def _with_finer(each: Observation, finer: str, inert: int | None) -> Observation:
    arm = each.arm.model_copy(update={"finer": finer})
    picture = each.picture if each.arm.step == inert else sha(each.picture, finer)
    changes = {"arm": arm, "value": 1.1 * each.value, "picture": picture}
    return each.model_copy(update=changes)
