"""The training loop all stages share: falling learning rate, EMA, checkpoints, log lines.

A stage is (modules, step function). Batches are drawn from the step number, so a run resumed from
a checkpoint sees the same data as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor, nn

StepFunction = Callable[[int], Tensor]


@dataclass(slots=True)
class Stage:
    """One thing to train: what is optimised, how fast, for how long, and where it is kept.

    Attributes:
        after_step: is told each step's number, from 1; the modules then hold the weights as
            trained, not their average.
    """

    name: str
    modules: Mapping[str, nn.Module]
    learning_rate: float
    steps: int
    checkpoint: Path
    ema_decay: float = 0.998
    weight_decay: float = 1e-3
    warmup: int = 100
    falling: float = 0.3
    log_every: int = 50
    save_seconds: float = 120.0
    after_step: Callable[[int], None] | None = None


def learning_rate_share(step: int, stage: Stage) -> float:
    """Linear warm-up, flat, then a straight fall to zero over the last `falling` of the steps.

    The flat part does not depend on the number of steps, so a stage can be given more of them, or
    fewer, until it begins to fall: it ends where a run with that number would have ended.
    """
    rising = (step + 1) / stage.warmup
    ending = (stage.steps - step) / (stage.falling * stage.steps)
    return min(1.0, rising, ending)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes in it; a CPU that only imitates it is slower with it."""
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        computes = bool(can.get("amx_bf16") or can.get("avx512_bf16"))
    else:
        computes = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=computes)


def quicken(unet: UNet2DConditionModel) -> None:
    """Lay it out for speed: on a CPU, plain attention takes a seventh off a step, since torch's
    fused kernel is slow backwards on maps as small as these."""
    unet.to(memory_format=torch.channels_last)
    if unet.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())


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
    temporary.replace(path)


@torch.no_grad()
def _follow(ema: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(  # one fused call instead of some hundred small ones
        list(ema.values()), [p.detach() for p in parameters.values()], 1 - decay
    )


@torch.no_grad()
def adopt_average(checkpoint: Path, modules: Mapping[str, nn.Module]) -> int:
    """Load the averaged weights of a checkpoint into the modules; the step it was saved at."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    _adopt(state["ema"], checkpoint, modules)
    return int(state["step"])


@torch.no_grad()
def adopt_weights(path: Path, modules: Mapping[str, nn.Module]) -> None:
    """Load what a safetensors file holds, by "module/parameter" name, into the modules."""
    _adopt(load_file(path), path, modules)


def _adopt(weights: Mapping[str, Tensor], path: Path, modules: Mapping[str, nn.Module]) -> None:
    parameters = trainable(modules)
    if set(weights) != set(parameters):
        raise ValueError(f"{path} does not belong to these modules")
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


class _Trainer:
    """The state of one stage between steps: weights, their average, optimiser and clock."""

    def __init__(self, stage: Stage) -> None:
        """Fresh, or as the stage's checkpoint left it."""
        self.stage = stage
        self.parameters = trainable(stage.modules)
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=stage.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=stage.weight_decay,
            fused=True,
        )
        self.ema = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.step, self.elapsed_before = 0, 0.0
        self.recent: float | None = None
        if stage.checkpoint.exists():
            self._resume()
        self.started = time.monotonic()

    @torch.no_grad()
    def _resume(self) -> None:
        state = torch.load(self.stage.checkpoint, map_location="cpu", weights_only=True)
        for name, parameter in self.parameters.items():
            parameter.copy_(state["parameters"][name])
            self.ema[name].copy_(state["ema"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed_before = int(state["step"]), float(state["elapsed"])
        self.say(f"resumed at step {self.step}")

    def elapsed(self) -> float:
        """Seconds of training, earlier parts included."""
        return self.elapsed_before + time.monotonic() - self.started

    def advance(self, step_loss: StepFunction) -> None:
        """One step: gradients clipped, applied, followed by the average."""
        share = learning_rate_share(self.step, self.stage)
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.learning_rate * share
        loss = step_loss(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), 1.0)
        self.optimizer.step()
        self.step += 1
        # A young average must not remember the random start.
        decay = min(self.stage.ema_decay, (1 + self.step) / (10 + self.step))
        _follow(self.ema, self.parameters, decay)
        self._note(float(loss.detach()))

    def _note(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.stage.name}: the loss is {loss} at step {self.step}")
        self.recent = loss if self.recent is None else 0.98 * self.recent + 0.02 * loss
        if self.step % self.stage.log_every == 0:
            self.say(f"step {self.step} loss {self.recent:.4f} elapsed {self.elapsed():.0f}s")

    def say(self, text: str) -> None:
        """One log line."""
        print(f"{self.stage.name}: {text}", flush=True)

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "parameters": {name: p.detach() for name, p in self.parameters.items()},
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed(),
        }
        save_atomically(state, self.stage.checkpoint)


def run(stage: Stage, step_loss: StepFunction) -> int:
    """Train to the last step; leaves the averaged weights in the modules.

    Returns the number of steps. `step_loss(step)` draws its own batch and returns a scalar.
    """
    trainer = _Trainer(stage)
    last_save = time.monotonic()
    while trainer.step < stage.steps:
        trainer.advance(step_loss)
        if stage.after_step is not None:
            stage.after_step(trainer.step)
        if time.monotonic() - last_save > stage.save_seconds:
            trainer.save()
            last_save = time.monotonic()
    trainer.save()
    adopt_average(stage.checkpoint, stage.modules)
    trainer.say(f"finished, {trainer.step} steps in {trainer.elapsed() / 60:.1f} min")
    return trainer.step
