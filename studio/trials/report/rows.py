"""What the sheet, the card's page and its Markdown have in common."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio.trials.findings import Findings
from studio.trials.observations import PromptKind, TrialArm
from studio.trials.report.card import EpochCard
from studio.trials.samples import in_order
from studio.trials.words import (
    ON,
    arm_name,
    interval_text,
    measure_name,
    naming,
    step_name,
    strength_name,
)

KINDS = (PromptKind.TRIGGER, PromptKind.PLAIN, PromptKind.FAR)
_FIRST = ("leak", "likeness", "clip_text", "contrast", "effect")
"""Measures in the order in which they are told."""
_COLUMNS = 4
"""Measures beside the goal in the table."""


def title(card: EpochCard) -> str:
    if card.chosen is None:
        return f"Trial of {card.run}"
    return f"{card.run}: {arm_name(card.chosen)}"


def facts(card: EpochCard) -> Iterator[tuple[str, str, str]]:
    """Name, text, and a hash or nothing."""
    if card.chosen is not None:
        at = strength_name(card.chosen.strength, card.chosen.finer)
        yield "Chosen", f"checkpoint {step_name(card.chosen)} at strength {at}", ""
    if card.file is not None:
        yield "File", card.file.file, card.file.sha256
    yield "Base", card.base, ""
    yield "Trigger words", card.trigger or "none", ""
    steps = list(dict.fromkeys(step_name(arm) for arm in arms_of(card)))
    yield "Checkpoints", f"{len(steps)}: {', '.join(steps)}" if steps else "none measured", ""
    yield "Trial", card.trial, card.design
    yield "Made with", f"LoRA Studio {card.release}, {card.device}", ""


def failed(card: EpochCard) -> Iterator[str]:
    if card.failed:
        yield f"{card.failed} pictures could not be made and are missing from every number."


def arms_of(card: EpochCard) -> list[TrialArm]:
    return in_order({point.arm for curve in card.findings.curves for point in curve.points})


def told_of(found: Findings) -> list[tuple[str, PromptKind]]:
    """What was measured, on which prompts: the goal first, then what decides with it."""
    goal = (found.goal.measure, found.goal.kind)
    there = {(curve.measure, curve.kind) for curve in found.curves}

    def order(each: tuple[str, PromptKind]) -> tuple[bool, int, int, str]:
        measure, kind = each
        rank = _FIRST.index(measure) if measure in _FIRST else len(_FIRST)
        return each != goal, rank, KINDS.index(kind), measure

    return sorted(there, key=order)


def table(card: EpochCard) -> Mapping[str, Any]:
    """Heads and rows, as ``told_of`` orders them."""
    found = card.findings
    columns = told_of(found)[: 1 + _COLUMNS]
    numbers = [found.numbers(*column) for column in columns]
    return {
        "heads": [f"{measure_name(measure)}, {ON[kind]}" for measure, kind in columns],
        "rows": [
            {
                "name": naming(found)(arm),
                "taken": arm == card.chosen,
                "numbers": [
                    interval_text(each[arm], whole=False) if arm in each else ""
                    for each in numbers
                ],
                "standing": standing(found, arm),
            }
            for arm in arms_of(card)
        ],
    }


def standing(found: Findings, arm: TrialArm) -> str:
    """Where an arm stands, in two words or so."""
    if found.leader is None:
        return ""
    if arm == found.leader.arm:
        return "best"
    for alarm in found.alarms:
        if alarm.code == "twins" and arm in alarm.arms[1:]:
            return f"the same as {naming(found)(alarm.arms[0])}"
    for each in found.contenders:
        if each.arm == arm:
            return "behind" if each.against.out else "not told apart"
    return "not measured"
