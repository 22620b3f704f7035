"""The one way to LoRAs in a pipeline: a run declares its complete set, and gets it or an error.

LoRAs stay resident and are switched, never fused. What is switched on is read back module by
module, the base without them is proven to be itself, and their effect is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from studio.architecture import TRAITS
from studio.contract.base import fingerprint
from studio.contract.receipt import BaseProof
from studio.engine.base.resident import ResidentBase, remember
from studio.engine.device import named_errors
from studio.engine.lora.effect import At, MeasuredEffect, measure
from studio.engine.lora.inject import MakeRoom, WantedLora, admit
from studio.engine.lora.probe import read_probe, relative_change
from studio.engine.lora.prove import lora_state, prove_base, resident_state, survey
from studio.engine.lora.slot import (
    FoundSlot,
    LoraPlace,
    Multiplier,
    demand,
    read_switched,
    switch_on,
)
from studio.errors import LoraRefused


@dataclass(frozen=True, slots=True)
class Effect:
    """What LoRAs change, measured in one of two ways; the other is None.

    Attributes:
        layers: |what they add| / |what the base gives| over the layers that they change.
        whole: the change of one denoiser call on the probe: of LoRAs that change the text
            encoders alone, whose words the denoiser reads.
    """

    layers: float | None = None
    whole: float | None = None


@dataclass(frozen=True, slots=True)
class LoraSet:
    """The set as it is switched on, with what was measured of it.

    Attributes:
        settings: where which LoRA must be on, and how.
        resident: SHA-256 of the LoRAs that were in memory before this run.
        effect: of the whole set; nothing if it is empty.
        alone: SHA-256 → the effect of that LoRA by itself, where there are several.
    """

    wanted: tuple[WantedLora, ...]
    settings: Mapping[LoraPlace, Multiplier]
    resident: frozenset[str]
    proof: BaseProof
    effect: Effect
    alone: Mapping[str, Effect]


@torch.no_grad()
def set_loras(base: ResidentBase, wanted: Sequence[WantedLora], make_room: MakeRoom) -> LoraSet:
    """Switch exactly ``wanted`` on (none, if empty), loading what is not resident.

    Raises:
        LoraRefused: a file does not fit, did not load in full, or changes nothing.
        ContractBroken: the base is no longer bit-identical to itself (``base.spoiled`` is
            set and it must be dropped), or the modules do not hold what was set.
        OutOfMemory, DeviceError, WeightsError.
    """
    _refuse_twice(wanted)
    resident = frozenset(lora.sha256 for lora in wanted if lora.sha256 in base.adapters)
    needed = frozenset(lora.sha256 for lora in wanted)
    for lora in wanted:
        if lora.sha256 not in base.adapters:
            admit(base, lora, needed, make_room)
        elif base.adapters[lora.sha256].waived != lora.waived:
            text = "It is in memory with another waiver than this plan's."
            raise LoraRefused(lora.slug, (text,), "Resolve the request again.")
    found = survey(base.pipeline)
    done = False
    try:
        with named_errors(base.device, "the probe"):
            proof = prove_base(base, found, is_arm=not wanted)
            on = [lora for lora in wanted if any(strengths_of(base, lora).values())]
            # Beside another LoRA, one that changes nothing would not be seen.
            alone = {lora.sha256: _effect(base, [lora], on, found.slots) for lora in on}
            effect = _effect(base, on, on, found.slots) if wanted else Effect()
            _switch(base, wanted, found.slots)
        done = True
    finally:
        if not done:
            switch_on(found.slots, {})
    several = alone if len(wanted) > 1 else {}
    return LoraSet(tuple(wanted), _settings(base, wanted), resident, proof, effect, several)


def _refuse_twice(wanted: Sequence[WantedLora]) -> None:
    for index, lora in enumerate(wanted):
        if any(other.sha256 == lora.sha256 for other in wanted[:index]):
            text = "Another LoRA of this run is the same file."
            raise LoraRefused(lora.slug, (text,), "Choose it once, with the strength you want.")


def strengths_of(base: ResidentBase, lora: WantedLora) -> dict[At, float]:
    """Of every module that the LoRA changes."""
    places = base.adapters[lora.sha256].scales
    if not lora.parts:
        return dict.fromkeys(places, lora.strength)
    part_of = TRAITS[base.architecture].part_of
    return {at: lora.parts.get(part_of(*at) or "", lora.strength) for at in places}


def _settings(
    base: ResidentBase, wanted: Sequence[WantedLora], step: int | None = None
) -> dict[LoraPlace, Multiplier]:
    """What the modules have to hold: while all are on, or in that step."""
    settings = {}
    for lora in wanted:
        adapter = base.adapters[lora.sha256]
        off = step is not None and lora.steps is not None and not _within(step, lora.steps)
        for at, strength in strengths_of(base, lora).items():
            held = 0.0 if off and at[0] == base.denoiser else strength
            settings[LoraPlace(*at, adapter.name)] = Multiplier(held, adapter.scales[at])
    return settings


def _within(step: int, steps: tuple[int, int]) -> bool:
    return steps[0] <= step <= steps[1]


def _apart(base: ResidentBase, loras: Sequence[WantedLora]) -> dict[LoraPlace, float]:
    """The strength of those whose parts differ, wherever they are."""
    return {
        place: setting.strength
        for place, setting in _settings(base, [lora for lora in loras if lora.parts]).items()
    }


def switch_for(
    base: ResidentBase, loras: LoraSet, slots: Sequence[FoundSlot], step: int
) -> dict[LoraPlace, Multiplier]:
    """Have what is on in this step (counted from 1) on.

    Returns:
        What the modules hold, read back.

    Raises:
        ContractBroken: they do not hold what was set.
    """
    settings = _settings(base, loras.wanted, step)
    strengths = {base.adapters[lora.sha256].name: lora.strength for lora in loras.wanted}
    switch_on(slots, strengths, {place: each.strength for place, each in settings.items()})
    return held_in(base, loras, slots, step)


def held_in(
    base: ResidentBase, loras: LoraSet, slots: Sequence[FoundSlot], step: int
) -> dict[LoraPlace, Multiplier]:
    """
    Raises:
        ContractBroken: the modules do not hold what belongs to this step.
    """
    found = read_switched(slots)
    demand(found, _settings(base, loras.wanted, step))
    return found


def _switch(base: ResidentBase, wanted: Sequence[WantedLora], slots: Sequence[FoundSlot]) -> None:
    """Have exactly these LoRAs on, added up in this order, and read it back."""
    if wanted:
        base.touch()
    strengths = {base.adapters[lora.sha256].name: lora.strength for lora in wanted}
    switch_on(slots, strengths, _apart(base, wanted))
    demand(read_switched(slots), _settings(base, wanted))


def _effect(
    base: ResidentBase,
    loras: Sequence[WantedLora],
    beside: Sequence[WantedLora],
    slots: Sequence[FoundSlot],
) -> Effect:
    """Of ``loras``, all of them on, together.

    Args:
        beside: all that are on.

    Raises:
        LoraRefused: they change nothing, or make numbers that are not finite.
    """
    if not loras:
        return Effect(layers=0.0)
    # What is measured has the strengths of those whose parts differ in it.
    strengths = {
        base.adapters[lora.sha256].name: 1.0 if lora.parts else lora.strength for lora in loras
    }
    slugs = ", ".join(lora.slug for lora in loras)
    if any(_has_sample(base, lora, base.denoiser) for lora in loras):
        sampled = [lora for lora in beside if _has_sample(base, lora)]
        measured = _measured(base, sampled, slots)
        kept = {name: value for name, value in strengths.items() if name in measured.largest}
        effect = Effect(layers=measured.effect(kept) if measured.finite else math.nan)
    else:
        effect = Effect(whole=_whole_effect(base, loras, slots))
    value = effect.layers if effect.whole is None else effect.whole
    assert value is not None
    if not math.isfinite(value):
        text = "With it the model computes numbers that are not finite."
        raise LoraRefused(slugs, (text,), "Lower its strength, or use another dtype.")
    if value == 0:
        text = "It is loaded in full, and at this strength it changes nothing."
        raise LoraRefused(slugs, (text,), "Raise its strength, or leave it out.")
    return effect


def _has_sample(base: ResidentBase, lora: WantedLora, component: str | None = None) -> bool:
    """Whether it is on in a layer (of a component) of which there is a sample."""
    return any(
        strength and at in base.samples and component in (None, at[0])
        for at, strength in strengths_of(base, lora).items()
    )


def _measured(
    base: ResidentBase, loras: Sequence[WantedLora], slots: Sequence[FoundSlot]
) -> MeasuredEffect:
    """What these add at the samples; the same for all strengths of the whole, and so kept."""
    names = sorted(base.adapters[lora.sha256].name for lora in loras)
    shares = _apart(base, loras)
    state = resident_state(slots, names)
    if shares:
        state = fingerprint([state, *sorted(([*at], share) for at, share in shares.items())])
    if state not in base.measured:
        remember(base.measured, state, measure(slots, base.samples, names, shares))
    return base.measured[state]


def _whole_effect(
    base: ResidentBase, loras: Sequence[WantedLora], slots: Sequence[FoundSlot]
) -> float:
    """What they change in the probe's output, measured once for each state."""
    _switch(base, loras, slots)
    assert base.proof is not None  # made or found good in this same call
    state = (base.proof.state, lora_state(slots))
    if state not in base.effects:
        with_loras = read_probe(base.family, base.pipeline)
        change = relative_change(with_loras, base.loaded) if with_loras.finite else math.nan
        remember(base.effects, state, change)
    return base.effects[state]
