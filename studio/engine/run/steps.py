"""A run's steps: a scheduler built anew, and what the pipeline really does, counted."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from studio.architecture.pipelines import schedulers_for
from studio.engine.run.numbers import raw_bytes
from studio.errors import ContractBroken, EngineError

Scheduler = Any
_FLOW = "FlowMatch"


def build_scheduler(name: str, own: Scheduler) -> Scheduler:
    """A fresh scheduler of class ``name`` with the training settings of the base's ``own``.

    A scheduler keeps state from step to step, so every picture gets one of its own.

    Raises:
        EngineError: a name that the allow-list lacks for such a base, or a base whose own
            adds noise that no seed controls.
    """
    flow = type(own).__name__.startswith(_FLOW)
    allowed = schedulers_for(flow)
    if not flow:
        allowed = (*allowed, type(own).__name__)
    if name not in allowed:
        raise EngineError(
            f"There is no scheduler {name!r} for this base.",
            f"Choose one of {', '.join(dict.fromkeys(allowed))}.",
        )
    if own.config.get("stochastic_sampling"):
        raise EngineError(
            "The base's scheduler adds noise in every step that no seed controls.",
            "Set stochastic_sampling to false in its scheduler_config.json.",
        )
    import diffusers

    # Stable Diffusion runs PNDM without its Runge-Kutta warm-up: each of its steps would call
    # the denoiser four times. A base with a PNDM of its own says so in its configuration.
    stable = name == "PNDMScheduler" and "skip_prk_steps" not in own.config
    extra = {"skip_prk_steps": True} if stable else {}
    return getattr(diffusers, name).from_config(own.config, **extra)


@dataclass(slots=True)
class Steps:
    """Counts while the pipeline works.

    Attributes:
        calls: of the pipeline's callback, one a timestep.
        denoised: calls of the denoiser.
        ended: when the last callback came (monotonic).
        latents: as the last callback left them.
        etas: what the scheduler's steps were given as ``eta``.
    """

    calls: int = 0
    denoised: int = 0
    ended: float = 0.0
    latents: torch.Tensor | None = None
    etas: set[float] = field(default_factory=set)

    def sha256(self) -> str:
        """SHA-256 of the bytes of the first sample of ``latents``, in their dtype and layout.

        Raises:
            ContractBroken: there was no step.
        """
        if self.latents is None:
            raise ContractBroken(
                "The pipeline went through no step.", "Report it with the plan's fingerprint."
            )
        return hashlib.sha256(raw_bytes(self.latents[:1])).hexdigest()

    @property
    def passes(self) -> int:
        """Calls of the denoiser in each step; 0 where they were not the same in each."""
        even = self.calls and self.denoised % self.calls == 0
        return self.denoised // self.calls if even else 0

    @contextmanager
    def counting(self, denoiser: nn.Module) -> Iterator[None]:
        """Count the denoiser's calls meanwhile."""

        def count(*_: object) -> None:
            self.denoised += 1

        handle = denoiser.register_forward_pre_hook(count)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def listening_for_eta(self, scheduler: Scheduler) -> Iterator[None]:
        """Note the ``eta`` of each step: pipelines drop it where a scheduler has none."""
        step = scheduler.step

        @functools.wraps(step)  # pipelines look at the signature
        def noting(*given: Any, **named: Any) -> Any:
            if "eta" in named:
                self.etas.add(float(named["eta"]))
            return step(*given, **named)

        scheduler.step = noting
        try:
            yield
        finally:
            del scheduler.step

    def run_through(self, scheduler: Scheduler) -> int:
        """The scheduler's step count, if the loop really went through all its timesteps."""
        complete = self.calls == len(scheduler.timesteps)
        return int(scheduler.num_inference_steps) if complete else self.calls
