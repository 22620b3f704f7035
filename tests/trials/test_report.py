"""The sheet and the card: standing alone, saying what the record says, and verified."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from studio.cli import app
from studio.trials.report.card import EpochCard, read, write
from studio.trials.report.markdown import markdown
from studio.trials.report.page import (
    card_page,
    pictures_of_card,
    pictures_of_sheet,
    sheet,
)
from studio.trials.report.verification import card_text, verify_card
from tests.support.simulated_trials import simulated_card


@pytest.fixture(scope="module")
def card() -> EpochCard:
    return simulated_card()


@pytest.fixture(scope="module")
def thumbnails(card: EpochCard) -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(buffer, "WEBP")
    return {each.pixels: buffer.getvalue() for each in card.pictures}


class Page(HTMLParser):
    """What a page asks for, and whether its elements close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.counts: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.addresses += [str(v) for name, v in attrs if name in ("src", "href")]
        if tag not in {"meta", "img", "br", "line", "polygon", "polyline"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_sheet_stands_alone(card: EpochCard, thumbnails: dict[str, bytes]) -> None:
    text = sheet(card, thumbnails)
    page = Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert re.findall(r"<script(?! type=\"application/json\")|@import|url\(", text) == []
    assert "pen-ink &lt;mini&gt;" in text
    curves = {(curve.measure, curve.kind) for curve in card.findings.curves}
    assert page.counts["svg"] == len(curves) + 1
    assert text.count('class="knee') == sum(c.knee is not None for c in card.findings.curves)


def test_a_trial_without_pictures_or_numbers_has_a_sheet(card: EpochCard) -> None:
    from studio.trials.findings import findings

    rule = card.findings
    empty = card.model_copy(
        update={
            "observations": (),
            "pictures": (),
            "chosen": None,
            "findings": findings((), rule.goal, rule.resampling),
        }
    )
    page = Page(sheet(empty, {}))
    assert "svg" not in page.counts
    assert verify_card(write(empty), None).ok
    assert markdown(empty).startswith("# Trial of")


def test_the_card_shows_the_chosen_beside_the_base(
    card: EpochCard, thumbnails: dict[str, bytes]
) -> None:
    shown = pictures_of_card(card)
    assert [each.arm and each.arm.step for each in shown] == [None, 1500] * 4
    assert {each.seed for each in pictures_of_sheet(card)} == {0}
    page = Page(card_page(card, thumbnails))
    assert page.counts["img"] == 8
    said = markdown(card)
    assert card.fingerprint in said
    assert card.file is not None
    assert card.file.sha256 in said
    assert "| 1,500 |" in said


def test_a_card_and_its_pages_verify(card: EpochCard, thumbnails: dict[str, bytes]) -> None:
    for text in (write(card), sheet(card, thumbnails), card_page(card, {})):
        answer = verify_card(text, None)
        assert answer.findings == ()
        assert answer.card == card
        assert answer.found == 0


def test_a_card_with_another_number_does_not(card: EpochCard) -> None:
    """Whoever seals it anew is found out by the observations."""
    whole = json.loads(write(card))
    point = whole["card"]["findings"]["curves"][0]["points"][2]["interval"]
    point["median"] += 0.01
    edited = verify_card(json.dumps(whole, separators=(",", ":")), None)
    assert {each.code for each in edited.findings} == {"card", "number"}
    forged = EpochCard.model_validate(whole["card"])
    sealed = verify_card(write(forged), None)
    assert [each.code for each in sealed.findings] == ["number"]
    assert "curves[0].points[2].interval.median" in sealed.findings[0].text


def test_loose_ends_are_found(card: EpochCard) -> None:
    loose = card.model_copy(
        update={
            "pictures": card.pictures[1:],
            "measures": card.measures[1:],
            "files": card.files[:-1],
            "chosen": card.chosen and card.chosen.model_copy(update={"strength": 0.5}),
        }
    )
    codes = [each.code for each in verify_card(write(loose), None).findings]
    assert codes == ["trace"] * 4


def test_a_page_that_shows_other_numbers_is_found_out(
    card: EpochCard, thumbnails: dict[str, bytes]
) -> None:
    page = card_page(card, thumbnails)
    assert card.findings.leader is not None
    said = f"{card.findings.leader.interval.median:.3g}"
    forged = page.replace(said, "0.999", 1)
    assert forged != page
    assert [each.code for each in verify_card(forged, None).findings] == ["page"]


def test_what_is_no_card_is_refused() -> None:
    for text in ('{"card": 1}', '{"card":{}}', '{"card":{"schema_version":1},"sha256":""}'):
        answer = verify_card(text, None)
        assert [each.code for each in answer.findings] == ["card"]
    newer = '{"card":{"schema_version":99},"sha256":""}'
    assert [each.code for each in verify_card(newer, None).findings] == ["newer_record"]


def test_verify_takes_cards_and_pages(
    card: EpochCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole, page = tmp_path / "ink.card.json", tmp_path / "ink.html"
    whole.write_text(write(card), encoding="utf-8")
    page.write_text(card_page(card, {}), encoding="utf-8")
    ran = CliRunner().invoke(app, ["verify", "--json", str(whole), str(page)])
    assert ran.exit_code == 0, ran.output
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each["ok"] for each in said] == [True, True]
    assert said[0]["fingerprint"] == card.design
    whole.write_text(write(card).replace('"failed":0', '"failed":1'), encoding="utf-8")
    changed = CliRunner().invoke(app, ["verify", str(whole)])
    assert changed.exit_code == 1
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert card_text(other) is None
    assert read(write(card)) == (card, card.fingerprint)
