"""A request joined with its presets and weights: what checks and the plan are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from studio.architecture import TRAITS, Mode, PipelineTraits, Traits, pipeline_traits
from studio.inventory import Inventory
from studio.plan import FloatSetting, IntSetting, Origin, TextSetting
from studio.presets import Catalog, LoraPreset, ModelPreset, TriggerRule
from studio.prompt import TokenCounter, Wanted, merge_wanted
from studio.request import GenerationRequest, LoraChoice
from studio.violations import SettingConflict, SettingMissing


@dataclass(frozen=True, slots=True)
class Draft:
    """A request whose base is known.

    Attributes:
        chosen: the known LoRAs of the request with their presets, sorted by slug.
        counters: text encoder → its token counter; empty where the base is not on disk.
    """

    request: GenerationRequest
    catalog: Catalog
    inventory: Inventory
    counters: Mapping[str, TokenCounter]
    model: ModelPreset
    traits: Traits
    chosen: tuple[tuple[LoraChoice, LoraPreset], ...]

    @classmethod
    def of(
        cls,
        request: GenerationRequest,
        model: ModelPreset,
        catalog: Catalog,
        inventory: Inventory,
        counters: Mapping[str, TokenCounter],
    ) -> "Draft":
        known = ((choice, catalog.loras.get(choice.slug)) for choice in request.loras)
        chosen = [(choice, preset) for choice, preset in known if preset is not None]
        chosen.sort(key=lambda pair: pair[0].slug)
        traits = TRAITS[model.base_architecture]
        return cls(request, catalog, inventory, counters, model, traits, tuple(chosen))

    @property
    def pipeline(self) -> PipelineTraits:
        """What the base's diffusers class takes."""
        return pipeline_traits(self.model.pipeline)

    @property
    def applied(self) -> tuple[tuple[LoraChoice, LoraPreset], ...]:
        """The chosen LoRAs whose weights the mode switches on."""
        return self.chosen if self.request.mode.applies_loras else ()

    @property
    def takes_negative(self) -> bool:
        """Whether the base takes a negative prompt: its family must, and its preset may not."""
        refused = self.model.settings.supports_negative_prompt is False
        return self.pipeline.negative_prompt and not refused

    def wanted_triggers(self) -> tuple[Wanted, ...]:
        """The trigger words that belong in the resolved prompt."""
        if not self.request.mode.takes_trigger_words:
            return ()
        return self.chosen_triggers()

    def chosen_triggers(self, rule: TriggerRule | None = None) -> tuple[Wanted, ...]:
        """Trigger words of the chosen LoRAs (of those with ``rule``), whatever the mode is."""
        presets = [preset for _, preset in self.chosen if rule in (None, preset.trigger)]
        return merge_wanted(
            [(words, preset.slug) for preset in presets for words in preset.trigger_phrases]
        )

    def wanted_negatives(self) -> tuple[Wanted, ...]:
        """The applied LoRAs' negative terms, where the base takes any."""
        if not self.takes_negative:
            return ()
        terms = [
            (" ".join(term.split()), preset.slug)
            for _, preset in self.applied
            for term in preset.negative_prompt.split(",")
            if term.strip()
        ]
        return merge_wanted(terms)

    @property
    def dtype(self) -> str:
        """The preset's; where it names none, float32, in which diffusers loads any model."""
        return self.model.settings.dtype or "float32"

    @property
    def sizes(self) -> dict[str, int]:
        """Component → bytes of the base's weights in the dtype they run in."""
        size = 4 if self.dtype == "float32" else 2
        base = self.inventory.bases[self.model.slug]
        return {
            component: size * sum(prod(shape) for shape in shapes.values())
            for component, shapes in base.shapes.items()
        }

    def window(self, encoder: str) -> int:
        """Tokens the native encoder reads, the start and end tokens left out."""
        traits = next(item for item in self.traits.text_encoders if item.component == encoder)
        return (self.model.settings.token_window or traits.window or 512) - 2


IntChoice = IntSetting | SettingConflict | SettingMissing
FloatChoice = FloatSetting | SettingConflict | SettingMissing
TextChoice = TextSetting | SettingMissing | None


@dataclass(frozen=True, slots=True)
class SettingChoices:
    """Every setting with its origin, or the violation that stands in its place.

    ``scheduler`` is None where only the base's folder could tell, and it is not on disk.
    """

    steps: IntChoice
    guidance_scale: FloatChoice
    true_cfg_scale: FloatSetting | None
    clip_skip: IntChoice | None
    width: IntChoice
    height: IntChoice
    scheduler: TextChoice
    max_sequence_length: IntSetting | None
    strengths: Mapping[str, FloatSetting]

    def problems(self) -> Iterator[SettingConflict | SettingMissing]:
        for value in (
            self.steps,
            self.guidance_scale,
            self.clip_skip,
            self.width,
            self.height,
            self.scheduler,
        ):
            if isinstance(value, SettingConflict | SettingMissing):
                yield value


