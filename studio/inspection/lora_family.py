"""The family of a LoRA's layers, by what the rules see of them: names and widths alone."""

import re
from collections.abc import Sequence
from dataclasses import replace

from studio.architecture.families import RULES, TEXT_RULES
from studio.architecture.layer_names import FUSED
from studio.inspection.decompositions import Decomposition
from studio.inspection.lora_module import LoraModule
from studio.inspection.lora_tensors import Layer
from studio.inspection.verdict import UNKNOWN, FamilyVerdict, Measure, judge

Pair = tuple[Layer, LoraModule]
"""A layer as its tensors are named, and as it was measured."""


def family_verdict(modules: Sequence[Pair]) -> FamilyVerdict:
    """The tensors' verdict; nothing the file says of itself has a part in it."""
    verdict = judge(RULES, denoiser_measures([module for _, module in modules])) or judge(
        TEXT_RULES, _text_measures(modules)
    )
    if verdict is None:
        return FamilyVerdict(UNKNOWN, None, "Its layers are named as in no family known here.")
    return verdict


def names_known(modules: Sequence[Pair]) -> bool:
    """Whether a layer is called as in some family, whatever its widths."""
    denoiser = denoiser_measures([module for _, module in modules])
    return any(
        re.search(rule.pattern, layer.name)
        for rules, layers in ((RULES, denoiser), (TEXT_RULES, _text_measures(modules)))
        for rule in rules
        for layer in layers
    )


def denoiser_measures(modules: Sequence[LoraModule]) -> list[Measure]:
    """The layers of the denoiser as the rules see them; none where text encoders alone change."""
    return [
        _apart(Measure(_flat(module.name), module.in_features, module.out_features))
        for module in modules
        if not _reads_text(module) and module.decomposition is not Decomposition.NORM
    ]


def _apart(layer: Measure) -> Measure:
    """The first of the layers that a fused one stands for, which the rules know."""
    for line in FUSED:
        if layer.name.endswith(f"_{line.theirs}"):
            name = layer.name.removesuffix(line.theirs) + line.ours[0]
            return replace(layer, name=name, gives=layer.gives // len(line.ours))
    return layer


def _text_measures(modules: Sequence[Pair]) -> list[Measure]:
    return [
        Measure(_flat(_encoder(layer) + module.name), module.in_features, module.out_features)
        for layer, module in modules
        if _reads_text(module) and module.decomposition is not Decomposition.NORM
    ]


def _reads_text(module: LoraModule) -> bool:
    return module.component.startswith("text_encoder")


def _encoder(layer: Layer) -> str:
    """How the rules know which text encoder it is: by kohya's prefix, which says more than its
    number, or by diffusers' name; a bare name says neither."""
    return layer.prefix if layer.style in ("kohya", "bare") else f"{layer.component}."


def _flat(name: str) -> str:
    """A name as the rules see it; the first diffusers LoRAs went through ``processor``."""
    return name.replace(".processor.to_", ".to_").replace(".", "_")
