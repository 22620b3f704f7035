"""A request → the plan that will run, or everything that is wrong with it.

Pure: what it may know of the world is in its arguments, so equal arguments give equal plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.architecture import PIPELINES, Mode
from studio.contract.origin import FloatSetting
from studio.contract.placement import Dtype, Placement
from studio.contract.plan import (
    BaseIdentity,
    Library,
    PlanSettings,
    RunPlan,
    TriggerUse,
    WorkerClass,
)
from studio.contract.prompt import ResolvedPrompt, TokenCounter
from studio.contract.request import GenerationRequest, PromptEncoder
from studio.contract.settings import Value
from studio.contract.violations import UnknownBase, Violation
from studio.presets import Catalog, LoraPreset, ModelPreset
from studio.resolve.checks import (
    Check,
    check_architectures,
    check_base,
    check_mode,
    check_references,
    check_request,
)
from studio.resolve.choices import SettingChoices, choose_settings
from studio.resolve.context import Draft
from studio.resolve.identities import base_identity, check_weights, lora_uses
from studio.resolve.inventory import Inventory
from studio.resolve.memory import MemoryRules, place, tiles
from studio.resolve.names import with_slugs
from studio.resolve.notices import mark_notices, notices
from studio.resolve.number_checks import check_settings, check_size
from studio.resolve.prompts import resolve_prompt
from studio.resolve.text_checks import (
    check_compel,
    check_negative,
    check_syntax,
    check_text,
    check_triggers,
    check_words,
)
from studio.resolve.triggers import phrases_of

CHECKS: tuple[Check, ...] = (
    check_base,
    check_mode,
    check_references,
    check_architectures,
    check_syntax,
    check_triggers,
    check_negative,
    check_settings,
    check_size,
    check_weights,
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a plan depends on besides presets and weights.

    Attributes:
        libraries: those whose version can change the pixels, sorted by name.
        counters: base slug → text encoder → token counter, for the bases on disk.
        memory: what there is of it; None where nobody looked, and nothing is said of it.
        device: as the settings name it; what ``auto`` will be is not known here.
        mark: whether pictures carry the mark that says a model made them.
        worker_class: of the workers that will run it; None where the studio itself does.
    """

    libraries: tuple[Library, ...]
    counters: Mapping[str, Mapping[str, TokenCounter]] = field(default_factory=dict)
    memory: MemoryRules | None = None
    device: str = "auto"
    mark: bool = True
    worker_class: WorkerClass | None = None


@dataclass(frozen=True, slots=True)
class BaseInPlace:
    """A base that is loaded for good, whoever asks for it."""

    identity: BaseIdentity
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class Provisional:
    """A request's contract before its weights are there: what presets alone say of it.

    Attributes:
        loras: the chosen ones with their strengths.
        values: setting → value; what the weights decide, and what is wrong, is not there.
    """

    base: ModelPreset
    mode: Mode
    loras: tuple[tuple[LoraPreset, FloatSetting], ...]
    prompt: ResolvedPrompt
    prompt_encoder: PromptEncoder
    values: Mapping[str, Value]
    seed: int
    count: int


def provisional(
    request: GenerationRequest, catalog: Catalog, inventory: Inventory, runtime: Runtime
) -> Provisional | None:
    """What is known of a plan whose weights are missing; None where the base or the text is not
    even readable."""
    model = catalog.models.get(request.base)
    if model is None or tuple(check_text(request)):
        return None
    counters = runtime.counters.get(model.slug, {})
    draft = Draft.of(request, model, catalog, inventory, counters, runtime.memory, runtime.device)
    choices = choose_settings(draft)
    return Provisional(
        base=model,
        mode=request.mode,
        loras=tuple((preset, choices.strengths[preset.slug]) for _, preset in draft.chosen),
        prompt=resolve_prompt(draft)[0],
        prompt_encoder=draft.encoder,
        values=choices.values,
        seed=request.seed,
        count=request.count,
    )


