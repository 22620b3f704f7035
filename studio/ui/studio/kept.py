"""The form as a browser keeps it: there again after a reload and a restart of the studio."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from studio.architecture import TRAITS, Mode
from studio.architecture.pipelines import schedulers_for
from studio.contract.placement import Dtype
from studio.contract.request import (
    GenerationRequest,
    LoraChoice,
    PromptEncoder,
    ReferenceImage,
)
from studio.contract.settings import BY_NAME, MAX_LORAS, MAX_STRENGTH
from studio.presets import Catalog
from studio.ui.html import icons
from studio.ui.html.tags import EMPTY, Html, span, tag
from studio.ui.studio.form import (
    COUNTED,
    Values,
    preset_strength,
    strengths,
    with_loras,
    write_request,
)
from studio.ui.studio.start import Start

MOST_PHRASES = 1000
"""Trigger phrases that are not used, of all rows together."""
LONGEST = 80
"""Characters of a lost value that are shown."""
_NUMBERS = frozenset(name for name, each in BY_NAME.items() if each.kind.is_number) | set(COUNTED)


def defaults(catalog: Catalog) -> dict[str, Any]:
    """What a newcomer's form says."""
    start = Start.of(catalog)
    if start.base is None:
        return {}
    chosen = tuple(LoraChoice(slug=slug) for slug in start.chosen)
    request = GenerationRequest(
        base=start.base, mode=start.mode, prompt=start.prompt, loras=chosen, seed=0
    )
    return {**write_request(request, catalog), "said": (), "seed": None, "drawn": 0}


def kept(values: Values) -> dict[str, Any]:
    """What of the form is worth keeping: all but the seed that was drawn."""
    return {name: value for name, value in values.items() if name != "drawn"}


def restore(found: Any, catalog: Catalog) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The form of ``found``, which a browser kept and anybody can have written; and each value
    that is not valid any more, in whose place the default stands."""
    values = defaults(catalog)
    if not isinstance(found, Mapping) or not values:
        return values, ()
    lost = []
    known = {name: found[name] for name in values if name in found and name != "drawn"}
    base = known.get("base", values["base"])
    base = base if base in catalog.models else values["base"]
    for name, value in known.items():
        if _is_valid(name, value, values[name], base, catalog):
            values[name] = tuple(value) if isinstance(value, list) else value
        else:
            lost.append(f"{_label(name)}: {_short(value)}")
    numbers = strengths(values)
    for at, slug in enumerate(values["chosen"]):
        preset = catalog.loras.get(slug)
        low, high = preset.settings.strengths if preset else (0.0, MAX_STRENGTH)
        if not low <= numbers[at] <= high:  # a slider takes nothing beyond its ends
            lost.append(f"strength of {slug}: {numbers[at]:g}")
            numbers[at] = preset_strength(slug, catalog)
    return with_loras(values, values["chosen"], numbers), tuple(lost)


def _is_valid(name: str, value: Any, default: Any, base: str, catalog: Catalog) -> bool:
    if name in _NUMBERS:
        return value is None or _is_number(value)
    if name.startswith("strength"):
        return _is_number(value)
    if name == "references":
        return isinstance(value, list) and all(_is_reference(each) for each in value)
    if isinstance(default, tuple | list):
        texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if name == "finer" and texts and not all(map(_is_finer, value)):
            return False
        return texts and len(value) <= (MOST_PHRASES if name == "unused" else MAX_LORAS)
    flow = TRAITS[catalog.models[base].base_architecture].flow_matching
    offered: dict[str, tuple[str, ...]] = {
        "base": tuple(catalog.models),
        "mode": tuple(Mode),
        "scheduler": ("", *schedulers_for(flow)),
        "precision": ("", *Dtype),
        "prompt_encoder": tuple(PromptEncoder),
    }
    return value in offered[name] if name in offered else type(value) is type(default)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_finer(text: str) -> bool:
    slug, _, said = text.partition(" ")
    try:
        return bool(LoraChoice.parse(f"{slug}:{said}").finer)
    except ValueError:
        return False


def _is_reference(value: Any) -> bool:
    try:
        ReferenceImage.model_validate(value)
    except ValidationError:
        return False
    return True


def _label(name: str) -> str:
    setting = BY_NAME.get(name)
    return COUNTED.get(name, name.replace("_", " ")) if setting is None else setting.label


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def account(lost: tuple[str, ...]) -> Html:
    """Above the form: which of the values that were kept are not there any more."""
    if not lost:
        return EMPTY
    line = "Your last form is back, except for values that are no longer available: "
    return tag(
        "p",
        icons.NOTICE,
        span("", line, "; ".join(lost), "."),
        class_="ls-earlier",
        role="status",
    )
