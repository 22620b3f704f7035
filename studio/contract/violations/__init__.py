"""Every rule a request can break: one frozen class each.

A violation says what was found, what is expected and the way out. ``field`` is the path of
the request's field it stands beside: ``base``, ``mode``, ``prompt``, ``negative_prompt``,
``loras``, ``loras.<slug>``, ``loras.<slug>.strength``, ``references``, ``settings.<name>``,
``seed``, ``count``, ``prompt_encoder``; for a comparison also ``comparison.kind``, ``.rows`` and
``.columns``.
"""

from typing import Annotated

from pydantic import Field

from studio.contract.violations.choices import (
    ArchitectureMismatch,
    ArchitectureNotRunnable,
    DtypeNotSupported,
    DuplicateLora,
    GuidanceNotSupported,
    LoraForbidden,
    LoraRequired,
    ModeNotSupported,
    NotAMultiple,
    NotWhole,
    OutOfRange,
    SchedulerDoesNotFit,
    SettingConflict,
    SettingMissing,
    SettingNotSupported,
    StrengthOutOfRange,
    TooManyLoras,
    TooManyPixels,
    TooMuchForVisitor,
    UnknownBase,
    UnknownLora,
    UnknownPart,
    UnknownScheduler,
)
from studio.contract.violations.comparisons import (
    AxesClash,
    AxisTooShort,
    AxisValueRefused,
    AxisValueTwice,
    ComparisonNeedsLora,
    NothingToCompare,
    SameRun,
    TooManyCells,
    TriggerAxisWithoutWords,
)
from studio.contract.violations.files import (
    HashMismatch,
    LoraDoesNotFit,
    OriginConflict,
    PublishedConflict,
    ReferenceForbidden,
    ReferenceMissing,
    ReferenceRequired,
    ReferenceUnsuitable,
    SameWeights,
    TooManyReferences,
    WeightsMissing,
    WeightsUnusable,
)
from studio.contract.violations.rule import Rule
from studio.contract.violations.texts import (
    BracketsTooDeep,
    CallNotWhole,
    ControlTokenInPrompt,
    EncoderNotSupported,
    LoraTagInPrompt,
    NegativePromptNotSupported,
    NoTriggerWords,
    PhrasesRefused,
    PromptEmpty,
    PromptTooLong,
    SyntaxWithoutEffect,
    TextTooLarge,
    TextUnparsable,
    TextUnreadable,
    TriggerDuplicated,
    TriggerForbidden,
    TriggerMissing,
)

Violation = Annotated[
    UnknownBase
    | UnknownLora
    | DuplicateLora
    | TooManyLoras
    | ArchitectureMismatch
    | ArchitectureNotRunnable
    | LoraRequired
    | LoraForbidden
    | ModeNotSupported
    | WeightsMissing
    | SameWeights
    | WeightsUnusable
    | HashMismatch
    | LoraDoesNotFit
    | OriginConflict
    | PublishedConflict
    | NoTriggerWords
    | PhrasesRefused
    | TriggerMissing
    | TriggerForbidden
    | TriggerDuplicated
    | LoraTagInPrompt
    | SyntaxWithoutEffect
    | CallNotWhole
    | BracketsTooDeep
    | TextUnparsable
    | TextTooLarge
    | TextUnreadable
    | PromptEmpty
    | PromptTooLong
    | NegativePromptNotSupported
    | EncoderNotSupported
    | ControlTokenInPrompt
    | SettingNotSupported
    | StrengthOutOfRange
    | UnknownPart
    | DtypeNotSupported
    | GuidanceNotSupported
    | ReferenceRequired
    | ReferenceForbidden
    | TooManyReferences
    | ReferenceMissing
    | ReferenceUnsuitable
    | OutOfRange
    | NotAMultiple
    | NotWhole
    | TooManyPixels
    | TooMuchForVisitor
    | SettingMissing
    | SettingConflict
    | UnknownScheduler
    | SchedulerDoesNotFit
    | AxesClash
    | AxisTooShort
    | AxisValueRefused
    | AxisValueTwice
    | ComparisonNeedsLora
    | NothingToCompare
    | SameRun
    | TooManyCells
    | TriggerAxisWithoutWords,
    Field(discriminator="code"),
]
"""Any of them, told apart by ``code``."""

__all__ = [
    "ArchitectureMismatch",
    "ArchitectureNotRunnable",
    "AxesClash",
    "AxisTooShort",
    "AxisValueRefused",
    "AxisValueTwice",
    "BracketsTooDeep",
    "CallNotWhole",
    "ComparisonNeedsLora",
    "ControlTokenInPrompt",
    "DtypeNotSupported",
    "DuplicateLora",
    "EncoderNotSupported",
    "GuidanceNotSupported",
    "HashMismatch",
    "LoraDoesNotFit",
    "LoraForbidden",
    "LoraRequired",
    "LoraTagInPrompt",
    "ModeNotSupported",
    "NegativePromptNotSupported",
    "NoTriggerWords",
    "NotAMultiple",
    "NotWhole",
    "NothingToCompare",
    "OriginConflict",
    "OutOfRange",
    "PhrasesRefused",
    "PromptEmpty",
    "PromptTooLong",
    "PublishedConflict",
    "ReferenceForbidden",
    "ReferenceMissing",
    "ReferenceRequired",
    "ReferenceUnsuitable",
    "Rule",
    "SameRun",
    "SameWeights",
    "SchedulerDoesNotFit",
    "SettingConflict",
    "SettingMissing",
    "SettingNotSupported",
    "StrengthOutOfRange",
    "SyntaxWithoutEffect",
    "TextTooLarge",
    "TextUnparsable",
    "TextUnreadable",
    "TooManyCells",
    "TooManyLoras",
    "TooManyPixels",
    "TooManyReferences",
    "TooMuchForVisitor",
    "TriggerAxisWithoutWords",
    "TriggerDuplicated",
    "TriggerForbidden",
    "TriggerMissing",
    "UnknownBase",
    "UnknownLora",
    "UnknownPart",
    "UnknownScheduler",
    "Violation",
    "WeightsMissing",
    "WeightsUnusable",
]
