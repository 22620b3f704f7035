"""The only mapping between the page's components and a GenerationRequest."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.contract.request import (
    DRAWN,
    SEED_LIMIT,
    GenerationRequest,
    LoraChoice,
    Overrides,
    PromptEncoder,
    ReferenceImage,
)
from studio.contract.settings import MAX_LORAS, SETTINGS, Setting, SettingKind
from studio.contract.violations import NotWhole
from studio.presets import DEFAULT_STRENGTH, Catalog
from studio.recall.request import of_plan

Values = Mapping[str, Any]
"""Field name → the component's value, as the browser sent it."""


@dataclass(frozen=True, slots=True)
class Form:
    """The request's components. ``chosen``, ``said``, ``unused``, ``finer`` and ``drawn`` are
    states, the rest is seen.

    Attributes:
        chosen: slugs of the chosen LoRAs, in the order of the strength sliders.
        said: those of them whose strength is the user's even where it equals the preset's.
        unused: ``SLUG PHRASE`` of each of their trigger phrases that is not used.
        finer: ``SLUG te=0.4:…`` of each of them that has more than its one strength.
        ons: beside each slider, whether its LoRA takes part.
        partials: beside each slider, whether what does not fit may be left out.
        references: the reference images, as JSON-ready objects.
        settings: each setting's field, by its name.
        drawn: the seed that is used while the seed field is blank.
    """

    base: gr.Dropdown
    chosen: gr.State
    said: gr.State
    unused: gr.State
    finer: gr.State
    strengths: tuple[gr.Slider, ...]
    ons: tuple[gr.Checkbox, ...]
    partials: tuple[gr.Checkbox, ...]
    references: gr.State
    mode: gr.Radio
    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    settings: Mapping[str, Component]
    seed: gr.Number
    drawn: gr.State
    count: gr.Number
    prompt_encoder: gr.Radio
    allow_cut: gr.Checkbox

    def fields(self) -> dict[str, Any]:
        """Field name → component; of each row, ``strength_0``, ``on_0`` and ``partial_0``."""
        several = ("strengths", "ons", "partials", "settings")
        named = {name: getattr(self, name) for name in self.__slots__ if name not in several}
        named |= self.settings
        named |= {f"strength_{n}": slider for n, slider in enumerate(self.strengths)}
        named |= {f"on_{n}": box for n, box in enumerate(self.ons)}
        return named | {f"partial_{n}": box for n, box in enumerate(self.partials)}

    def inputs(self) -> list[Any]:
        return list(self.fields().values())

    def values(self, sent: Sequence[Any]) -> dict[str, Any]:
        """What the browser sent for ``inputs()``, by field name."""
        return dict(zip(self.fields(), sent, strict=True))


def draw_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbelow(SEED_LIMIT)


def is_drawn(seed: float | None) -> bool:
    """Blank or, as elsewhere, -1: a seed is drawn."""
    return seed is None or seed == DRAWN


def read(values: Values, catalog: Catalog) -> GenerationRequest:
    """The request that the page's values say.

    A blank number is no override. A blank seed, or -1, is the drawn one. LoRAs that are off take
    no part. In a mode without LoRAs the chosen ones are set aside, and the reference images in
    every mode but the one that edits them, which the page says beside each.
    """
    mode = Mode(values["mode"])
    return GenerationRequest(
        base=values["base"],
        mode=mode,
        prompt=values["prompt"] or "",
        negative_prompt=values["negative_prompt"] or "",
        loras=_choices(values, catalog) if mode.takes_loras else (),
        references=_references(values) if mode is Mode.REFERENCE_EDIT else (),
        settings=Overrides.model_validate(
            {each.name: _typed(each, values[each.name]) for each in SETTINGS}
        ),
        prompt_encoder=_encoder(values["prompt_encoder"]),
        allow_cut=bool(values["allow_cut"]),
        seed=values["drawn"] if is_drawn(values["seed"]) else int(values["seed"]),
        count=1 if values["count"] is None else int(values["count"]),
    )


