"""Which fields the form shows: what the base takes, and what holds something it does not take.

A field that holds something stays, so that nothing is set aside unseen: what is wrong with it
stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.architecture import TRAITS, Mode, PipelineTraits, Traits, guides, pipeline_traits
from studio.architecture.pipelines import schedulers_for
from studio.contract.request import PromptEncoder
from studio.contract.settings import BY_NAME, SETTINGS, Basis
from studio.presets import Catalog, ModelPreset
from studio.ui.studio.form import Values

MODES = tuple(Mode)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the form offers for one base and what is in it.

    Attributes:
        fields: field → whether it is seen.
        modes: those that the base has, and the one that is chosen.
        schedulers: those that fit the base.
        sole: whether one reference image is all the base takes.
    """

    fields: Mapping[str, bool]
    modes: tuple[Mode, ...]
    schedulers: tuple[str, ...]
    sole: bool


def shown(values: Values, catalog: Catalog) -> Shown:
    """For the base that ``values`` name; without one, everything the simplest base has."""
    model = catalog.models.get(values["base"]) if values["base"] else None
    if model is None:
        model = next(iter(catalog.models.values()), None)
    if model is None:
        return Shown(dict.fromkeys(_FIELDS, True), MODES, (), sole=True)
    traits, pipeline = TRAITS[model.base_architecture], pipeline_traits(model.pipeline)
    takes = _takes(values, model, traits, pipeline)
    chosen = Mode(values["mode"])
    return Shown(
        fields={name: takes[name] or holds(values[name]) for name in _FIELDS},
        modes=tuple(mode for mode in MODES if mode in pipeline.modes or mode is chosen),
        schedulers=schedulers_for(traits.flow_matching),
        sole=pipeline.max_references == 1,
    )


SOME_BASES = tuple(setting.name for setting in SETTINGS if setting.takes is not None)
"""Settings that not every base takes."""

_FIELDS = ("negative_prompt", *SOME_BASES, "references", "prompt_encoder", "allow_cut")


def _takes(
    values: Values, model: ModelPreset, traits: Traits, pipeline: PipelineTraits
) -> dict[str, bool]:
    negative = pipeline.negative_prompt and model.settings.supports_negative_prompt is not False
    true_cfg = not pipeline.true_cfg or guides(values["true_cfg_scale"])
    basis = Basis(traits, pipeline, values["scheduler"] or model.settings.scheduler)
    native = not traits.compel or values["prompt_encoder"] == PromptEncoder.NATIVE
    return {
        "negative_prompt": negative and true_cfg,
        **{name: BY_NAME[name].is_taken(basis) for name in SOME_BASES},
        "references": values["mode"] == Mode.REFERENCE_EDIT,
        "prompt_encoder": traits.compel,
        "allow_cut": native,
    }


def holds(value: Any) -> bool:
    """Whether somebody put something in; of two ways one is always chosen, which is nothing."""
    if isinstance(value, bool) or value in tuple(PromptEncoder):
        return False
    return bool(value.strip()) if isinstance(value, str) else value not in (None, (), [])


def mode_for(mode: Mode, chosen: bool, model: ModelPreset) -> Mode:
    """The mode to go on with when the base has not ``mode``."""
    has = pipeline_traits(model.pipeline).modes
    if mode in has:
        return mode
    wished = (Mode.LORA_WITH_TRIGGER, Mode.BASE) if chosen else (Mode.BASE,)
    return next((each for each in (*wished, *MODES) if each in has), mode)
