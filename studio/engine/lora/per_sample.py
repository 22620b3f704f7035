"""A scale of its own for every picture of one call, in place of one scale for all.

peft's layers compute ``lora_B(lora_A(x)) * scaling``; a scaling that multiplies each sample by its
own number lets pictures with other strengths, or other LoRAs (at 0 where they are not), share a
call. What comes out differs from single calls by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from peft.tuners.lora import LoraLayer

from studio.engine.base.folder import Pipeline
from studio.engine.lora import injected
from studio.errors import ContractBroken

Scales = Mapping[injected.Place, float]


class PerSample:
    """One scale per sample of a batch; guidance may bring the batch several times over."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = tuple(values)
        self._shaped: dict[tuple[torch.device, torch.dtype, int, int], torch.Tensor] = {}

    def __rmul__(self, output: torch.Tensor) -> torch.Tensor:
        """``output`` (samples first) with each sample scaled.

        Raises:
            ContractBroken: its samples are not the batch's, once or several times over.
        """
        times, rest = divmod(output.shape[0], len(self.values))
        if rest or not times:
            raise ContractBroken(
                f"A layer computes {output.shape[0]} samples, and {len(self.values)} pictures "
                "share the call.",
                "Compare exactly: each cell is then a call of its own.",
            )
        key = (output.device, output.dtype, output.ndim, times)
        if key not in self._shaped:
            scales = torch.tensor(self.values, dtype=torch.float64).repeat(times)
            shape = (-1, *[1] * (output.ndim - 1))
            self._shaped[key] = scales.to(output.device, output.dtype).view(shape)
        return output * self._shaped[key]


@contextmanager
def scaled_per_sample(
    pipeline: Pipeline, denoiser: str, samples: Sequence[Scales]
) -> Iterator[None]:
    """Every LoRA of ``samples`` at work in the denoiser, each sample with its own scales; all
    off afterwards.

    Raises:
        ContractBroken: after the call a layer holds other scales than were set.
    """
    every = tuple(injected.lora_layers(pipeline))
    layers = {(part, module): layer for part, module, layer in every if part == denoiser}
    places = sorted({place for scales in samples for place in scales if place[0] == denoiser})
    wanted = {place: PerSample([scales.get(place, 0.0) for scales in samples]) for place in places}
    before = {place: layers[place[:2]].scaling[place[2]] for place in places}
    injected.activate(every, {})
    try:
        for place, scale in wanted.items():
            _switch_on(layers[place[:2]], place[2], scale)
        yield
        for place, scale in wanted.items():
            layer = layers[place[:2]]
            held = layer.scaling[place[2]] is scale and place[2] in layer.active_adapters
            if not held or layer.disable_adapters:
                raise ContractBroken(
                    f"{place[0]}.{place[1]} does not hold the scales that were set.",
                    "Run it again; report it if it happens twice.",
                )
    finally:
        for place, scaling in before.items():
            layers[place[:2]].scaling[place[2]] = scaling
        injected.activate(every, {})


def _switch_on(layer: LoraLayer, name: str, scale: PerSample) -> None:
    active = [] if layer._disable_adapters else list(layer._active_adapter)
    layer._active_adapter = [*active, name]
    layer._disable_adapters = False
    layer.scaling[name] = scale
