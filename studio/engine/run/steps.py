"""What a pipeline really does while it works, counted from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from studio.engine.run.numbers import raw_bytes
from studio.engine.run.schedulers import Scheduler
from studio.errors import ContractBroken


@dataclass(slots=True)
class Steps:
    """Counts while the pipeline works.

    Attributes:
        calls: of the pipeline's callback, one a timestep.
        denoised: calls of the denoiser.
        ended: when the last callback came (monotonic).
        latents: as the last callback left them.
    """

    calls: int = 0
    denoised: int = 0
    ended: float = 0.0
    latents: torch.Tensor | None = None

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

    def run_through(self, scheduler: Scheduler) -> int:
        """The scheduler's step count, if the loop really went through all its timesteps."""
        complete = self.calls == len(scheduler.timesteps)
        return int(scheduler.num_inference_steps) if complete else self.calls