def resolve(
    request: GenerationRequest, catalog: Catalog, inventory: Inventory, runtime: Runtime
) -> RunPlan | tuple[Violation, ...]:
    """The plan, or every violation at once, in the order of the form."""
    if unreadable := tuple(check_text(request)):
        return unreadable
    request, read = with_slugs(request, catalog)
    found: list[Violation] = [*check_words(request), *check_request(request, catalog)]
    model = catalog.models.get(request.base)
    if model is None:
        known = ", ".join(catalog.models) or "none: there is no preset and no base in the library"
        return (UnknownBase(slug=request.base, known=known), *found)
    planned = _resolve_for(model, request, catalog, inventory, runtime, found)
    if not read or not isinstance(planned, RunPlan):
        return planned
    return planned.model_copy(update={"notices": (*read, *planned.notices)})


def resolve_base(
    model: ModelPreset, catalog: Catalog, inventory: Inventory, runtime: Runtime
) -> BaseInPlace | tuple[Violation, ...]:
    """A base without a request, as plans have it where nobody asks for another precision; or what
    is wrong with its weights."""
    (mode, *_) = sorted(PIPELINES[model.pipeline].modes)
    request = GenerationRequest(base=model.slug, mode=mode, prompt="", seed=0)
    draft = Draft.of(request, model, catalog, inventory, {}, runtime.memory, runtime.device)
    choices = choose_settings(draft)
    found = [*check_base(draft, choices), *check_weights(draft, choices)]
    if found:
        return tuple(found)
    return BaseInPlace(base_identity(draft), draft.dtype)


def _resolve_for(
    model: ModelPreset,
    request: GenerationRequest,
    catalog: Catalog,
    inventory: Inventory,
    runtime: Runtime,
    found: list[Violation],
) -> RunPlan | tuple[Violation, ...]:
    counters = runtime.counters.get(model.slug, {})
    draft = Draft.of(request, model, catalog, inventory, counters, runtime.memory, runtime.device)
    choices = choose_settings(draft)
    for check in CHECKS:
        found.extend(check(draft, choices))
    prompt, too_long = resolve_prompt(draft)
    found.extend(too_long)
    found.extend(check_compel(draft, prompt))
    if found:
        return tuple(found)
    return RunPlan(
        base=base_identity(draft),
        mode=request.mode,
        loras=lora_uses(draft, choices),
        references=request.references,
        triggers=_triggers(draft, prompt),
        prompt=prompt,
        prompt_encoder=draft.encoder,
        settings=_settings(draft, choices, runtime.memory),
        seed=request.seed,
        count=request.count,
        libraries=runtime.libraries,
        placement=_placement(draft, runtime.memory),
        unmarked=not runtime.mark,
        worker_class=runtime.worker_class,
        notices=(*notices(draft, choices, prompt, runtime.memory), *mark_notices(runtime.mark)),
    )


def _placement(draft: Draft, memory: MemoryRules | None) -> Placement | None:
    return None if memory is None else place(memory, draft.sizes, draft.lora_bytes)


def _triggers(draft: Draft, prompt: ResolvedPrompt) -> tuple[TriggerUse, ...]:
    """Present are the words of a LoRA of which any stand marked in the resolved prompt."""
    marked = {slug for part in prompt.parts if not part.cut for slug in part.slugs}
    return tuple(
        TriggerUse(
            slug=preset.slug,
            label=preset.label,
            words=phrases_of(draft, preset),
            present=preset.slug in marked,
        )
        for _, preset in draft.chosen
        if preset.trigger_phrases
    )


def _settings(draft: Draft, choices: SettingChoices, memory: MemoryRules | None) -> PlanSettings:
    width, height = choices.number("width"), choices.number("height")
    # The checks let nothing through that is missing; this tells the type checker so.
    assert isinstance(width, int)
    assert isinstance(height, int)
    return PlanSettings.model_validate(
        {
            **choices.values,
            # Always written, because it came before fields could be left out.
            "clip_skip": choices.values.get("clip_skip"),
            "dtype": draft.dtype.value,
            "precision": draft.precision,
            "vae_tiling": memory is not None and tiles(memory, width, height),
        }
    )
