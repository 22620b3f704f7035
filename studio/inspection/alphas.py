"""Where a layer's alpha is said: in an ``.alpha`` tensor, or in diffusers' metadata."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from studio.inspection.claims import adapter_settings
from studio.inspection.lora_module import LoraModule
from studio.inspection.lora_tensors import Layer

Pair = tuple[Layer, LoraModule]


def with_alphas(
    modules: Sequence[Pair], metadata: Mapping[str, str], alphas: Mapping[str, float]
) -> list[LoraModule]:
    """The modules with what is known of their alphas.

    Args:
        metadata: the header's, for diffusers' ``lora_adapter_metadata``.
        alphas: values read from the file by tensor name.
    """
    settings = adapter_settings(metadata, {module.component for _, module in modules})
    known = []
    for layer, module in modules:
        tensor = layer.tensors.get("alpha")
        if tensor is not None:
            update: dict[str, Any] = {"alpha": alphas.get(tensor)}
        else:
            update = _configured(module.name, settings.get(module.component, {}))
        known.append(module.model_copy(update=update) if update else module)
    return known


def _configured(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What peft's LoraConfig says of one layer.

    peft reads the keys of ``alpha_pattern`` as regular expressions that end the name
    (``get_pattern_key``). A stranger's expressions are not run here: plain names are compared,
    and with anything else the alpha is left unknown.
    """
    if not _is_number(settings.get("lora_alpha")):
        return {}
    update: dict[str, Any] = {"alpha_in_file": True, "alpha": float(settings["lora_alpha"])}
    update["rslora"] = settings.get("use_rslora") is True
    pattern = settings.get("alpha_pattern")
    for key, value in pattern.items() if isinstance(pattern, dict) else ():
        plain = key.removeprefix("^")
        if not re.fullmatch(r"[\w.]+", plain) or not _is_number(value):
            return update | {"alpha": None}
        if name == plain or (plain == key and name.endswith("." + plain)):
            return update | {"alpha": float(value)}
    return update


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and -1e9 < value < 1e9  # type: ignore[operator]
