"""Schedulers by diffusers class name, each built anew from the base's own configuration."""

from __future__ import annotations

from typing import Any

from studio.architecture.schedulers import schedulers_for
from studio.errors import EngineError

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
