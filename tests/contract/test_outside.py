"""What comes from outside is checked where it is read: nothing of it leads out of its folder."""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from studio.architecture import Mode
from studio.cli import run
from studio.comparison.record import ComparisonRecord
from studio.comparison.votes import BlindVote
from studio.contract.base import canonical_json, is_sha256
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, ReferenceImage
from studio.errors import GalleryError, RecordError, UnusableReference
from studio.gallery import Gallery
from studio.gallery import record_png as picture
from studio.gallery.comparisons import files
from studio.gallery.comparisons.verification import verify_comparison
from studio.gallery.reference_store import KeptReferences
from studio.gallery.verification import verify
from studio.imaging import png
from studio.imaging.references import References, load
from studio.ui.html import comparison as compare_html
from studio.ui.html import gallery as grid
from tests.gallery.test_contact_sheet import WANTED, recorded
from tests.gallery.test_gallery_references import given
from tests.support.records import flat, plan_settings, run_plan, run_receipt

Path_ = tuple[str | int, ...]
HASHES = (
    "",
    "../../victim",
    "/etc/passwd",
    "a" * 63,
    "a" * 5000,
    "A" * 64,
    "\0" * 64,
    "a" * 64 + "\n",
    "é" * 64,
)
"""What is not a SHA-256, and could be a path."""


def full_record() -> RunRecord:
    """A record with every kind of hash in it."""
    reference = ReferenceImage(sha256="c" * 64, width=64, height=64)
    plan = run_plan(mode=Mode.REFERENCE_EDIT, references=(reference,), settings=plan_settings())
    return RunRecord.of(plan, run_receipt(plan, flat(), references=("c" * 64,)))


def full_comparison() -> ComparisonRecord:
    record = recorded(WANTED["four arms on two seeds"])
    cells = [cell.model_copy(update={"picture": "2026-11-22/x.png"}) for cell in record.cells]
    return record.model_copy(update={"cells": tuple(cells)})


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    else:
        yield path, value


