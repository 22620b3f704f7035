"""Every setting with who said it: the user, else the LoRAs, else the model; never in silence."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from studio.architecture import Traits
from studio.contract.origin import FloatSetting, IntSetting, Origin
from studio.contract.request import LoraChoice
from studio.contract.settings import SETTINGS, SettingKind, Value
from studio.contract.violations import SettingConflict, SettingMissing
from studio.presets import DEFAULT_STRENGTH, LoraPreset
from studio.resolve.context import Draft


@dataclass(frozen=True, slots=True)
class SettingChoices:
    """Every setting with its origin; what has none is a problem.

    Attributes:
        values: name → value; those that the base does not take are not there, nor is the
            precision, which the draft has.
        strengths: the same of the chosen LoRAs, by slug.
        spans: the first and last step of each of them, where it is not on in all.
        parts: of each of them those parts of the base where its strength is another one.
    """

    values: Mapping[str, Value]
    problems: tuple[SettingConflict | SettingMissing, ...]
    strengths: Mapping[str, FloatSetting]
    parts: Mapping[str, Mapping[str, FloatSetting]]
    spans: Mapping[str, tuple[IntSetting | None, IntSetting | None]]

    def number(self, name: str) -> float | None:
        value = getattr(self.values.get(name), "value", None)
        return value if isinstance(value, int | float) else None

    @property
    def scheduler(self) -> str | None:
        chosen = self.values.get("scheduler")
        return None if chosen is None else str(chosen.value)


def choose_settings(draft: Draft) -> SettingChoices:
    """What each setting is, as ``Draft.choose`` has it."""
    said = {
        each.name: draft.choose(each) for each in SETTINGS if each.kind is not SettingKind.DTYPE
    }
    return SettingChoices(
        values={name: value for name, value in said.items() if isinstance(value, Value)},
        problems=tuple(_problems(said.values())),
        strengths={preset.slug: _strength(choice, preset) for choice, preset in draft.chosen},
        parts={
            preset.slug: _in_order(_parts(choice, preset), draft.traits)
            for choice, preset in draft.chosen
        },
        spans={
            preset.slug: (
                _step(choice.first_step, preset.settings.first_step, preset.slug),
                _step(choice.last_step, preset.settings.last_step, preset.slug),
            )
            for choice, preset in draft.chosen
        },
    )


def _problems(said: Iterable[object]) -> Iterator[SettingConflict | SettingMissing]:
    return (each for each in said if isinstance(each, SettingConflict | SettingMissing))


def _strength(choice: LoraChoice, preset: LoraPreset) -> FloatSetting:
    if choice.strength is not None:
        return FloatSetting(value=choice.strength + 0.0, origin=Origin.USER)
    if preset.settings.strength is not None:
        return FloatSetting(value=preset.settings.strength, origin=Origin.LORA, slug=preset.slug)
    return FloatSetting(value=DEFAULT_STRENGTH, origin=Origin.CONVENTION)


def _parts(choice: LoraChoice, preset: LoraPreset) -> dict[str, FloatSetting]:
    """The user's before the preset's. A LoRA that the user sets to 0 is off, whatever its preset
    says of parts."""
    own = {} if choice.strength == 0 else preset.settings.parts
    said = {
        part: FloatSetting(value=value + 0.0, origin=Origin.LORA, slug=preset.slug)
        for part, value in own.items()
    }
    return said | {
        each.part: FloatSetting(value=each.strength + 0.0, origin=Origin.USER)
        for each in choice.parts
    }


def _step(asked: int | None, own: int | None, slug: str) -> IntSetting | None:
    if asked is not None:
        return IntSetting(value=asked, origin=Origin.USER)
    return None if own is None else IntSetting(value=own, origin=Origin.LORA, slug=slug)


def _in_order(parts: Mapping[str, FloatSetting], traits: Traits) -> dict[str, FloatSetting]:
    """As the base has them; what it has not, last."""
    known = [each.name for each in traits.parts if each.name in parts]
    return {name: parts[name] for name in (*known, *sorted(parts.keys() - set(known)))}
