"""A trial as pages that need nothing beside them: the whole sheet, and the card of one arm.

Both hold the card they were drawn from, which ``studio verify`` reads.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.trials.observations import PromptKind, TrialArm
from studio.trials.report import drawing, people
from studio.trials.report.card import CardPicture, EpochCard, embedded, embedded_duels
from studio.trials.report.rows import KINDS, arms_of, facts, failed, table, title, told_of
from studio.trials.tournament import Duel
from studio.trials.words import (
    ON,
    alarm_texts,
    arm_name,
    caveats,
    measure_name,
    missing_text,
    naming,
    sentences,
    step_name,
    strength_name,
)

Faces = Mapping[str, bytes]
"""SHA-256 of a picture's pixels → a small WebP file of it."""
FOLDER = Path(__file__).parent
PAGE_CSS, REPORT_CSS = "page.css", "report.css"
_PAIRS = 6
"""Prompts that the card shows."""


def sheet(card: EpochCard, thumbnails: Faces, duels: Sequence[Duel] = ()) -> str:
    """The whole trial, HTML.

    Args:
        duels: what people chose; they stand in the page like the card.
    """
    return _page("sheet.html", card, thumbnails, duels)


def sheet_part(card: EpochCard, sources: Mapping[str, str], duels: Sequence[Duel] = ()) -> str:
    """The same for a page that has ``report.css`` and gives it its colours.

    Args:
        sources: SHA-256 of a picture's pixels → the address of a small picture of it.
    """
    template = _environment().get_template("sheet.html")
    main = template.blocks["main"](template.new_context(_said(card, sources, duels)))
    return f'<div class="report">{"".join(main)}</div>'


def card_page(card: EpochCard, thumbnails: Faces, duels: Sequence[Duel] = ()) -> str:
    """The card of what was chosen, HTML; ``duels`` as in ``sheet``."""
    return _page("card.html", card, thumbnails, duels)


def pictures_of_sheet(card: EpochCard) -> tuple[CardPicture, ...]:
    """Those that the sheet shows: of each arm and prompt that of the first seed."""
    first: dict[tuple[TrialArm | None, PromptKind, str], CardPicture] = {}
    for each in sorted(card.pictures, key=lambda picture: picture.seed):
        first.setdefault((each.arm, each.kind, each.prompt), each)
    return tuple(first.values())


def pictures_of_card(card: EpochCard) -> tuple[CardPicture, ...]:
    """Those that the card's page shows: of the chosen arm, each after the base's."""
    shown = {(each.arm, each.kind, each.prompt): each for each in pictures_of_sheet(card)}
    found: list[CardPicture] = []
    for kind in KINDS:
        for prompt in [each.name for each in card.prompts if each.kind is kind]:
            pair = [shown.get((arm, kind, prompt)) for arm in (None, card.chosen)]
            if card.chosen is not None and None not in pair and len(found) < 2 * _PAIRS:
                found += [each for each in pair if each is not None]
    return tuple(found)


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(name: str, card: EpochCard, thumbnails: Faces, duels: Sequence[Duel]) -> str:
    sources = {
        pixels: f"data:image/webp;base64,{base64.b64encode(data).decode('ascii')}"
        for pixels, data in thumbnails.items()
    }
    css = "".join((FOLDER / each).read_text(encoding="utf-8") for each in (PAGE_CSS, REPORT_CSS))
    own = {
        "css": Markup(css),
        "embedded": Markup(embedded(card)),
        "duels": Markup(embedded_duels(duels)),
    }
    said = _said(card, sources, duels)
    text: str = _environment().get_template(name).render(**said, **own)
    return text


def _said(card: EpochCard, sources: Mapping[str, str], duels: Sequence[Duel]) -> dict[str, object]:
    found = card.findings
    doubtful = [
        naming(found)(each.arm)
        for each in (found.plane.arms if found.plane else ())
        if not each.on.front and each.on.share > 1 - found.confidence
    ]
    return {
        "title": title(card),
        "card": card,
        "facts": list(facts(card)),
        "said": sentences(found),
        "alarms": [*card.invalid, *alarm_texts(found)],
        "caveats": [*caveats(found), *failed(card)],
        "missing": "; ".join(missing_text(found)),
        "measures": list(_measures(card)),
        "drawings": list(_drawings(card)),
        "lines": drawing.LINES,
        "plane": _plane(card),
        "people": _people(card, duels),
        "doubtful": ", ".join(doubtful),
        "table": table(card),
        "grids": list(_grids(card, sources)),
        "pairs": list(_pairs(card, sources)),
    }


