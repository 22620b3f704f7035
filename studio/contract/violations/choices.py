"""The base, the LoRAs and the mode that were chosen."""

from typing import Literal

from studio.architecture import Mode
from studio.contract.violations.rule import Rule


class UnknownBase(Rule):
    FOUND = "There is no base {slug!r} in the presets."
    EXPECTED = "one of: {known}"
    WAY_OUT = "Choose one of {known}, or add a preset for it."
    code: Literal["unknown_base"] = "unknown_base"
    field: str = "base"
    slug: str
    known: str


class UnknownLora(Rule):
    FOUND = "There is no LoRA {slug!r} in the presets."
    EXPECTED = "the slug of a LoRA preset"
    WAY_OUT = "{hint}"
    code: Literal["unknown_lora"] = "unknown_lora"
    slug: str
    hint: str


class DuplicateLora(Rule):
    FOUND = "{label} is chosen {times} times."
    EXPECTED = "each LoRA once"
    WAY_OUT = "Keep one, at the total strength you want."
    code: Literal["duplicate_lora"] = "duplicate_lora"
    slug: str
    label: str
    times: int


class TooManyLoras(Rule):
    FOUND = "{count} LoRAs are chosen."
    EXPECTED = "at most {limit}"
    WAY_OUT = "Remove {surplus} of them."
    code: Literal["too_many_loras"] = "too_many_loras"
    field: str = "loras"
    count: int
    limit: int
    surplus: int


class ArchitectureMismatch(Rule):
    FOUND = "{label} is a LoRA for {lora_architecture}; {base} is {base_architecture}."
    EXPECTED = "a LoRA for {base_architecture}"
    WAY_OUT = (
        "Choose a LoRA for {base_architecture}, or a base whose architecture is "
        "{lora_architecture}."
    )
    code: Literal["architecture_mismatch"] = "architecture_mismatch"
    slug: str
    label: str
    lora_architecture: str
    base: str
    base_architecture: str


class ArchitectureNotRunnable(Rule):
    FOUND = "{label} is {architecture}, which this release lists but cannot run yet."
    EXPECTED = "a base of one of: {runnable}"
    WAY_OUT = "Choose a base of one of: {runnable}."
    code: Literal["architecture_not_runnable"] = "architecture_not_runnable"
    field: str = "base"
    label: str
    architecture: str
    runnable: str


class LoraRequired(Rule):
    FOUND = "The mode “{mode}” needs a LoRA, and none is chosen."
    EXPECTED = "at least one LoRA"
    WAY_OUT = "Choose a LoRA, or a mode without one."
    code: Literal["lora_required"] = "lora_required"
    field: str = "loras"
    mode: Mode


class LoraForbidden(Rule):
    FOUND = "The mode “Base” runs without LoRAs, and {count} are chosen: {labels}."
    EXPECTED = "no LoRA"
    WAY_OUT = "Remove the LoRAs, or choose a mode that uses them."
    code: Literal["lora_forbidden"] = "lora_forbidden"
    field: str = "loras"
    count: int
    slugs: str
    labels: str


class ModeNotSupported(Rule):
    FOUND = "{label} has no mode “{mode}”."
    EXPECTED = "one of: {modes}"
    WAY_OUT = "{remedy}"
    code: Literal["mode_not_supported"] = "mode_not_supported"
    field: str = "mode"
    label: str
    mode: Mode
    modes: str
    remedy: str


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


class UnknownPart(Rule):
    FOUND = "{label} has a strength for {part!r}, which is no part of {architecture}."
    EXPECTED = "{known}"
    WAY_OUT = "Use {known}, or leave it out."
    code: Literal["unknown_part"] = "unknown_part"
    label: str
    part: str
    architecture: str
    known: str


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


class TooMuchForVisitor(Rule):
    FOUND = (
        "{count} of {width} x {height} pixels in {steps} steps are {work} megapixel-steps; a "
        "visitor of this page has {limit} for a run."
    )
    EXPECTED = "at most {limit} megapixel-steps"
    WAY_OUT = "Choose fewer pictures, fewer steps or a smaller size."
    code: Literal["too_much_for_visitor"] = "too_much_for_visitor"
    field: str = "settings.steps"
    count: int
    width: int
    height: int
    steps: int
    work: float
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
