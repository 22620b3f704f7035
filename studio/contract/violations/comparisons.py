"""What a comparison asks for beyond its request: its axes and their values."""

from typing import Literal

from studio.contract.violations.rule import Rule


class AxisTooShort(Rule):
    FOUND = "The axis {name} needs at least 2 values and has {count}."
    EXPECTED = "two values or more"
    WAY_OUT = "Give it two values or more, or leave the axis out."
    code: Literal["axis_too_short"] = "axis_too_short"
    name: str
    count: int


class AxisValueRefused(Rule):
    FOUND = "{value!r} is not a value for the axis {name}."
    EXPECTED = "{wanted}"
    WAY_OUT = "Give {wanted}."
    code: Literal["axis_value_refused"] = "axis_value_refused"
    name: str
    value: str
    wanted: str


class AxisValueTwice(Rule):
    FOUND = "The axis {name} has {value!r} twice."
    EXPECTED = "each value once"
    WAY_OUT = "Keep one of them: equal cells give equal pictures."
    code: Literal["axis_value_twice"] = "axis_value_twice"
    name: str
    value: str


class AxesClash(Rule):
    FOUND = "{reason}"
    EXPECTED = "axes that say different things"
    WAY_OUT = "{remedy}"
    code: Literal["axes_clash"] = "axes_clash"
    reason: str
    remedy: str


class NothingToCompare(Rule):
    FOUND = "The comparison has no axis, so it is one picture."
    EXPECTED = "one axis or two"
    WAY_OUT = "Say what shall vary, or generate the picture in Studio."
    code: Literal["nothing_to_compare"] = "nothing_to_compare"
    field: str = "comparison.columns"


class TooManyCells(Rule):
    FOUND = "The comparison has {count} cells, without its controls."
    EXPECTED = "at most {limit}"
    WAY_OUT = "Take values or seeds away until {limit} cells are left."
    code: Literal["too_many_cells"] = "too_many_cells"
    field: str = "comparison.columns"
    count: int
    limit: int


class ComparisonNeedsLora(Rule):
    FOUND = "This comparison asks what a LoRA does, and the request applies none (mode {mode!r})."
    EXPECTED = "a request in the mode 'lora' or 'lora_with_trigger'"
    WAY_OUT = "Choose a LoRA, and the mode 'lora' or 'lora_with_trigger'."
    code: Literal["comparison_needs_lora"] = "comparison_needs_lora"
    field: str = "mode"
    mode: str


class TriggerAxisWithoutWords(Rule):
    FOUND = "The trigger is switched on and off, and the LoRAs have no trigger words: {labels}."
    EXPECTED = "a LoRA with trigger words"
    WAY_OUT = "Compare base against LoRA instead, or choose a LoRA with trigger words."
    code: Literal["trigger_axis_without_words"] = "trigger_axis_without_words"
    field: str = "comparison.kind"
    labels: str


class SameRun(Rule):
    """
    Attributes:
        left, right: two values of the axis, as they are labelled.
        where: the place on the other axis, as " at …"; empty where it is so at all of them.
    """

    FOUND = "{left} and {right} are one and the same run{where}: {reason}."
    EXPECTED = "cells that differ in something that reaches the pixels"
    WAY_OUT = "{remedy}"
    code: Literal["same_run"] = "same_run"
    left: str
    right: str
    where: str
    reason: str
    remedy: str
