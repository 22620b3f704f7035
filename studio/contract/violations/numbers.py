"""The settings."""

from typing import Literal

from studio.contract.violations.rule import Rule


class SettingNotSupported(Rule):
    FOUND = "{label} takes no {name}."
    EXPECTED = "{name} left empty"
    WAY_OUT = "Leave {name} empty, or choose {taken_by}."
    code: Literal["setting_not_supported"] = "setting_not_supported"
    name: str
    label: str
    taken_by: str


class GuidanceNotSupported(Rule):
    FOUND = "{label} was distilled to need no guidance, and the guidance scale is {value:g}."
    EXPECTED = "a guidance scale of 1"
    WAY_OUT = "Set the guidance scale to 1, or choose a base that is not distilled."
    code: Literal["guidance_not_supported"] = "guidance_not_supported"
    field: str = "settings.guidance_scale"
    label: str
    value: float


class OutOfRange(Rule):
    FOUND = "{name} is {value}."
    EXPECTED = "{low} to {high}"
    WAY_OUT = "Set it to a value from {low} to {high}."
    code: Literal["out_of_range"] = "out_of_range"
    name: str
    value: int | float
    low: int | float
    high: int | float


class NotWhole(Rule):
    FOUND = "{name} is {value}, and must be a whole number."
    EXPECTED = "a whole number"
    WAY_OUT = "Set it to {below} or {above}."
    code: Literal["not_whole"] = "not_whole"
    name: str
    value: float
    below: int
    above: int


class StrengthOutOfRange(Rule):
    FOUND = "{label} is at strength {value}."
    EXPECTED = "{low} to {high}"
    WAY_OUT = (
        "Set it to a value from {low} to {high}, or allow more in its preset, with "
        "min_strength and max_strength."
    )
    code: Literal["strength_out_of_range"] = "strength_out_of_range"
    label: str
    value: float
    low: float
    high: float


class NotAMultiple(Rule):
    FOUND = "{name} is {value}, not a multiple of {multiple}."
    EXPECTED = "a multiple of {multiple}"
    WAY_OUT = "Set it to {below} or {above}."
    code: Literal["not_a_multiple"] = "not_a_multiple"
    name: str
    value: int
    multiple: int
    below: int
    above: int


class TooManyPixels(Rule):
    FOUND = "{width} x {height} is {pixels} pixels."
    EXPECTED = "at most {limit} pixels"
    WAY_OUT = "Choose a smaller width or height."
    code: Literal["too_many_pixels"] = "too_many_pixels"
    field: str = "settings.width"
    width: int
    height: int
    pixels: int
    limit: int


class SettingMissing(Rule):
    FOUND = "No value for {name}: neither you nor the preset of {label} sets one."
    EXPECTED = "a value for {name}"
    WAY_OUT = "Enter {name}, or write it into the preset's settings."
    code: Literal["setting_missing"] = "setting_missing"
    name: str
    label: str


class SettingConflict(Rule):
    FOUND = "The chosen LoRAs disagree about {name}: {values}."
    EXPECTED = "one value for {name}"
    WAY_OUT = "Enter {name} yourself, or keep only one of these LoRAs."
    code: Literal["setting_conflict"] = "setting_conflict"
    name: str
    values: str


class UnknownScheduler(Rule):
    FOUND = "There is no scheduler {scheduler!r}."
    EXPECTED = "one of: {known}"
    WAY_OUT = "Choose one of {known}."
    code: Literal["unknown_scheduler"] = "unknown_scheduler"
    field: str = "settings.scheduler"
    scheduler: str
    known: str


class SchedulerDoesNotFit(Rule):
    FOUND = "{scheduler} does not fit {label}, which is {architecture}."
    EXPECTED = "one of: {known}"
    WAY_OUT = "Choose {known}, or leave it to the base."
    code: Literal["scheduler_does_not_fit"] = "scheduler_does_not_fit"
    field: str = "settings.scheduler"
    scheduler: str
    label: str
    architecture: str
    known: str


class DtypeNotSupported(Rule):
    """``reason`` says who asked for the dtype."""

    FOUND = "{label} is to run in {dtype}, which {device} cannot compute. {reason}"
    EXPECTED = "{known}"
    WAY_OUT = "Choose {known} as the precision{other}."
    code: Literal["dtype_not_supported"] = "dtype_not_supported"
    field: str = "settings.precision"
    label: str
    dtype: str
    reason: str
    device: str
    known: str
    other: str
