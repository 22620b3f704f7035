"""What a file's header says of its adapter: diffusers writes peft's configuration into it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from studio.inspection.claims import adapter_settings, read_json, stray_settings
from studio.inspection.header import ADAPTER_METADATA
from studio.inspection.lora_module import LoraModule

_NAMED = 3
_NAME = re.compile(r"\^?[\w.]+")
"""A pattern that is a module's name; a stranger's expressions are not run."""

# Fields of peft's LoraConfig that say where and how it was trained, not what a layer computes.
_TOLD = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
    }
)
# Fields that are followed, or held against the tensors.
_FOLLOWED = frozenset(
    {"alpha_pattern", "lora_alpha", "lora_bias", "r", "rank_pattern", "use_dora", "use_rslora"}
)
# Values that leave plain LoRA layers: these start the factors somewhere, and others (olora,
# pissa, corda) change the base's own weights too. Any other field, a future peft's too, must be
# off.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, "gaussian", "eva", "orthogonal"),
}
# Options that show in the layers' own tensors: asked for, they must be there.
_SEEN = (("use_dora", "dora"), ("lora_bias", "bias"))


def with_alphas(
    modules: Sequence[LoraModule], metadata: Mapping[str, str], alphas: Mapping[str, float]
) -> list[LoraModule]:
    """The modules with what is known of their alphas.

    Args:
        metadata: the header's, for diffusers' ``lora_adapter_metadata``.
        alphas: values read from the file by tensor name.
    """
    settings = adapter_settings(metadata, {module.component for module in modules})
    known = []
    for module in modules:
        tensor = module.tensors.get("alpha")
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
        if not _NAME.fullmatch(key) or not _is_number(value):
            return update | {"alpha": None}
        if _ends(key, name):
            return update | {"alpha": float(value)}
    return update


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and -1e9 < value < 1e9  # type: ignore[operator]


def config_problems(
    modules: Sequence[LoraModule], style: str, metadata: Mapping[str, str]
) -> tuple[str, ...]:
    """Where the header contradicts the tensors or asks for more than plain LoRA layers.

    Args:
        style: whose names the file has, as ``LoraInspection.format``.

    Returns:
        Sentences that name the field and its value; empty where there is no such header.
    """
    if ADAPTER_METADATA not in metadata:
        return ()
    if not isinstance(read_json(metadata, ADAPTER_METADATA), dict):
        return ("The adapter metadata in its header is not an object.",)
    if style == "kohya":
        return ("It has kohya's names and peft's adapter metadata: its alpha is ambiguous.",)
    components = {module.component for module in modules}
    strays = stray_settings(metadata, components)
    if strays:
        names = ", ".join(repr(key[:80]) for key in strays[:_NAMED])
        more = f" and {len(strays) - _NAMED} more" if len(strays) > _NAMED else ""
        text = f"The adapter metadata in its header speak of no part it changes: {names}{more}."
        return (text,)
    found = (
        (component, _problem(fields, [m for m in modules if m.component == component]))
        for component, fields in adapter_settings(metadata, components).items()
    )
    return tuple(f"Its header asks for {what} in the {part}." for part, what in found if what)


def _problem(fields: Mapping[str, Any], modules: Sequence[LoraModule]) -> str:
    for key, value in fields.items():
        known = key in _TOLD or key in _FOLLOWED
        if value and not known and value not in _PLAIN.get(key, ()):
            return f"{key[:80]}={repr(value)[:80]}"
    for module in modules:
        for key, attribute in _SEEN:
            if fields.get(key) and not getattr(module, attribute):
                return f"{key}={fields[key]!r}, and {module.name} has no such tensors,"
        rank = _rank(fields, module.name)
        if rank is not None and rank != module.rank:
            return f"rank {rank!r} where {module.name} has {module.rank}"
    return _strange_pattern(fields, [module.name for module in modules])


def _rank(fields: Mapping[str, Any], name: str) -> object:
    """peft's rule: the first key of ``rank_pattern`` that ends the module's name, else ``r``."""
    patterns = fields.get("rank_pattern")
    for key, value in patterns.items() if isinstance(patterns, dict) else ():
        if _ends(key, name):
            return value
    return fields.get("r")


def _strange_pattern(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """A pattern that fits no layer says something of a layer that is called otherwise."""
    for field in ("alpha_pattern", "rank_pattern"):
        patterns = fields.get(field) or {}
        if not isinstance(patterns, dict):
            return f"{field}={patterns!r}"
        for key in patterns:
            if not _NAME.fullmatch(key):
                return f"the {field} {key[:40]!r}, which is not a module's name,"
            if not any(_ends(key, name) for name in names):
                return f"the {field} {key[:80]!r}, which fits none of its layers,"
    return ""


def _ends(key: str, name: str) -> bool:
    plain = key.removeprefix("^")
    return name == plain or (plain == key and name.endswith("." + plain))
