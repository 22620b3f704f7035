"""What a newcomer finds: a filled request that is valid and can be run at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.architecture import TRAITS, Architecture, Mode
from studio.contract.request import PromptEncoder
from studio.contract.settings import SETTINGS
from studio.presets import Catalog, ModelPreset
from studio.ui.studio.form import draw_seed
from studio.ui.studio.shown import Shown, shown

FIRST_BASE = "mini"
FIRST_LORA = "pen-ink-mini"
FIRST_PROMPT = "a penguin on a blue background"
FIRST_SEED = 5
"""Of the first picture, so that it is one worth seeing; later ones have seeds that are drawn."""


@dataclass(frozen=True, slots=True)
class Start:
    """The form's first values, and the choices its lists begin with."""

    bases: tuple[tuple[str, str], ...]
    base: str | None
    chosen: tuple[str, ...]
    mode: Mode
    prompt: str
    architecture: Architecture | None
    shown: Shown

    @classmethod
    def of(cls, catalog: Catalog, present: Mapping[str, bool] | None = None) -> "Start":
        """With the embedded base and LoRA where the presets have them, else the first base.

        Args:
            present: slug → whether its weights are on disk; None says it of none.
        """
        bases = base_choices(catalog, present or {})
        slugs = list(catalog.models)
        base = FIRST_BASE if FIRST_BASE in slugs else (slugs[0] if slugs else None)
        if base is None:
            nothing = shown(_blank(None, Mode.BASE), catalog)
            return cls(bases, None, (), Mode.BASE, FIRST_PROMPT, None, nothing)
        architecture = catalog.models[base].base_architecture
        first = catalog.loras.get(FIRST_LORA)
        fits = first is not None and first.base_architecture is architecture
        chosen = (FIRST_LORA,) if fits else ()
        mode = Mode.LORA_WITH_TRIGGER if fits else Mode.BASE
        return cls(
            bases=bases,
            base=base,
            chosen=chosen,
            mode=mode,
            prompt=FIRST_PROMPT,
            architecture=architecture,
            shown=shown(_blank(base, mode), catalog),
        )


def first_seed(base: str | None) -> int:
    """For a newcomer's first picture."""
    return FIRST_SEED if base == FIRST_BASE else draw_seed()


def _blank(base: str | None, mode: Mode) -> dict[str, object]:
    """What the fields that can be hidden hold at first."""
    return {
        "base": base,
        "mode": mode.value,
        "negative_prompt": "",
        **{setting.name: None for setting in SETTINGS},
        "references": (),
        "prompt_encoder": PromptEncoder.COMPEL.value,
        "allow_cut": False,
    }


def base_choices(catalog: Catalog, present: Mapping[str, bool]) -> tuple[tuple[str, str], ...]:
    """(what the list says, slug) of each base, those whose weights are on disk first."""
    models = sorted(catalog.models.values(), key=lambda model: not present.get(model.slug, True))
    absent = {slug for slug, there in present.items() if not there}
    return tuple(
        (
            f"{_base_label(model)} · not on disk" if model.slug in absent else _base_label(model),
            model.slug,
        )
        for model in models
    )


def _base_label(model: ModelPreset) -> str:
    """The label, with the architecture where the label does not say it."""
    family = TRAITS[model.base_architecture].label
    return model.label if family.lower() in model.label.lower() else f"{model.label} · {family}"
