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
