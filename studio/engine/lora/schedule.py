"""LoRAs that come and go between the steps of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.engine.base.resident import ResidentBase
from studio.engine.lora.slot import LoraPlace, Multiplier, slots_of
from studio.engine.lora.switch import LoraSet, held_in, switch_for


def step_of(call: int, planned: int, scheduler: Any) -> int:
    """The step, counted from 1, that a call of the pipeline's loop (from 0) belongs to.

    Second-order schedulers (Heun) call the denoiser twice a step; PNDM goes through its second
    step twice (diffusers 0.42).
    """
    if scheduler.order > 1:
        return int(call // scheduler.order) + 1
    repeated = len(scheduler.timesteps) - planned
    return call + 1 if call < 2 else call + 1 - repeated


@dataclass(frozen=True, slots=True)
class HeldRange:
    """Steps, counted from 1, in which the modules held the same, as it was read back."""

    first: int
    last: int
    found: Mapping[LoraPlace, Multiplier]


class Schedule:
    """Switches and reads back at each change of one picture; does nothing where there is none.

    Attributes:
        held: the ranges that are over, in order.
    """

    def __init__(
        self, base: ResidentBase, loras: LoraSet, ranges: tuple[tuple[int, int], ...]
    ) -> None:
        self._base, self._loras = base, loras
        self._ranges = ranges if len(ranges) > 1 else ()
        self._slots = tuple(slots_of(base.pipeline)) if self._ranges else ()
        self._at = 0
        self.held: list[HeldRange] = []

    def enter(self, step: int) -> None:
        """Before this step: what is on in it is on. Every step is entered, in order.

        Raises:
            ContractBroken: modules did not keep what was set, or do not hold what is set now.
        """
        if not self._ranges:
            return
        if step == 1:
            self._at, self.held = 0, []
            switch_for(self._base, self._loras, self._slots, step)
        while self._at + 1 < len(self._ranges) and step >= self._ranges[self._at + 1][0]:
            self.leave()
            self._at += 1
            switch_for(self._base, self._loras, self._slots, step)

    def leave(self) -> None:
        """The range is over, and the modules still hold what was set when it began.

        Raises:
            ContractBroken: they do not.
        """
        if not self._ranges:
            return
        first, last = self._ranges[self._at]
        found = held_in(self._base, self._loras, self._slots, first)
        self.held.append(HeldRange(first, last, found))