def changed(value: Any, path: Path_, new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return copy


RECORD = full_record().model_dump(mode="json")
COMPARISON = full_comparison().model_dump(mode="json")
WHOLE: dict[str, tuple[type[BaseModel], Any]] = {
    "record": (RunRecord, RECORD),
    "comparison": (ComparisonRecord, COMPARISON),
}


def hash_fields() -> list[tuple[str, Path_]]:
    found = [
        (kind, path)
        for kind, (_, value) in WHOLE.items()
        for path, leaf in leaves(value)
        if isinstance(leaf, str) and is_sha256(leaf)
    ]
    unlike: dict[tuple[str, Path_], Path_] = {}
    for kind, path in found:  # one of a list stands for the others
        unlike.setdefault((kind, tuple(0 if isinstance(p, int) else p for p in path)), path)
    return [(kind, path) for (kind, _), path in unlike.items()]


FIELDS = hash_fields()


def test_every_field_that_is_called_a_hash_is_among_them() -> None:
    named = {path[-1] for _, path in FIELDS}
    assert named >= {"sha256", "plan_fingerprint", "record_fingerprint", "base_sha256", "now"}
    assert named >= {"pixels_sha256", "noise_sha256", "sheet_pixels_sha256", "loaded", 0}


@pytest.mark.parametrize(("kind", "path"), FIELDS, ids=[f"{k}-{p}" for k, p in FIELDS])
def test_a_hash_that_is_none_is_not_read(kind: str, path: Path_) -> None:
    contract, value = WHOLE[kind]
    contract.model_validate(value)
    for text in HASHES:
        with pytest.raises(ValidationError):
            contract.model_validate(changed(value, path, text))


@pytest.mark.parametrize("field", ["comparison", "left", "right"])
def test_a_vote_is_on_a_fingerprint(field: str) -> None:
    vote = dict.fromkeys(("comparison", "left", "right"), "a" * 64)
    rest = {"choice": "left", "swapped": False, "at": "2026-11-22T15:30:12Z"}
    BlindVote.model_validate(vote | rest)
    for text in HASHES:
        with pytest.raises(ValidationError):
            BlindVote.model_validate(vote | rest | {field: text})


def test_a_request_names_references_by_their_hash() -> None:
    request = {"base": "mini", "mode": "reference_edit", "prompt": "so", "seed": 1}
    for text in HASHES:
        given_ = [{"sha256": text, "width": 8, "height": 8}]
        with pytest.raises(ValidationError):
            GenerationRequest.model_validate({**request, "references": given_})


def forged(value: Any) -> bytes:
    """A picture whose record is ``value``, all hashes computed anew."""
    text = canonical_json(value)
    buffer = io.BytesIO()
    flat().save(buffer, format="PNG")
    texts = {
        picture.RECORD_KEY: text,
        picture.HASH_KEY: hashlib.sha256(text.encode()).hexdigest(),
        picture.PARAMETERS_KEY: "x",
    }
    return png.with_texts(buffer.getvalue(), texts)


def test_deleting_a_forged_picture_removes_nothing_else(tmp_path: Path) -> None:
    victim = tmp_path / "victim.png"
    victim.write_bytes(b"mine")
    outputs = tmp_path / "outputs"
    day = outputs / "2026-11-22"
    day.mkdir(parents=True)
    (outputs / "references").mkdir()
    for number, text in enumerate((str(victim.with_suffix("")), "../../victim", "../victim")):
        value = changed(RECORD, ("plan", "references", 0, "sha256"), text)
        value = changed(value, ("receipt", "references", 0), text)
        (day / f"{number}.png").write_bytes(forged(value))
    shelf = Gallery(outputs)
    assert shelf.query() == []
    for path in sorted(day.iterdir()):
        with pytest.raises(RecordError):
            shelf.read(path)
        assert [finding.code for finding in verify(path, shelf.reference).findings] == ["record"]
        shelf.delete(path)
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("text", HASHES)
def test_no_store_makes_a_path_of_what_is_no_hash(text: str, tmp_path: Path) -> None:
    kept = KeptReferences(tmp_path)
    waiting = References(tmp_path, kept.path)
    for use in (kept.path, waiting.locate, waiting.touch, lambda each: kept.forget([each])):
        with pytest.raises(ValueError, match="no SHA-256"):
            use(text)


EVIL: tuple[Any, ...] = (
    "",
    "\0",
    "x" * 5000,
    "../../x",
    "\n",
    -1,
    10**30,
    1e308,
    None,
    [],
    "9999-99-99",
)


def test_any_field_forged_in_any_way_is_a_picture_or_a_named_problem(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    paths = [path for path, _ in leaves(RECORD)]
    for number, (path, evil) in enumerate((p, e) for p in paths for e in EVIL):
        (outputs / f"{number}.png").write_bytes(forged(changed(RECORD, path, evil)))
    shelf = Gallery(outputs)
    assert shelf.query(limit=10_000)
    for file in sorted(outputs.glob("*.png")):
        try:
            record = shelf.read(file)
        except GalleryError:
            continue
        assert verify(file, shelf.reference).record == record
        assert grid.contract(record)
    assert not list(tmp_path.glob("*.png"))


def stored(folder: Path, value: Any) -> Path:
    text = canonical_json(value)
    whole = {"record": value, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    path = folder / f"x{files.JSON_SUFFIX}"
    path.write_text(canonical_json(whole))
    return path


def forgeries() -> Iterator[tuple[str, Any]]:
    for name in ("row", "column", "repeat"):
        for value in (10**8, -1, 63):
            yield f"{name}={value}", changed(COMPARISON, ("cells", 0, "place", name), value)
    for name in (
        "/etc/x.png",
        "../x.png",
        "a/../../x.png",
        ".state/x.png",
        "x" * 300,
        "a\0b",
        "",
        "C:\\x",
    ):
        yield f"picture={name[:12]!r}", changed(COMPARISON, ("cells", 0, "picture"), name)
    for side in ("left", "right"):
        pairs = changed(COMPARISON, ("numbers",), [{"left": 0, "right": 1, "measures": None}])
        yield f"{side} of a pair", changed(pairs, ("numbers", 0, side), 99)
    reasons = [{"code": "x", "text": "x", "cells": [99]}]
    yield "a reason's cell", changed(COMPARISON, ("validity", "reasons"), reasons)
    yield "countless cells", changed(COMPARISON, ("cells",), COMPARISON["cells"][:1] * 1000)
    yield "no rows", changed(COMPARISON, ("rows",), [])


FORGERIES = dict(forgeries())


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_comparison_has_no_readable_record(name: str, tmp_path: Path) -> None:
    assert files.read(stored(tmp_path, COMPARISON)).title
    path = stored(tmp_path, FORGERIES[name])
    with pytest.raises(RecordError):
        files.read(path)
    assert [finding.code for finding in verify_comparison(path).findings] == ["comparison"]


def test_the_page_shows_a_comparison_at_the_edge_of_what_is_read() -> None:
    wide = changed(COMPARISON, ("wanted", "request", "count"), 64)
    record = ComparisonRecord.model_validate(changed(wide, ("cells", 0, "place", "repeat"), 63))
    shown = compare_html.Grid(record.rows, record.columns, record.cells, Path("x"))
    assert len(compare_html.grid(shown)) < 10**6


def test_an_unknown_pipeline_is_named_where_the_record_is_read() -> None:
    value = changed(RECORD, ("plan", "base", "pipeline"), "os.system")
    with pytest.raises(RecordError, match="does not know this pipeline"):
        picture.parse_record(canonical_json(value))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "outputs" / "references" / f"{'c' * 64}.png"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    return path


def test_a_pipe_keeps_nobody_waiting(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = ReferenceImage(sha256="c" * 64, width=64, height=64)
    with pytest.raises(UnusableReference, match="not a plain file"):
        load(pipe, reference)
    outputs = pipe.parent.parent
    made = Gallery(outputs).save(flat(), full_record())
    assert {each.code for each in verify(made, KeptReferences(pipe.parent).path).findings} == {
        "reference"
    }
    for path in (pipe, made):
        assert run(["verify", str(path)]) == 1
    os.mkfifo(outputs / "other.png")
    assert run(["verify", str(outputs / "other.png")]) == 1
    assert "not a plain file" in capsys.readouterr().out


def test_a_reference_that_is_kept_is_read_as_ever(tmp_path: Path) -> None:
    reference, path = given(tmp_path, 1)
    assert load(path, reference).size == (64, 64)
