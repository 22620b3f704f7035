"""Every setting with who said it: the user, else the LoRAs, else the model; never in silence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from studio.contract.plan import FloatSetting, IntSetting, Origin, TextSetting
from studio.contract.request import LoraChoice
from studio.contract.violations import SettingConflict, SettingMissing
from studio.presets import LoraPreset
from studio.resolve.context import Draft

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
        true_cfg_scale=draft.true_cfg_scale,
        clip_skip=_clip_skip(draft),
        width=_int(draft, "width", asked.width, model.default_width),
        height=_int(draft, "height", asked.height, model.default_height),
        scheduler=_scheduler(draft),
        max_sequence_length=draft.sequence_length,
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


def _conflict(draft: Draft, name: str, values: Mapping[str, float]) -> SettingConflict:
    listed = ", ".join(f"{draft.label_of(slug)} asks for {v:g}" for slug, v in values.items())
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
        return _conflict(draft, "guidance_scale", wishes)
    for slug, value in wishes.items():
        return FloatSetting(value=value, origin=Origin.LORA, slug=slug)
    if model is not None:
        return FloatSetting(value=model, origin=Origin.MODEL, slug=draft.model.slug)
    return _missing(draft, "guidance_scale")


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
        return _conflict(draft, "clip_skip", {slug: float(n) for slug, n in wishes.items()})
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