COUNTED = {"seed": "Seed", "count": "Images"}
"""Whole numbers that are no settings, and what the form calls them."""


def not_whole(values: Values) -> tuple[NotWhole, ...]:
    """Whole numbers with a fraction: named here, and never rounded."""
    fields = {
        each.name: (each.field, each.label) for each in SETTINGS if each.kind is SettingKind.INT
    }
    fields |= {name: (name, label) for name, label in COUNTED.items()}
    found = ((field, label, values[name]) for name, (field, label) in fields.items())
    return tuple(fraction(field, label, value) for field, label, value in found if _broken(value))


def _broken(value: float | None) -> bool:
    return value is not None and value != int(value)


def fraction(field: str, label: str, value: float) -> NotWhole:
    """The violation of a ``value`` that has a fraction."""
    below = math.floor(value)
    return NotWhole(field=field, name=label, value=value, below=below, above=below + 1)


def _references(values: Values) -> tuple[ReferenceImage, ...]:
    return tuple(ReferenceImage(**each) for each in values["references"])


def _encoder(value: str) -> PromptEncoder | None:
    """Compel is what a base has that can have it, so it need not be asked for."""
    return None if value == PromptEncoder.COMPEL else PromptEncoder(value)


def _typed(setting: Setting, value: Any) -> Any:
    """What a field holds; a blank one is no override."""
    if value in (None, ""):
        return None
    return int(value) if setting.kind is SettingKind.INT else value


def _choices(values: Values, catalog: Catalog) -> tuple[LoraChoice, ...]:
    return tuple(
        finer_of(slug, values).model_copy(
            update={
                "strength": _strength(slug, n, values, catalog),
                "allow_partial": bool(values[f"partial_{n}"]),
                "phrases": chosen_phrases(slug, values, catalog),
            }
        )
        for n, slug in enumerate(values["chosen"])
        if values[f"on_{n}"]
    )


def _strength(slug: str, number: int, values: Values, catalog: Catalog) -> float | None:
    """None where the slider stands where the preset put it, unless the user said that number."""
    value = values[f"strength_{number}"]
    if value is None:
        return None
    presets_own = value == preset_strength(slug, catalog) and slug not in values["said"]
    return None if presets_own else float(value)


def finer_of(slug: str, values: Values) -> LoraChoice:
    """What the row says besides its one strength."""
    said = dict(each.split(" ", 1) for each in values["finer"])
    return LoraChoice.parse(f"{slug}:{said[slug]}") if slug in said else LoraChoice(slug=slug)


def with_finer(values: Values, choice: LoraChoice) -> dict[str, Any]:
    """``values`` with what ``choice`` says besides its one strength."""
    others = [each for each in values["finer"] if each.split(" ", 1)[0] != choice.slug]
    own = [f"{choice.slug} {choice.finer}"] if choice.finer else []
    return {**values, "finer": (*others, *own)}


def chosen_phrases(slug: str, values: Values, catalog: Catalog) -> tuple[str, ...] | None:
    """The trigger phrases that are used; None where none is left out."""
    phrases = phrases_of(slug, catalog)
    used = tuple(phrase for phrase in phrases if _unused(slug, phrase) not in values["unused"])
    return None if used == phrases else used


def with_phrases(
    values: Values, slug: str, used: Sequence[str] | None, catalog: Catalog
) -> dict[str, Any]:
    """``values`` with these trigger phrases of a LoRA; None is what its preset says."""
    others = [each for each in values["unused"] if each.partition(" ")[0] != slug]
    left = [] if used is None else [p for p in phrases_of(slug, catalog) if p not in used]
    return {**values, "unused": (*others, *(_unused(slug, phrase) for phrase in left))}