def choose_settings(draft: Draft) -> SettingChoices:
    """The user's value, else the LoRAs', else the model's; never a silent default."""
    asked, model = draft.request.settings, draft.model.settings
    return SettingChoices(
        steps=_int(draft, "steps", asked.steps, model.steps),
        guidance_scale=_guidance(draft),
        true_cfg_scale=_true_cfg(draft),
        clip_skip=_clip_skip(draft),
        width=_int(draft, "width", asked.width, model.default_width),
        height=_int(draft, "height", asked.height, model.default_height),
        scheduler=_scheduler(draft),
        max_sequence_length=_sequence_length(draft),
        strengths={preset.slug: _strength(choice, preset) for choice, preset in draft.chosen},
    )


def _int(draft: Draft, name: str, asked: int | None, model: int | None) -> IntChoice:
    if asked is not None:
        return IntSetting(value=asked, origin=Origin.USER)
    if model is not None:
        return IntSetting(value=model, origin=Origin.MODEL, slug=draft.model.slug)
    return _missing(draft, name)


def _missing(draft: Draft, name: str) -> SettingMissing:
    words = name.replace("_", " ")
    return SettingMissing(field=f"settings.{name}", name=words, label=draft.model.label)


def _conflict(name: str, values: Mapping[str, float]) -> SettingConflict:
    listed = ", ".join(f"{slug} asks for {value:g}" for slug, value in values.items())
    return SettingConflict(field=f"settings.{name}", name=name.replace("_", " "), values=listed)


def _guidance(draft: Draft) -> FloatChoice:
    asked, model = draft.request.settings.guidance_scale, draft.model.settings.guidance_scale
    if asked is not None:
        return FloatSetting(value=asked + 0.0, origin=Origin.USER)  # -0.0 becomes 0.0
    wishes = {
        preset.slug: preset.settings.guidance_scale
        for _, preset in draft.applied
        if preset.settings.guidance_scale is not None
    }
    if len(set(wishes.values())) > 1:
        return _conflict("guidance_scale", wishes)
    for slug, value in wishes.items():
        return FloatSetting(value=value, origin=Origin.LORA, slug=slug)
    if model is not None:
        return FloatSetting(value=model, origin=Origin.MODEL, slug=draft.model.slug)
    return _missing(draft, "guidance_scale")


def _true_cfg(draft: Draft) -> FloatSetting | None:
    """Off unless the user says otherwise; a preset's guidance is the other argument."""
    if not draft.pipeline.true_cfg:
        return None
    asked = draft.request.settings.true_cfg_scale
    if asked is not None:
        return FloatSetting(value=asked + 0.0, origin=Origin.USER)
    return FloatSetting(value=1.0, origin=Origin.PIPELINE)


def _sequence_length(draft: Draft) -> IntSetting | None:
    if draft.pipeline.sequence is None:
        return None
    asked, model = draft.request.settings.max_sequence_length, draft.model.settings
    if asked is not None:
        return IntSetting(value=asked, origin=Origin.USER)
    said = model.max_sequence_length or model.token_window
    if said is not None:
        return IntSetting(value=said, origin=Origin.MODEL, slug=draft.model.slug)
    return IntSetting(value=draft.pipeline.sequence.default, origin=Origin.PIPELINE)


def _clip_skip(draft: Draft) -> IntChoice | None:
    trained = draft.traits.clip_skip
    if trained is None:
        return None
    asked = draft.request.settings.clip_skip
    if asked is not None:
        return IntSetting(value=asked, origin=Origin.USER)
    wishes = {
        preset.slug: preset.settings.clip_skip
        for _, preset in draft.applied
        if preset.settings.clip_skip is not None
    }
    if len(set(wishes.values())) > 1:
        return _conflict("clip_skip", {slug: float(value) for slug, value in wishes.items()})
    for slug, value in wishes.items():
        return IntSetting(value=value, origin=Origin.LORA, slug=slug)
    return IntSetting(value=trained, origin=Origin.CONVENTION)


def _scheduler(draft: Draft) -> TextChoice:
    asked, model = draft.request.settings.scheduler, draft.model.settings.scheduler
    if asked is not None:
        return TextSetting(value=asked, origin=Origin.USER)
    base = draft.inventory.bases.get(draft.model.slug)
    if model is None and base is None:
        return None
    own = model or (base.classes.get("scheduler") if base else None)
    if own is not None:
        return TextSetting(value=own, origin=Origin.MODEL, slug=draft.model.slug)
    return _missing(draft, "scheduler")


def _strength(choice: LoraChoice, preset: LoraPreset) -> FloatSetting:
    if choice.strength is not None:
        return FloatSetting(value=choice.strength + 0.0, origin=Origin.USER)
    if preset.settings.strength is not None:
        return FloatSetting(value=preset.settings.strength, origin=Origin.LORA, slug=preset.slug)
    return FloatSetting(value=1.0, origin=Origin.CONVENTION)


def mode_names(modes: frozenset[Mode]) -> str:
    """The modes in the order they are declared, for sentences."""
    return ", ".join(mode.value for mode in Mode if mode in modes)
