"""Every rule a request can break: one frozen class each.

A violation says what was found, what is expected and the way out. ``field`` is the path of
the request's field it stands beside: ``base``, ``mode``, ``prompt``, ``negative_prompt``,
``loras``, ``loras.<slug>``, ``loras.<slug>.strength``, ``settings.<name>``, ``seed``, ``count``,
``prompt_encoder``.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, computed_field

from studio.contract import Contract


class Rule(Contract):
    """What all violations share; the sentences are templates over the fields."""

    FOUND: ClassVar[str]
    EXPECTED: ClassVar[str]
    WAY_OUT: ClassVar[str]

    code: str
    field: str

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def found(self) -> str:
        """What the request says or the files are, as a sentence."""
        return self.FOUND.format(**dict(self))

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def expected(self) -> str:
        """What the contract demands, as a phrase."""
        return self.EXPECTED.format(**dict(self))

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def way_out(self) -> str:
        """What to do about it, as a sentence."""
        return self.WAY_OUT.format(**dict(self))

    def describe(self) -> str:
        """Found and way out, as plain sentences."""
        return f"{self.found} {self.way_out}"


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
    FOUND = "{slug!r} is chosen {times} times."
    EXPECTED = "each LoRA once"
    WAY_OUT = "Keep one of them, with the strength you want in all."
    code: Literal["duplicate_lora"] = "duplicate_lora"
    slug: str
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


class LoraDoesNotFit(Rule):
    FOUND = "The file of {label} does not fit {base}. {reasons}"
    EXPECTED = "a file whose every layer is a layer of {base}"
    WAY_OUT = "Choose a LoRA trained for {base_architecture}, or correct the preset's file."
    code: Literal["lora_does_not_fit"] = "lora_does_not_fit"
    slug: str
    label: str
    base: str
    base_architecture: str
    evidence: tuple[str, ...]
    reasons: str


class ArchitectureNotRunnable(Rule):
    FOUND = "{label} is {architecture}, which this release lists but cannot run yet."
    EXPECTED = "a base of one of: {runnable}"
    WAY_OUT = "Choose a base of one of: {runnable}."
    code: Literal["architecture_not_runnable"] = "architecture_not_runnable"
    field: str = "base"
    label: str
    architecture: str
    runnable: str


class WeightsMissing(Rule):
    FOUND = "The weights of {label} are not on disk; they belong at {expected_at}."
    EXPECTED = "the weights at {expected_at}"
    WAY_OUT = "{get}"
    code: Literal["weights_missing"] = "weights_missing"
    slug: str
    label: str
    expected_at: str
    get: str


class WeightsUnusable(Rule):
    FOUND = "The weights of {label} cannot be used: {reason}"
    EXPECTED = "a readable safetensors file"
    WAY_OUT = "{remedy}"
    code: Literal["weights_unusable"] = "weights_unusable"
    slug: str
    label: str
    reason: str
    remedy: str


class HashMismatch(Rule):
    FOUND = "The weights of {label} have SHA-256 {found_sha256}, not {expected_sha256} ({basis})."
    EXPECTED = "SHA-256 {expected_sha256}"
    WAY_OUT = "{remedy}"
    code: Literal["hash_mismatch"] = "hash_mismatch"
    slug: str
    label: str
    found_sha256: str
    expected_sha256: str
    basis: str
    remedy: str


class LoraRequired(Rule):
    FOUND = "Mode {mode!r} needs a LoRA, and none is chosen."
    EXPECTED = "at least one LoRA"
    WAY_OUT = "Choose a LoRA, or choose mode 'base'."
    code: Literal["lora_required"] = "lora_required"
    field: str = "loras"
    mode: str


class LoraForbidden(Rule):
    FOUND = "Mode 'base' runs without LoRAs, and {count} are chosen: {slugs}."
    EXPECTED = "no LoRA"
    WAY_OUT = "Remove the LoRAs, or choose mode 'lora' or 'lora_with_trigger'."
    code: Literal["lora_forbidden"] = "lora_forbidden"
    field: str = "loras"
    count: int
    slugs: str


class ModeNotSupported(Rule):
    FOUND = "{architecture} has no mode {mode!r}."
    EXPECTED = "one of: {modes}"
    WAY_OUT = "Choose one of {modes}, or a base that takes a reference image."
    code: Literal["mode_not_supported"] = "mode_not_supported"
    field: str = "mode"
    architecture: str
    mode: str
    modes: str


class NoTriggerWords(Rule):
    FOUND = "Mode {mode!r} uses trigger words, and {label} has none."
    EXPECTED = "a LoRA with trigger words"
    WAY_OUT = "Choose mode 'lora', or write its trigger words into the preset's prompt."
    code: Literal["no_trigger_words"] = "no_trigger_words"
    slug: str
    label: str
    mode: str


class TriggerMissing(Rule):
    FOUND = "The trigger words {phrase!r} of {slug} do not reach the encoder: {reason}."
    EXPECTED = "{phrase!r} in the resolved prompt"
    WAY_OUT = "{remedy}"
    code: Literal["trigger_missing"] = "trigger_missing"
    field: str = "prompt"
    slug: str
    phrase: str
    reason: str
    remedy: str


class TriggerForbidden(Rule):
    FOUND = "The prompt holds {phrase!r}, a trigger of {slug}, and mode is {mode!r}."
    EXPECTED = "a prompt without {phrase!r}"
    WAY_OUT = (
        "Remove {phrase!r} from the prompt, or choose {slug} with mode 'lora_with_trigger', "
        "or 'trigger_only' to test the words without the LoRA."
    )
    code: Literal["trigger_forbidden"] = "trigger_forbidden"
    field: str = "prompt"
    slug: str
    phrase: str
    mode: str


class TriggerDuplicated(Rule):
    FOUND = "The prompt holds the trigger {phrase!r} of {slug} {times} times."
    EXPECTED = "{phrase!r} once, or not at all: it is added by itself"
    WAY_OUT = "Keep one of them where it should stand, or remove them all."
    code: Literal["trigger_duplicated"] = "trigger_duplicated"
    field: str = "prompt"
    slug: str
    phrase: str
    times: int


class LoraTagInPrompt(Rule):
    FOUND = "The prompt holds {tag!r}, which would reach the encoder as plain words."
    EXPECTED = "LoRAs chosen as LoRAs, not written into the prompt"
    WAY_OUT = "Remove it, and choose the LoRA with its strength beside the prompt."
    code: Literal["lora_tag_in_prompt"] = "lora_tag_in_prompt"
    tag: str


class SyntaxWithoutEffect(Rule):
    FOUND = "The prompt uses {found_syntax}, which Compel parses and nothing here obeys."
    EXPECTED = "weights, .blend() and .and() only"
    WAY_OUT = "Remove {found_syntax}; LoRAs are chosen beside the prompt."
    code: Literal["syntax_without_effect"] = "syntax_without_effect"
    found_syntax: str


class TextUnreadable(Rule):
    FOUND = "The text holds a broken character at place {place}, which no file can store."
    EXPECTED = "text that UTF-8 can write"
    WAY_OUT = "Remove the character at place {place}, or paste the text again."
    code: Literal["text_unreadable"] = "text_unreadable"
    place: int


class PromptEmpty(Rule):
    FOUND = "The prompt is empty."
    EXPECTED = "some words"
    WAY_OUT = "Write what the picture shows, for example: a rocket on a blue background."
    code: Literal["prompt_empty"] = "prompt_empty"
    field: str = "prompt"


class PromptTooLong(Rule):
    FOUND = (
        "{encoder} reads {limit} tokens and the {side} has {tokens}: {words!r} would be cut off."
    )
    EXPECTED = "at most {limit} tokens, or consent to the cut"
    WAY_OUT = "Shorten it, allow the cut, or choose {alternative}."
    code: Literal["prompt_too_long"] = "prompt_too_long"
    encoder: str
    side: str
    limit: int
    tokens: int
    words: str
    alternative: str


class NegativePromptNotSupported(Rule):
    FOUND = "{label} takes no negative prompt."
    EXPECTED = "an empty negative prompt"
    WAY_OUT = "Remove the negative prompt, or choose a base that takes one."
    code: Literal["negative_prompt_not_supported"] = "negative_prompt_not_supported"
    field: str = "negative_prompt"
    label: str


class ClipSkipNotSupported(Rule):
    FOUND = "{architecture} has no clip skip."
    EXPECTED = "clip skip left empty"
    WAY_OUT = "Leave clip skip empty, or choose a base whose text encoder is CLIP."
    code: Literal["clip_skip_not_supported"] = "clip_skip_not_supported"
    field: str = "settings.clip_skip"
    architecture: str


class EncoderNotSupported(Rule):
    FOUND = "{architecture} cannot be encoded with Compel."
    EXPECTED = "prompt encoder 'native'"
    WAY_OUT = "Choose the prompt encoder 'native'."
    code: Literal["encoder_not_supported"] = "encoder_not_supported"
    field: str = "prompt_encoder"
    architecture: str


class OutOfRange(Rule):
    FOUND = "{name} is {value:.12g}."
    EXPECTED = "{low:.12g} to {high:.12g}"
    WAY_OUT = "Set it to a value from {low:.12g} to {high:.12g}."
    code: Literal["out_of_range"] = "out_of_range"
    name: str
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
    FOUND = "Nobody says {name}: the preset of {label} leaves it open."
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


Violation = Annotated[
    UnknownBase
    | UnknownLora
    | DuplicateLora
    | TooManyLoras
    | ArchitectureMismatch
    | LoraDoesNotFit
    | ArchitectureNotRunnable
    | WeightsMissing
    | WeightsUnusable
    | HashMismatch
    | LoraRequired
    | LoraForbidden
    | ModeNotSupported
    | NoTriggerWords
    | TriggerMissing
    | TriggerForbidden
    | TriggerDuplicated
    | LoraTagInPrompt
    | SyntaxWithoutEffect
    | TextUnreadable
    | PromptEmpty
    | PromptTooLong
    | NegativePromptNotSupported
    | ClipSkipNotSupported
    | EncoderNotSupported
    | OutOfRange
    | NotAMultiple
    | TooManyPixels
    | SettingMissing
    | SettingConflict
    | UnknownScheduler,
    Field(discriminator="code"),
]
