"""What the modules hold of a run's LoRAs, read back for its receipt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from studio.architecture import TRAITS
from studio.contract.base import fingerprint
from studio.contract.receipt import ComponentReceipt, LoraReceipt, PartReceipt, RangeReceipt
from studio.engine.base.resident import Adapter, ResidentBase
from studio.engine.lora.inject import WantedLora
from studio.engine.lora.schedule import HeldRange
from studio.engine.lora.slot import LoraPlace, Multiplier, demand, read_switched, slots_of
from studio.engine.lora.switch import Effect, LoraSet


def receipts(
    base: ResidentBase, loras: LoraSet, ranges: Sequence[HeldRange] = ()
) -> tuple[LoraReceipt, ...]:
    """Each LoRA as the modules hold it now, by slug; of LoRAs that came and went, as they held it.

    Args:
        ranges: what was read back at each change.

    Raises:
        ContractBroken: a module holds another LoRA or another scale than was set.
    """
    now = {} if ranges else read_switched(slots_of(base.pipeline))
    if not ranges:
        demand(now, loras.settings)
    lines = []
    for lora in sorted(loras.wanted, key=lambda lora: lora.slug):
        adapter = base.adapters[lora.sha256]
        found = _while_on(lora, ranges) if ranges else now
        alone = loras.alone.get(lora.sha256, Effect())
        held = _by_part(base, lora, found)
        lines.append(
            LoraReceipt(
                slug=lora.slug,
                sha256=lora.sha256,
                strength=_farthest(lora.strength, held[""]),
                resident=lora.sha256 in loras.resident,
                components=_components(adapter, found),
                waived=tuple(sorted(adapter.waived)),
                effect=alone.whole,
                layer_effect=alone.layers,
                parts=tuple(_parts(lora, held)),
                ranges=tuple(_range(base, adapter, each) for each in ranges),
            )
        )
    return tuple(lines)


def _while_on(lora: WantedLora, ranges: Sequence[HeldRange]) -> Mapping[LoraPlace, Multiplier]:
    first = lora.steps[0] if lora.steps else 1
    return next(each.found for each in ranges if each.first >= first)


def _range(base: ResidentBase, adapter: Adapter, held: HeldRange) -> RangeReceipt:
    scales = [
        setting.effective
        for place, setting in held.found.items()
        if (place.component, place.lora) == (base.denoiser, adapter.name)
    ]
    return RangeReceipt(
        first_step=held.first,
        last_step=held.last,
        applied=sum(1 for scale in scales if scale),
        scale_min=min(scales, default=0.0),
        scale_max=max(scales, default=0.0),
    )


def switched_sha256(
    base: ResidentBase, loras: LoraSet, ranges: Sequence[HeldRange] = ()
) -> str | None:
    """SHA-256 of what is on, module by module and in the order in which it is added; of LoRAs
    that came and went, of each range's; None without a LoRA."""
    if not loras.wanted:
        return None
    names = {base.adapters[lora.sha256].name: lora.sha256 for lora in loras.wanted}
    if ranges:
        of_each = [[each.first, each.last, _switched(names, each.found)] for each in ranges]
        return fingerprint(of_each)
    return _switched(names, read_switched(slots_of(base.pipeline)))


def _switched(names: Mapping[str, str], found: Mapping[LoraPlace, Multiplier]) -> str:
    lines = [
        (place.component, place.module, names[place.lora], *setting)
        for place, setting in found.items()
    ]
    # Stable: LoRAs of one module keep their order, in which floats are added up.
    return fingerprint(sorted(lines, key=lambda line: line[:2]))


def _farthest(wanted: float, held: Sequence[Multiplier]) -> float:
    """The strength that modules hold: the wanted one, else the one that is farthest from it."""
    found = (setting.strength for setting in held)
    return max(found, key=lambda value: abs(value - wanted), default=wanted)


def _by_part(
    base: ResidentBase, lora: WantedLora, found: Mapping[LoraPlace, Multiplier]
) -> dict[str, list[Multiplier]]:
    """Part with a strength of its own → what its modules hold; those of no such part under ""."""
    name, part_of = base.adapters[lora.sha256].name, TRAITS[base.architecture].part_of
    held: dict[str, list[Multiplier]] = {"": [], **{part: [] for part in lora.parts}}
    for place, setting in found.items():
        if place.lora == name:
            part = part_of(place.component, place.module) or ""
            held[part if part in lora.parts else ""].append(setting)
    return held


def _parts(lora: WantedLora, held: Mapping[str, Sequence[Multiplier]]) -> Iterator[PartReceipt]:
    for part, strength in lora.parts.items():
        at_work = [setting.effective for setting in held[part]]
        yield PartReceipt(
            part=part,
            strength=_farthest(strength, held[part]),
            applied=len(at_work),
            scale_min=min(at_work, default=0.0),
            scale_max=max(at_work, default=0.0),
        )


def _components(
    adapter: Adapter, found: Mapping[LoraPlace, Multiplier]
) -> tuple[ComponentReceipt, ...]:
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
