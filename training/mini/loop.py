"""The training loop all stages share: budget, falling learning rate, EMA, checkpoints, log lines.

A stage is (modules, step function). Batches are drawn from the step number, so a run resumed from
a checkpoint sees the same data as one that was never stopped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

StepFunction = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True)
class Budget:
    """When a stage ends: after `steps`, or after `minutes` of wall-clock time if they are given.

    With `minutes` the learning rate follows the time used, so the number of steps, and with it the
    weights, depend on the machine: only the plain step count repeats a run.
    """

    steps: int
    minutes: float | None = None

    def progress(self, step: int, elapsed: float) -> float:
        """0 at the start, 1 at the end; `elapsed` in seconds, over all resumed parts."""
        by_steps = step / self.steps
        if self.minutes is None:
            return by_steps
        return max(by_steps, elapsed / (60 * self.minutes))


@dataclass(slots=True)
class Stage:
    """One thing to train: what is optimised, how fast, for how long, and where it is kept."""

    name: str
    modules: Mapping[str, nn.Module]
    learning_rate: float
    budget: Budget
    checkpoint: Path
    ema_decay: float = 0.998
    weight_decay: float = 1e-3
    warmup: float = 0.02
    log_every: int = 50
    save_seconds: float = 120.0


def learning_rate_share(progress: float, warmup: float) -> float:
    """Linear warm-up, then a half cosine down to zero: the last steps give the sharpness."""
    if progress < warmup:
        return (progress + 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def trainable(modules: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    """Parameters that ask for gradients, by "module/parameter" name."""
    return {
        f"{prefix}/{name}": parameter
        for prefix, module in modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def save_atomically(state: object, path: Path) -> None:
    """Write a checkpoint so that a killed process never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


@torch.no_grad()
def _follow(ema: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(  # one fused call instead of some hundred small ones
        list(ema.values()), [p.detach() for p in parameters.values()], 1 - decay
    )


@torch.no_grad()
def adopt_average(checkpoint: Path, modules: Mapping[str, nn.Module]) -> int:
    """Load the averaged weights of a checkpoint into the modules; the step it was saved at."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    parameters = trainable(modules)
    if set(state["ema"]) != set(parameters):
        raise ValueError(f"{checkpoint} does not belong to these modules")
    for name, parameter in parameters.items():
        parameter.copy_(state["ema"][name])
    return int(state["step"])


def run(
    stage: Stage, step_loss: StepFunction, after_save: Iterable[Callable[[], None]] = ()
) -> int:
    """Train to the end of the budget; leaves the averaged weights in the modules.

    Returns the number of steps. `step_loss(step)` draws its own batch and returns a scalar.
    """
    parameters = trainable(stage.modules)
    optimizer = torch.optim.AdamW(
        parameters.values(),
        lr=stage.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=stage.weight_decay,
        fused=True,
    )
    ema = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    step, elapsed_before = 0, 0.0
    if stage.checkpoint.exists():
        state = torch.load(stage.checkpoint, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(state["parameters"][name])
                ema[name].copy_(state["ema"][name])
        optimizer.load_state_dict(state["optimizer"])
        step, elapsed_before = int(state["step"]), float(state["elapsed"])
        print(f"{stage.name}: resumed at step {step}", flush=True)

    started = last_save = time.monotonic()
    recent = 0.0

    def elapsed() -> float:
        return elapsed_before + time.monotonic() - started

    def save() -> None:
        save_atomically(
            {
                "parameters": {n: p.detach() for n, p in parameters.items()},
                "ema": ema,
                "optimizer": optimizer.state_dict(),
                "step": step,
                "elapsed": elapsed(),
            },
            stage.checkpoint,
        )
        for action in after_save:
            action()

    while (progress := stage.budget.progress(step, elapsed())) < 1:
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * learning_rate_share(progress, stage.warmup)
        loss = step_loss(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimizer.step()
        step += 1
        # A young average must not remember the random start.
        _follow(ema, parameters, min(stage.ema_decay, (1 + step) / (10 + step)))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"{stage.name}: the loss is {value} at step {step}")
        recent = value if step == 1 else 0.98 * recent + 0.02 * value
        if step % stage.log_every == 0:
            print(
                f"{stage.name} step {step} loss {recent:.4f} progress {progress:.3f} "
                f"elapsed {elapsed():.0f}s",
                flush=True,
            )
        if time.monotonic() - last_save > stage.save_seconds:
            save()
            last_save = time.monotonic()
    save()
    adopt_average(stage.checkpoint, stage.modules)
    print(f"{stage.name}: finished, {step} steps in {elapsed() / 60:.1f} min", flush=True)
    return step
