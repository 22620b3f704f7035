"""Schema steps: a later field changes no earlier record, and a newer record is named as one."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import pytest
from pydantic import ValidationError, create_model

from studio.contract import base
from studio.contract.base import (
    Contract,
    Versioned,
    added,
    canonical_json,
    parse_written,
    schema_step,
)
from studio.contract.origin import FloatSetting
from studio.contract.plan import PlanSettings
from studio.errors import NewerRecord, RecordError
from studio.gallery.verification import examine
from tests.golden.fields import differences, fields, unannounced, used, uses
from tests.support.records import newer_picture, run_record


class Colour(StrEnum):
    __since__ = {"blue": 2}  # noqa: RUF012  # what an enum keeps beside its members
    RED = "red"
    BLUE = "blue"


class Inner(Contract):
    colour: Colour = Colour.RED
    eta: float | None = added(since=2)


class Written(Versioned):
    inner: Inner = Inner()


@pytest.fixture
def second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SCHEMA", 2)


def parse(text: str) -> Written:
    return parse_written(Written, text, "The file", "Take another.")


def test_what_uses_nothing_new_is_written_as_before(second_step: None) -> None:
    plain = Written()
    assert canonical_json(plain.model_dump(mode="json")) == (
        '{"inner":{"colour":"red"},"schema_version":1}'
    )
    assert parse('{"inner":{"colour":"red"},"schema_version":1}') == plain


@pytest.mark.parametrize("inner", [Inner(eta=0.5), Inner(colour=Colour.BLUE)])
def test_what_uses_a_new_field_or_value_says_its_step(second_step: None, inner: Inner) -> None:
    written = Written(inner=inner)
    assert (written.schema_version, schema_step(written)) == (2, 2)
    assert Written().model_copy(update={"inner": inner}) == written
    assert parse(canonical_json(written.model_dump(mode="json"))) == written


def test_a_new_field_under_an_old_step_is_an_edit(second_step: None) -> None:
    with pytest.raises(RecordError, match="schema version 1"):
        parse('{"inner":{"colour":"red","eta":0.5},"schema_version":1}')


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
def test_a_step_that_cannot_be_is_refused(version: object) -> None:
    with pytest.raises(RecordError, match="schema version"):
        parse(json.dumps({"inner": {"colour": "red"}, "schema_version": version}))


def test_a_step_of_the_future_is_not_constructed() -> None:
    with pytest.raises(ValidationError):
        Written(schema_version=base.SCHEMA + 1)


def test_a_field_of_the_future_is_a_newer_studio_and_no_edit() -> None:
    version = base.SCHEMA + 1
    with pytest.raises(NewerRecord) as caught:
        parse(json.dumps({"new": True, "inner": {}, "schema_version": version}))
    assert caught.value.code == "newer_record"


def test_verify_tells_a_newer_picture_from_an_edited_one() -> None:
    whole, edited = (examine(newer_picture(spoiled=spoiled)) for spoiled in (False, True))
    assert [finding.code for finding in whole.findings] == ["newer_record"]
    assert [finding.code for finding in edited.findings] == ["newer_record", "record_hash"]


def changed(**said: Any) -> dict[str, str]:
    """The fields of ``PlanSettings`` with other ones beside or in place of them."""
    return fields(create_model("PlanSettings", __base__=PlanSettings, **said))


def test_the_walk_names_a_field_that_was_added_removed_or_changed() -> None:
    now = fields(PlanSettings)
    more = changed(watts=(float, 0.0))
    assert differences(now, more) == ["added: PlanSettings.watts: number = 0.0"]
    assert differences(more, now) == ["removed or renamed: PlanSettings.watts: number = 0.0"]
    assert differences(now, changed(dtype=(int, ...))) == [
        "changed: PlanSettings.dtype: string → integer"
    ]
    assert differences(now, changed(vae_tiling=(bool, False))) == [
        "changed: PlanSettings.vae_tiling: boolean = false, left out → boolean = false"
    ]


def test_only_what_says_its_step_comes_with_it() -> None:
    now = fields(PlanSettings)
    more = changed(watts=(FloatSetting | None, added(since=2)))
    assert more["PlanSettings.watts"] == "object | null = null, left out, since 2"
    assert unannounced(now, more, step=2) == []
    assert unannounced(now, changed(watts=(float, added(since=2, default=0.0))), step=2) == []
    assert unannounced(now, more, step=9)[0] == (
        "added: PlanSettings.watts: object | null = null, left out, since 2"
    )
    unsaid = changed(watts=(float, added(since=2, default=0.0)), watts_too=(float, 0.0))
    assert unannounced(now, unsaid, step=2) == ["added: PlanSettings.watts_too: number = 0.0"]
    assert unannounced(more, now, step=2) != []


def test_a_new_value_of_an_enum_comes_with_its_step() -> None:
    red = {"Inner.colour": '"red" = "red"'}
    both = {path: kind for path, kind in fields(Inner).items() if path == "Inner.colour"}
    assert both == {"Inner.colour": '"red" or "blue" (since 2) = "red"'}
    assert unannounced(red, both, step=2) == []
    assert unannounced(red, both, step=9) != []
    assert uses(2, fields(Inner)) == {"Inner.eta", 'Inner.colour = "blue"'}
    written = Inner(colour=Colour.BLUE, eta=0.5).model_dump(mode="json")
    assert set(used("Inner", written)) >= uses(2, fields(Inner))


def test_a_changed_copy_of_a_plan_has_a_fingerprint_of_its_own() -> None:
    plan = run_record().plan
    before = plan.fingerprint
    assert plan.model_copy(update={"seed": plan.seed + 1}).fingerprint != before
