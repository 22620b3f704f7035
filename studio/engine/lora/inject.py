"""How a LoRA file becomes resident: read, match, build, inject, check; and what if one fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from studio.engine.base.folder import Pipeline, components_of
from studio.engine.base.resident import Adapter, ResidentBase
from studio.engine.device import named_errors
from studio.engine.lora.build import Built, build
from studio.engine.lora.match import fit_to_base
from studio.engine.lora.probe import read_probe
from studio.engine.lora.prove import resident_state
from studio.engine.lora.read import read_lora
from studio.engine.lora.slot import LoraSlot, replace_module, slot_at, slots_of, switch_on
from studio.errors import LoraRefused, StudioError

MakeRoom = Callable[[int, ResidentBase, frozenset[str]], None]
_WAY_OUT = "Use another file of this LoRA; what cannot be applied in full is not used."


@dataclass(frozen=True, slots=True)
class WantedLora:
    """One LoRA a run wants: the file that must have this SHA-256, and its strength.

    Attributes:
        parts: part of the base → the strength there, where it is another one.
        steps: the first and the last in which it is on in the denoiser; None is all.
        waived: what of the file has no place in the base, as the plan says; exactly that
            may be left out.
    """

    slug: str
    sha256: str
    strength: float
    path: Path
    waived: frozenset[str] = frozenset()
    parts: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[int, int] | None = None


def admit(
    base: ResidentBase, lora: WantedLora, needed: frozenset[str], make_room: MakeRoom
) -> None:
    """Make one LoRA resident, switched off.

    Everything that can be wrong with the file is found before the pipeline is touched. On
    failure the pipeline is as it was before, or ``base.spoiled`` is set.

    Args:
        needed: SHA-256 of all LoRAs of the run, which must not be evicted for this one.

    Raises:
        LoraRefused, WeightsError, OutOfMemory, DeviceError.
    """
    file = read_lora(lora.slug, lora.path, lora.sha256)
    targets = fit_to_base(file, base.pipeline, base.architecture, lora.waived)
    layers = build(lora.slug, targets, base.dtype)
    make_room(_bytes(layers), base, needed)
    name = f"studio_{lora.sha256}"
    base.touch()
    base.spoiled = "a LoRA that failed to load has changed it"
    try:
        size = _inject(base, lora, name, layers)
    except BaseException as error:
        _roll_back(base, name, error)
        raise
    base.spoiled = None
    base.adapters[lora.sha256] = Adapter(
        name=name,
        scales={(built.component, built.module): built.scale for built in layers},
        size=size,
        waived=lora.waived,
    )


def _bytes(layers: Sequence[Built]) -> int:
    sizes = {part.data_ptr(): part.nbytes for built in layers for part in built.weights}
    return sum(sizes.values())


def _inject(base: ResidentBase, lora: WantedLora, name: str, layers: Sequence[Built]) -> int:
    others = [adapter.name for adapter in base.adapters.values()]
    before = resident_state(slots_of(base.pipeline), others)
    with named_errors(base.device, f"the LoRA {lora.slug}"):
        size = inject(base.pipeline, name, layers, base.device)
    problems = list(check_weights(base.pipeline, name, layers))
    if resident_state(slots_of(base.pipeline), others) != before:
        problems.append("Loading it changed another resident LoRA.")
    if problems:
        shown = problems[:3]
        if len(problems) > 3:
            shown.append(f"{len(problems) - 3} more findings.")
        raise LoraRefused(lora.slug, tuple(shown), _WAY_OUT)
    return size


def _roll_back(base: ResidentBase, name: str, error: BaseException) -> None:
    """``base.spoiled`` is lifted once the base is proven to be itself, and not before; what goes
    wrong here is noted on ``error``, which is the one to tell."""
    try:
        with named_errors(base.device, "taking the LoRA out again"):
            remove(base.pipeline, name)
            switch_on(slots_of(base.pipeline), {})
            digest = read_probe(base.family, base.pipeline).digest
    except (StudioError, RuntimeError, ValueError, LookupError) as further:
        error.add_note(f"Taking the LoRA out again failed too: {further}")
        return
    if digest == base.loaded.digest:
        base.spoiled = None


def inject(pipeline: Pipeline, name: str, layers: Sequence[Built], device: torch.device) -> int:
    """Put ``layers`` into slots for the base's modules as the LoRA ``name``, switched off.

    Nothing of the pipeline is touched until all weights are on the device; then only
    attributes are set.

    Returns:
        Bytes of the LoRA's weights.
    """
    moved: dict[int, torch.Tensor] = {}
    for built in layers:
        for weight in built.delta.parameters():
            known = weight.data_ptr()
            # Parts of a fused layer share a tensor, and go on sharing it.
            if known not in moved:
                moved[known] = weight.data.to(device, copy=True)
            weight.data = moved[known]
    models = components_of(pipeline)
    for built in layers:
        slot = slot_at(models[built.component], built.module)
        slot.deltas[name] = built.delta
        slot.scales[name] = built.scale
    return sum(weight.nbytes for weight in moved.values())


def check_weights(pipeline: Pipeline, name: str, layers: Sequence[Built]) -> tuple[str, ...]:
    """Compare what is injected as ``name`` with what was built: places, weights, scale."""
    found = {(c, m): slot for c, m, slot in slots_of(pipeline) if name in slot.deltas}
    wanted = {(built.component, built.module): built for built in layers}
    lines = [f"{c}.{m} was not injected." for c, m in sorted(wanted.keys() - found.keys())]
    lines += [f"{c}.{m} was injected too." for c, m in sorted(found.keys() - wanted.keys())]
    for place in sorted(wanted.keys() & found.keys()):
        problem = _compare(found[place], name, wanted[place])
        if problem:
            lines.append(f"{place[0]}.{place[1]}: {problem}")
    return tuple(lines)


def _compare(slot: LoraSlot, name: str, built: Built) -> str:
    parts = tuple(slot.delta(name).parameters())
    if len(parts) != len(built.weights):
        return f"it has {len(parts)} tensors, not {len(built.weights)}."
    for part, expected in zip(parts, built.weights, strict=True):
        if part.shape != expected.shape or not torch.equal(part.detach().cpu(), expected):
            return "its weights are not the file's."
    if slot.scales[name] != built.scale:
        return f"its scale is {slot.scales[name]:g}, the file says {built.scale:g}."
    return ""


def remove(pipeline: Pipeline, name: str) -> None:
    """Take the LoRA out, wherever it is; a module without any more gets its place back."""
    models = components_of(pipeline)
    for component, module, slot in list(slots_of(pipeline)):
        if name in slot.deltas:
            del slot.deltas[name]
        slot.scales.pop(name, None)
        slot.strengths.pop(name, None)
        if not slot.deltas:
            replace_module(models[component], module, slot.base)