def phrases_of(slug: str, catalog: Catalog) -> tuple[str, ...]:
    preset = catalog.loras.get(slug)
    return () if preset is None else preset.trigger_phrases


def _unused(slug: str, phrase: str) -> str:
    return f"{slug} {phrase}"


def preset_strength(slug: str, catalog: Catalog) -> float:
    preset = catalog.loras.get(slug)
    return DEFAULT_STRENGTH if preset is None else preset.usual_strength


def strengths(values: Values) -> list[float]:
    """The sliders that belong to the chosen LoRAs, in their order."""
    return [float(values[f"strength_{n}"]) for n in range(len(values["chosen"]))]


def with_loras(values: Values, slugs: Sequence[str], numbers: Sequence[float]) -> dict[str, Any]:
    """``values`` with these LoRAs at these strengths, and no others; what is off and what may be
    left out follows them."""
    consents, off = partial_slugs(values), off_slugs(values)
    slots = [slugs[n] if n < len(slugs) else None for n in range(MAX_LORAS)]
    boxes = {f"partial_{n}": slug in consents for n, slug in enumerate(slots)}
    boxes |= {f"on_{n}": slug not in off for n, slug in enumerate(slots)}
    padded = [*numbers, *[DEFAULT_STRENGTH] * (MAX_LORAS - len(numbers))]
    sliders = {f"strength_{n}": number for n, number in enumerate(padded)}
    said = tuple(slug for slug in values["said"] if slug in slugs)
    unused = tuple(each for each in values["unused"] if each.partition(" ")[0] in slugs)
    finer = tuple(each for each in values["finer"] if each.partition(" ")[0] in slugs)
    states = {"chosen": tuple(slugs), "said": said, "unused": unused, "finer": finer}
    return {**values, **states, **sliders, **boxes}


def partial_slugs(values: Values) -> set[str]:
    """The chosen LoRAs of which what does not fit may be left out."""
    rows = enumerate(values.get("chosen", ()))
    return {slug for n, slug in rows if values.get(f"partial_{n}")}


def off_slugs(values: Values) -> set[str]:
    """The chosen LoRAs that take no part."""
    rows = enumerate(values.get("chosen", ()))
    return {slug for n, slug in rows if not values.get(f"on_{n}", True)}


def write(plan: RunPlan, seed: int, catalog: Catalog) -> dict[str, Any]:
    """Field name → value that makes the form say what ``plan`` says, with ``seed``."""
    return write_request(of_plan(plan, seed, catalog), catalog)


def write_request(request: GenerationRequest, catalog: Catalog) -> dict[str, Any]:
    """Field name → value that makes the form say what ``request`` says."""
    choices = request.loras[:MAX_LORAS]
    chosen = [each.slug for each in choices]
    given = [
        preset_strength(each.slug, catalog) if each.strength is None else each.strength
        for each in choices
    ]
    values: dict[str, Any] = {
        "base": request.base,
        "said": [each.slug for each in choices if each.strength is not None],
        "mode": request.mode.value,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        **{each.name: _given(each, request.settings) for each in SETTINGS},
        "references": tuple(each.model_dump() for each in request.references),
        "seed": request.seed,
        "drawn": request.seed,
        "count": request.count,
        "prompt_encoder": (request.prompt_encoder or PromptEncoder.COMPEL).value,
        "allow_cut": request.allow_cut,
        **{f"partial_{n}": each.allow_partial for n, each in enumerate(choices)},
        "unused": (),
        "finer": (),
    }
    for each in choices:
        values = with_phrases(values, each.slug, each.phrases, catalog)
        values = with_finer(values, each)
    return with_loras({**values, "chosen": chosen}, chosen, given)


def _given(setting: Setting, settings: Overrides) -> float | str | None:
    """The value that the user said; in a list, nothing is an empty text."""
    value: float | str | None = getattr(settings, setting.name)
    return (None if setting.kind.is_number else "") if value is None else value
