"""The one way to LoRAs in a pipeline: a run declares its complete set, and gets it or an error.

LoRAs stay resident and are switched, never fused. What is switched on is read back module by
module, the base without them is proven to be itself, and their effect is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from studio.contract.receipt import BaseProof, ComponentReceipt, LoraReceipt
from studio.engine.base.resident import Adapter, Proof, ResidentBase
from studio.engine.device import named_errors
from studio.engine.lora.inject import MakeRoom, WantedLora, admit
from studio.engine.lora.probe import read_probe, relative_change
from studio.engine.lora.prove import Survey, lora_state, survey
from studio.engine.lora.slot import (
    Found,
    Place,
    Setting,
    differences,
    read_switched,
    slots_of,
    switch_on,
)
from studio.errors import ContractBroken, LoraRefused


@dataclass(frozen=True, slots=True)
class LoraSet:
    """The set as it is switched on, with what was measured of it.

    Attributes:
        settings: where which LoRA must be on, and how.
        resident: SHA-256 of the LoRAs that were in memory before this run.
        effect: of the whole set; None if it is empty.
        alone: SHA-256 → the effect of that LoRA by itself, where there are several.
    """

    wanted: tuple[WantedLora, ...]
    settings: Mapping[Place, Setting]
    resident: frozenset[str]
    proof: BaseProof
    effect: float | None
    alone: Mapping[str, float]


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
            proof = _prove_base(base, wanted, found)
            alone = _alone(base, wanted, found.slots)
            _switch(base, wanted, found.slots)
            effect = _effect(base, wanted, found.slots) if wanted else None
        done = True
    finally:
        if not done:
            switch_on(found.slots, {})
    return LoraSet(tuple(wanted), _settings(base, wanted), resident, proof, effect, alone)


def receipts(base: ResidentBase, loras: LoraSet) -> tuple[LoraReceipt, ...]:
    """Each LoRA as the modules hold it now, by slug.

    Raises:
        ContractBroken: a module holds another LoRA or another scale than was set.
    """
    found = read_switched(slots_of(base.pipeline))
    _demand(found, loras.settings)
    lines = []
    for lora in sorted(loras.wanted, key=lambda lora: lora.slug):
        adapter = base.adapters[lora.sha256]
        lines.append(
            LoraReceipt(
                slug=lora.slug,
                sha256=lora.sha256,
                strength=_strength(lora, adapter, found),
                resident=lora.sha256 in loras.resident,
                components=_components(adapter, found),
                waived=tuple(sorted(adapter.waived)),
                effect=loras.alone.get(lora.sha256),
            )
        )
    return tuple(lines)


def _strength(lora: WantedLora, adapter: Adapter, found: Mapping[Place, Setting]) -> float:
    """The one that the modules hold: the wanted one, else the one that is farthest from it."""
    held = [setting.strength for place, setting in found.items() if place.lora == adapter.name]
    return max(held, key=lambda value: abs(value - lora.strength))


def _components(adapter: Adapter, found: Mapping[Place, Setting]) -> tuple[ComponentReceipt, ...]:
    lines = []
    for component in sorted({component for component, _ in adapter.scales}):
        at_work = [
            setting.effective
            for place, setting in found.items()
            if (place.component, place.lora) == (component, adapter.name)
        ]
        lines.append(
            ComponentReceipt(
                component=component,
                targeted=sum(1 for c, _ in adapter.scales if c == component),
                applied=len(at_work),
                scale_min=min(at_work),
                scale_max=max(at_work),
            )
        )
    return tuple(lines)


def _refuse_twice(wanted: Sequence[WantedLora]) -> None:
    for index, lora in enumerate(wanted):
        if any(other.sha256 == lora.sha256 for other in wanted[:index]):
            text = "Another LoRA of this run is the same file."
            raise LoraRefused(lora.slug, (text,), "Choose it once, with the strength you want.")


def _settings(base: ResidentBase, wanted: Sequence[WantedLora]) -> dict[Place, Setting]:
    settings = {}
    for lora in wanted:
        adapter = base.adapters[lora.sha256]
        for (component, module), scale in adapter.scales.items():
            settings[Place(component, module, adapter.name)] = Setting(lora.strength, scale)
    return settings


def _demand(found: Mapping[Place, Setting], wanted: Mapping[Place, Setting]) -> None:
    if found != wanted:
        wrong = differences(found, wanted)
        raise ContractBroken(
            f"The LoRAs at work are not the plan's: {' '.join(wrong[:3])}",
            "Run it again; report it if it happens twice.",
        )


def _prove_base(base: ResidentBase, wanted: Sequence[WantedLora], found: Survey) -> BaseProof:
    """With every LoRA off, the base computes what it did when it was loaded, to the bit.

    Measured with one call of the probe, or carried over: LoRAs are put around the base's
    modules and never fused, so a proof holds while no weight of the base is replaced or
    written. A run without LoRAs is the arm that others are compared with: it carries over no
    proof that is older than a LoRA's coming, going or being switched on.

    Raises:
        ContractBroken: it does not; ``base.spoiled`` is set.
    """
    proof = base.proof
    fresh = proof is None or proof.state != found.base
    if proof is not None and not wanted:
        fresh = fresh or proof.touched or bool(read_switched(found.slots))
    if fresh:
        base.proof = None
        switch_on(found.slots, {})
        digest = read_probe(base.family, base.pipeline).digest
        if digest != base.loaded.digest:
            base.spoiled = "its output without LoRAs has changed"
            raise ContractBroken(
                f"With every LoRA off, {base.label} is not bit-identical to the base as loaded.",
                "The base was dropped from memory; run it again and it is loaded anew.",
            )
        # Looked through anew: offloading moves weights with every call.
        proof = base.proof = Proof(survey(base.pipeline).base, digest)
    assert proof is not None
    return BaseProof(loaded=base.loaded.digest, now=proof.digest, fresh=fresh)


def _switch(base: ResidentBase, wanted: Sequence[WantedLora], slots: Sequence[Found]) -> None:
    """Have exactly these LoRAs on, added up in this order, and read it back."""
    if wanted:
        base.touch()
    switch_on(slots, {base.adapters[lora.sha256].name: lora.strength for lora in wanted})
    _demand(read_switched(slots), _settings(base, wanted))


def _alone(
    base: ResidentBase, wanted: Sequence[WantedLora], slots: Sequence[Found]
) -> dict[str, float]:
    """The effect of each LoRA that is on, by itself: beside another, one that changes nothing
    would not be seen. A single one is its set.

    Raises:
        LoraRefused: one changes nothing, or makes numbers that are not finite.
    """
    if len(wanted) < 2:
        return {}
    found = {}
    for lora in wanted:
        if lora.strength:
            _switch(base, (lora,), slots)
            found[lora.sha256] = _effect(base, (lora,), slots)
    return found


def _effect(base: ResidentBase, wanted: Sequence[WantedLora], slots: Sequence[Found]) -> float:
    """What the set changes in the probe's output, measured once for each state.

    Raises:
        LoraRefused: nothing, or it makes numbers that are not finite.
    """
    assert base.proof is not None  # made or found good in this same call
    state = (base.proof.state, lora_state(slots))
    known = base.effects.get(state)
    if known is not None:
        return known
    with_loras = read_probe(base.family, base.pipeline)
    slugs = ", ".join(lora.slug for lora in wanted if lora.strength)
    if not with_loras.finite:
        text = "With it the denoiser computes numbers that are not finite."
        raise LoraRefused(slugs, (text,), "Lower its strength, or use another dtype.")
    effect = relative_change(with_loras, base.loaded)
    if effect == 0 and slugs:
        raise LoraRefused(
            slugs,
            ("It is loaded in full, and at this strength it changes nothing.",),
            "Raise its strength, or leave it out.",
        )
    base.remember_effect(state, effect)
    return effect
