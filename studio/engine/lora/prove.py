"""Whether a base is still itself: what its output depends on, as short digests, and the proof.

Tensors are known by address and version counter, which every write in place raises. A write
through ``.data`` escapes the counter, and no code here makes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from studio.contract.receipt import BaseProof
from studio.engine.base.folder import Pipeline, components_of
from studio.engine.base.offload import kept_weight
from studio.engine.base.resident import Proof, ResidentBase
from studio.engine.lora.probe import read_probe
from studio.engine.lora.slot import (
    FoundSlot,
    LoraSlot,
    is_slot,
    modules_of,
    read_switched,
    switch_on,
)
from studio.errors import ContractBroken


@dataclass(frozen=True, slots=True)
class Survey:
    """One look through a pipeline, which costs most of a switch.

    Attributes:
        base: changes when a weight of the denoiser or a text encoder is replaced or written.
            LoRAs that come, go or are switched do not change it.
        slots: every one; the same until a LoRA comes or goes.
    """

    base: str
    slots: tuple[FoundSlot, ...]


def survey(pipeline: Pipeline) -> Survey:
    """The base's state and its slots, as the modules are now."""
    slots: list[FoundSlot] = []
    known: list[tuple[int, int]] = []
    for component, model in components_of(pipeline).items():
        for name, module in modules_of(model):
            if is_slot(module):
                slots.append(FoundSlot(component, name, module))
                known += _known(_own(module.base))
            else:
                known += _known(_own(module))
    return Survey(_digest(known), tuple(slots))


def lora_state(slots: Iterable[FoundSlot]) -> str:
    """Changes when another set of LoRAs is at work, at other scales or with other weights.

    Args:
        slots: all of a pipeline's.
    """
    return _digest(
        (component, module, name, strength * slot.scales[name], *_known(_weights(slot, name)))
        for component, module, slot in slots
        for name, strength in slot.strengths.items()
    )


def resident_state(slots: Iterable[FoundSlot], names: Collection[str]) -> str:
    """Changes when a weight, a scale or the place of one of these LoRAs does; strengths do not
    matter.

    Args:
        slots: all of a pipeline's.
    """
    return _digest(
        (component, module, name, slot.scales[name], *_known(_weights(slot, name)))
        for component, module, slot in slots
        for name in names
        if name in slot.scales
    )


def _weights(slot: LoraSlot, name: str) -> Iterable[Tensor]:
    """As ``parameters``, which takes its time even where there is nothing inside."""
    delta = slot.delta(name)
    if delta._modules:
        return delta.parameters()
    return (weight for weight in delta._parameters.values() if weight is not None)


def _own(module: nn.Module) -> Iterator[Tensor]:
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None:
                yield kept_weight(module, name) if tensor.is_meta else tensor


def _known(tensors: Iterable[Tensor]) -> list[tuple[int, int]]:
    return [(tensor.data_ptr(), tensor._version) for tensor in tensors]


def _digest(parts: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()


def prove_base(base: ResidentBase, found: Survey, is_arm: bool) -> BaseProof:
    """With every LoRA off, the base computes what it did when it was loaded, to the bit.

    Measured with one call of the probe, or carried over: LoRAs are put around the base's
    modules and never fused, so a proof holds while no weight of the base is replaced or
    written.

    Args:
        is_arm: the run is without LoRAs, the arm that others are compared with: it carries over
            no proof that is older than a LoRA's coming, going or being switched on.

    Raises:
        ContractBroken: it does not; ``base.spoiled`` is set.
    """
    proof = base.proof
    fresh = proof is None or proof.state != found.base
    if proof is not None and is_arm:
        fresh = fresh or proof.touched or bool(read_switched(found.slots))
    if fresh:
        base.proof = None
        switch_on(found.slots, {})
        digest = read_probe(base.family, base.pipeline).digest
        if digest != base.loaded.digest:
            base.spoiled = "its output without LoRAs has changed"
            raise ContractBroken(
                f"With every LoRA off, {base.label} is not bit-identical to the base as loaded.",
                "The base was dropped from memory; run it again and it is loaded again.",
            )
        # Looked through anew: offloading moves weights with every call.
        proof = base.proof = Proof(survey(base.pipeline).base, digest)
    assert proof is not None
    return BaseProof(loaded=base.loaded.digest, now=proof.digest, fresh=fresh)