def _measures(card: EpochCard) -> Iterator[Mapping[str, str]]:
    for each in card.measures:
        models = "".join(f" {model.name}, SHA-256 {model.sha256}." for model in each.models)
        yield {
            "name": measure_name(each.name).capitalize(),
            "unit": each.unit,
            "says": each.says,
            "cannot": each.cannot,
            "source": each.source,
            "models": models,
        }


def _drawings(card: EpochCard) -> Iterator[Mapping[str, object]]:
    """The goal first, as ``told_of`` orders them."""
    found = card.findings
    said = {each.name: each for each in card.measures}
    for measure, kind in told_of(found):
        lines = [line for line in found.curves if (line.measure, line.kind) == (measure, kind)]
        yield {
            "name": measure_name(measure).capitalize(),
            "unit": said[measure].unit if measure in said else "unit not said",
            "on": ON[kind],
            "says": said[measure].says if measure in said else "",
            "strengths": [strength_name(line.strength, line.finer) for line in lines],
            "svg": drawing.curves(lines),
        }


def _people(card: EpochCard, duels: Sequence[Duel]) -> Mapping[str, object] | None:
    said = people.people_said(card, duels)
    if said is None:
        return None
    return {
        "said": list(people.sentences(card, said)),
        "ranks": list(people.ranks(card, said)),
        "measures": list(people.correlations(said)),
    }


def _plane(card: EpochCard) -> Mapping[str, object] | None:
    of = card.findings.plane
    if of is None:
        return None
    up, across = (measure_name(goal.measure).capitalize() for goal in (of.good, of.bad))
    if of.bad.kind is not of.good.kind:
        across = f"{across} {ON[of.bad.kind]}"
    return {
        "title": f"{up} against {across[0].lower()}{across[1:]}",
        "up": up,
        "across": across,
        "svg": drawing.plane(of, card.chosen, naming(card.findings)),
    }


def _shown(
    card: EpochCard, sources: Mapping[str, str], picture: CardPicture | None
) -> Mapping[str, str] | None:
    source = None if picture is None else sources.get(picture.pixels)
    if picture is None or source is None:
        return None
    name = "base" if picture.arm is None else arm_name(picture.arm)
    prompt = _prompts(card).get((picture.kind, picture.prompt), picture.prompt)
    return {
        "pixels": picture.pixels,
        "src": source,
        "alt": f"{name}: {prompt}",
        "title": f"{name}, seed {picture.seed}, record {picture.record[:12]}",
        "caption": f"{name}, {ON[picture.kind]}: {prompt}",
    }


def _prompts(card: EpochCard) -> dict[tuple[PromptKind, str], str]:
    return {(each.kind, each.name): each.text for each in card.prompts}


def _grids(card: EpochCard, sources: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    shown = {(each.arm, each.kind, each.prompt): each for each in pictures_of_sheet(card)}
    if not any(each.pixels in sources for each in shown.values()):
        return
    columns = sorted(_prompts(card), key=lambda column: KINDS.index(column[0]))
    arms = arms_of(card)
    # Equal files share one's pictures, and what does nothing has the base's.
    same: dict[TrialArm | None, TrialArm | None] = {
        arm: alarm.arms[0] if alarm.code == "twins" else None
        for alarm in card.findings.alarms
        if alarm.code in ("twins", "inert")
        for arm in alarm.arms
    }
    for at in sorted({(arm.strength, arm.finer) for arm in arms}):
        own: Sequence[TrialArm | None] = [None, *(a for a in arms if (a.strength, a.finer) == at)]
        yield {
            "strength": strength_name(*at),
            "seed": min(each.seed for each in shown.values()),
            "prompts": [f"{_prompts(card)[column]}, {ON[column[0]]}" for column in columns],
            "rows": [
                {
                    "name": "base" if arm is None else step_name(arm),
                    "taken": arm is not None and arm == card.chosen,
                    "cells": [
                        _shown(card, sources, shown.get((same.get(arm, arm), *column)))
                        for column in columns
                    ],
                }
                for arm in own
            ],
        }


def _pairs(card: EpochCard, sources: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    for picture in pictures_of_card(card):
        said = _shown(card, sources, picture)
        if said is not None:
            yield said
