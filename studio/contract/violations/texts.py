"""The prompt, the negative prompt and the trigger words in them."""

from typing import Literal

from studio.architecture import Mode
from studio.contract.violations.rule import Rule


class NoTriggerWords(Rule):
    FOUND = "The mode “{mode}” uses trigger words, and {label} has none."
    EXPECTED = "a LoRA with trigger words"
    WAY_OUT = (
        "Choose the mode “LoRA without trigger”, or give it trigger words in a preset "
        "(Models, Edit preset)."
    )
    code: Literal["no_trigger_words"] = "no_trigger_words"
    slug: str
    label: str
    mode: Mode


class PhrasesRefused(Rule):
    FOUND = "{reason}"
    EXPECTED = "some of: {known}"
    WAY_OUT = "Choose from {known}, or leave the choice to the preset."
    code: Literal["phrases_refused"] = "phrases_refused"
    slug: str
    reason: str
    known: str


class TriggerMissing(Rule):
    FOUND = "The trigger words {phrase!r} of {label} do not reach the encoder: {reason}."
    EXPECTED = "{phrase!r} in the resolved prompt"
    WAY_OUT = "{remedy}"
    code: Literal["trigger_missing"] = "trigger_missing"
    field: str = "prompt"
    slug: str
    label: str
    phrase: str
    reason: str
    remedy: str


class TriggerForbidden(Rule):
    FOUND = "The prompt holds {phrase!r}, a trigger of {label}, and the mode is “{mode}”."
    EXPECTED = "a prompt without {phrase!r}"
    WAY_OUT = "Remove {phrase!r} from the prompt, or choose {label} {remedy}."
    code: Literal["trigger_forbidden"] = "trigger_forbidden"
    field: str = "prompt"
    slug: str
    label: str
    phrase: str
    mode: Mode
    remedy: str


class TriggerDuplicated(Rule):
    FOUND = "The prompt holds the trigger {phrase!r} of {label} {times} times."
    EXPECTED = "{phrase!r} once, or not at all: it is added by itself"
    WAY_OUT = "Keep one of them where it should stand, or remove them all."
    code: Literal["trigger_duplicated"] = "trigger_duplicated"
    field: str = "prompt"
    slug: str
    label: str
    phrase: str
    times: int


class LoraTagInPrompt(Rule):
    FOUND = "The prompt holds {tag!r}, which would reach the encoder as plain words."
    EXPECTED = "LoRAs chosen as LoRAs, not written into the prompt"
    WAY_OUT = "Remove it, and choose the LoRA with its strength beside the prompt."
    code: Literal["lora_tag_in_prompt"] = "lora_tag_in_prompt"
    tag: str


class SyntaxWithoutEffect(Rule):
    FOUND = "The prompt uses {found_syntax}, which Compel accepts but which has no effect here."
    EXPECTED = "weights, .blend() and .and() only"
    WAY_OUT = "Remove {found_syntax}; LoRAs are chosen beside the prompt."
    code: Literal["syntax_without_effect"] = "syntax_without_effect"
    found_syntax: str


class CallNotWhole(Rule):
    FOUND = "Compel would not read all of the text: with .blend() or .and() it {reason}."
    EXPECTED = "nothing but the prompts in quotes, the call, and a weight for each prompt"
    WAY_OUT = "{remedy}"
    code: Literal["call_not_whole"] = "call_not_whole"
    reason: str
    remedy: str


class BracketsTooDeep(Rule):
    FOUND = "{depth} brackets are open at once in the text."
    EXPECTED = "at most {limit} open at once"
    WAY_OUT = "Close them where they end, or write \\( for a bracket that is a plain character."
    code: Literal["brackets_too_deep"] = "brackets_too_deep"
    depth: int
    limit: int


class TextUnparsable(Rule):
    FOUND = "Compel cannot read the text: {reason}."
    EXPECTED = "text that Compel can parse"
    WAY_OUT = "Correct its brackets, quotes and weights, or choose the native prompt encoder."
    code: Literal["text_unparsable"] = "text_unparsable"
    reason: str


class TextTooLarge(Rule):
    FOUND = "The text has {length} characters."
    EXPECTED = "at most {limit} characters"
    WAY_OUT = "Shorten it to {limit} characters."
    code: Literal["text_too_large"] = "text_too_large"
    length: int
    limit: int


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
    WAY_OUT = "{remedy}"
    code: Literal["prompt_too_long"] = "prompt_too_long"
    encoder: str
    side: str
    limit: int
    tokens: int
    words: str
    remedy: str


class NegativePromptNotSupported(Rule):
    FOUND = "{label} takes no negative prompt."
    EXPECTED = "an empty negative prompt"
    WAY_OUT = "{remedy}"
    code: Literal["negative_prompt_not_supported"] = "negative_prompt_not_supported"
    field: str = "negative_prompt"
    label: str
    remedy: str


class ControlTokenInPrompt(Rule):
    FOUND = "The text holds {token!r}, which the text encoder reads as a signal, not as words."
    EXPECTED = "a text without {token!r}"
    WAY_OUT = "Remove it, or write it otherwise."
    code: Literal["control_token_in_prompt"] = "control_token_in_prompt"
    token: str


class EncoderNotSupported(Rule):
    FOUND = "{architecture} cannot be encoded with Compel."
    EXPECTED = "the native prompt encoder"
    WAY_OUT = "Choose the native prompt encoder."
    code: Literal["encoder_not_supported"] = "encoder_not_supported"
    field: str = "prompt_encoder"
    architecture: str
