"""Schedulers by diffusers class name, each built anew from the base's own configuration."""

from __future__ import annotations

from typing import Any

from studio.errors import EngineError
from studio.schedulers import SCHEDULER_NAMES

Scheduler = Any


def build_scheduler(name: str, own: Scheduler) -> Scheduler:
    """A fresh scheduler of class ``name`` with the training settings of the base's ``own``.

    A scheduler keeps state from step to step, so every picture gets one of its own.

    Raises:
        EngineError: a name that the allow-list lacks.
    """
    if name not in SCHEDULER_NAMES and name != type(own).__name__:
        raise EngineError(
            f"There is no scheduler {name!r}.", f"Choose one of {', '.join(SCHEDULER_NAMES)}."
        )
    import diffusers

    # Stable Diffusion runs PNDM without its Runge-Kutta warm-up: each of its steps would call
    # the denoiser four times. A base with a PNDM of its own says so in its configuration.
    stable = name == "PNDMScheduler" and "skip_prk_steps" not in own.config
    extra = {"skip_prk_steps": True} if stable else {}
    return getattr(diffusers, name).from_config(own.config, **extra)
