"""Decisions: bound to a record, exported with its whole contract, gone with it."""

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.comparison.review import Judgement, ReviewState, agreement, as_csv, as_jsonl
from studio.errors import GalleryError
from studio.gallery import Filter, Gallery, Picture
from studio.gallery import record_png as pictures
from studio.imaging import png
from studio.workspace.packing import packed, records
from studio.workspace.reviewing import Imported, Reviewing
from tests.support.records import flat, run_record

UNKNOWN = "0" * 64


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "outputs")


def save(gallery: Gallery, prompt: str = "a rocket", seed: int = 1) -> Path:
    image = flat()
    return gallery.save(image, run_record(image, prompt=prompt, seed=seed))


def test_decisions_stand_beside_one_another(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    reviewing.decide(path, Judgement.REJECT, "too dark")
    reviewing.decide(path, Judgement.APPROVE)
    record = gallery.read(path)
    found = reviewing.on(path)
    assert [each.judgement for each in found] == [Judgement.REJECT, Judgement.APPROVE]
    assert {each.record_fingerprint for each in found} == {record.fingerprint}
    assert {each.plan_fingerprint for each in found} == {record.plan_fingerprint}
    with pytest.raises(GalleryError, match="a note needs words"):
        reviewing.decide(path, Judgement.NOTE, "  ")


A, R = Judgement.APPROVE, Judgement.REJECT
SAID: dict[str, list[tuple[str, Judgement]]] = {
    "both": [("Anna", A), ("Ben", A)],
    "changed": [("Anna", R), ("Anna", A)],
    "torn": [("Anna", A), ("Ben", R)],
    "bad": [("Ben", R)],
    "noted": [("Anna", Judgement.NOTE)],
}
UNDECIDED, APPROVED = ReviewState.UNDECIDED, ReviewState.APPROVED
REJECTED, DISAGREED = ReviewState.REJECTED, ReviewState.DISAGREED


def test_pictures_are_found_by_who_decided_what(gallery: Gallery) -> None:
    """Also by an index that is made anew, and by a copy that comes later."""
    reviewing = Reviewing(gallery)
    for seed, (prompt, said) in enumerate(SAID.items()):
        path = save(gallery, prompt, seed)
        for by, judgement in said:
            reviewing.decide(path, judgement, "why", by)
    copy = path.with_name("copy.png")
    shutil.copy(path, copy)
    expected = {
        Filter(standing=APPROVED): "both changed",
        Filter(standing=REJECTED): "bad",
        Filter(standing=DISAGREED): "torn",
        Filter(standing=UNDECIDED): "noted noted",
        Filter(standing=APPROVED, by="Anna"): "both changed torn",
        Filter(standing=REJECTED, by="Anna"): "",
        Filter(standing=UNDECIDED, by="Anna"): "bad noted noted",
        Filter(standing=DISAGREED, by="Ben"): "torn",
        Filter(by="Ben"): "both torn bad",
        Filter(by="Ben", words="torn"): "torn",
        Filter(by="nobody"): "",
    }
    for shelf in (Gallery(gallery.outputs), anew(gallery)):
        assert shelf.facets().reviewers == ("Anna", "Ben")
        for wanted, prompts in expected.items():
            found = shelf.comparisons.items(wanted, newest_first=False)
            assert sorted(each.prompt for each in found if isinstance(each, Picture)) == sorted(
                prompts.split()
            ), wanted
            assert shelf.comparisons.count(wanted) == len(found), wanted
        (both, *_) = shelf.query(Filter(words="both"))
        assert shelf.standings([both.place]) == {both.place: APPROVED}


def anew(gallery: Gallery) -> Gallery:
    (gallery.outputs / "index.sqlite").unlink()
    return Gallery(gallery.outputs)


def test_there_are_no_endless_decisions_on_a_picture(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.workspace.reviewing.MAX_DECISIONS", 3)
    path, reviewing = save(gallery), Reviewing(gallery)
    for number in range(3):
        reviewing.decide(path, Judgement.NOTE, str(number))
    with pytest.raises(GalleryError, match="already"):
        reviewing.decide(path, Judgement.NOTE, "one more")
    assert len(reviewing.on(path)) == 3


def test_a_decision_does_not_pass_to_another_contract(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    reviewing.decide(path, Judgement.APPROVE)
    image = flat()
    path.write_bytes(pictures.encode(image, run_record(image, prompt="a castle", seed=1)))
    gallery.sync()
    assert reviewing.on(path) == ()
    assert list(reviewing.judged()) == []


def test_a_decision_goes_with_the_last_copy_of_its_picture(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    decision = reviewing.decide(path, Judgement.APPROVE)
    copy = path.with_name("copy.png")
    shutil.copy(path, copy)
    gallery.sync()
    gallery.delete(path)
    assert [each.decision for each in reviewing.judged()] == [decision]
    gallery.delete(copy)
    assert list(reviewing.judged()) == []
    assert not list(gallery.decisions.folder.iterdir())


def test_a_picture_with_other_pixels_is_refused_by_name(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    reviewing.decide(path, Judgement.APPROVE)
    record = gallery.read(path)
    with Image.open(path) as image:
        texts = {str(key): text for key, text in image.info.items() if isinstance(text, str)}
    other = io.BytesIO()
    Image.new("RGB", flat().size, "red").save(other, "PNG")
    path.write_bytes(png.with_texts(other.getvalue(), texts))
    gallery.sync()
    with pytest.raises(GalleryError, match=path.name):
        reviewing.decide(path, Judgement.APPROVE)
    with pytest.raises(GalleryError, match=path.name):
        list(reviewing.judged())
    line = {"record_fingerprint": record.fingerprint, "critic": "critic 2", "score": 1}
    done = reviewing.take_scores(json.dumps(line))
    assert done.taken == 0
    assert path.name in done.refused[0].reason


def test_the_export_holds_every_field_of_the_contract(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    reviewing.decide(path, Judgement.REJECT, "hands, again\nsix fingers")
    judged = list(reviewing.judged())
    record = gallery.read(path).model_dump(mode="json")
    (line,) = as_jsonl(judged).splitlines()
    whole = json.loads(line)
    assert whole["record"] == record
    assert whole["decision"]["note"] == "hands, again\nsix fingers"
    (row,) = csv.DictReader(io.StringIO(as_csv(judged), newline=""))
    assert row["decision.note"] == "hands, again\nsix fingers"
    assert row["plan.base.sha256"] == record["plan"]["base"]["sha256"]
    assert row["plan.settings.steps.value"] == str(record["plan"]["settings"]["steps"]["value"])
    assert json.loads(row["receipt.loras"]) == record["receipt"]["loras"]
    assert row["receipt.image.pixels_sha256"] == record["receipt"]["image"]["pixels_sha256"]
    assert row["picture"] == path.relative_to(gallery.outputs).as_posix()


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1", " =1+1"])
def test_no_cell_of_the_csv_is_computed(gallery: Gallery, text: str) -> None:
    path, reviewing = save(gallery, prompt=text), Reviewing(gallery)
    reviewing.decide(path, Judgement.NOTE, f"{text}x")
    (row,) = csv.DictReader(io.StringIO(as_csv(list(reviewing.judged())), newline=""))
    assert row["plan.prompt.typed"] == f"'{text}"
    for name, value in row.items():
        assert not value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")), name


def test_scores_are_taken_by_fingerprint_and_refused_where_it_is_unknown(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    own = gallery.read(path).fingerprint
    lines = [
        {"record_fingerprint": own, "critic": "critic 2", "score": 0.75, "note": "inky"},
        {"record_fingerprint": UNKNOWN, "critic": "critic 2", "score": 1},
        {"record_fingerprint": own, "critic": "critic 2"},
        {"record_fingerprint": "../x", "critic": "critic 2", "score": 1},
    ]
    text = "\n".join([*map(json.dumps, lines), "no json", '{"score": NaN}'])
    done = reviewing.take_scores(text)
    assert done.taken == 1
    assert [each.line for each in done.refused] == [2, 3, 4, 5, 6]
    assert "no picture in the gallery" in done.refused[0].reason
    (score,) = reviewing.on(path)
    assert (score.judgement, score.by, score.score) == (Judgement.SCORE, "critic 2", 0.75)
    assert score.plan_fingerprint == gallery.read(path).plan_fingerprint


BREAKS = "first\u2028second\u2029third\u0085fourth\x0bfifth\x1csixth"


def test_a_note_holds_every_line_break_of_unicode(gallery: Gallery) -> None:
    path, reviewing = save(gallery), Reviewing(gallery)
    reviewing.decide(path, Judgement.NOTE, BREAKS)
    reviewing.decide(path, Judgement.APPROVE)
    assert [each.note for each in reviewing.on(path)] == [BREAKS, ""]
    assert [each.decision.note for each in reviewing.judged()] == [BREAKS, ""]
    own = gallery.read(path).fingerprint
    score = {"record_fingerprint": own, "critic": "critic 2", "score": 1, "note": BREAKS}
    text = json.dumps(score, ensure_ascii=False)
    done = reviewing.take_scores(f"{text}\r\nno json\r\n{text}")
    assert (done.taken, [each.line for each in done.refused]) == (2, [2])
    assert [each.note for each in reviewing.on(path)][2:] == [BREAKS, BREAKS]


def test_a_decision_that_was_cut_off_spoils_no_other(gallery: Gallery) -> None:
    path, other, reviewing = save(gallery), save(gallery, seed=2), Reviewing(gallery)
    kept = reviewing.decide(path, Judgement.REJECT, "too dark")
    reviewing.decide(other, Judgement.APPROVE)
    (place,) = gallery.decisions.folder.glob(f"{kept.record_fingerprint}*")
    with place.open("ab") as stream:
        stream.write('{"at": "cut ö'.encode()[:-1])
    assert reviewing.on(path) == (kept,)
    assert reviewing.torn(path)
    assert not reviewing.torn(other)
    assert list(reviewing.all_torn()) == [path.relative_to(gallery.outputs).as_posix()]
    assert len(list(reviewing.judged())) == 2
    after = reviewing.decide(path, Judgement.APPROVE)
    assert reviewing.on(path) == (kept, after)
    assert not reviewing.torn(path)
    with place.open("a") as stream:
        stream.write("a whole line that is none\n")
    with pytest.raises(GalleryError, match="cannot be read"):
        reviewing.on(path)


def test_a_critic_answers_in_the_lines_that_were_exported(gallery: Gallery) -> None:
    paths = [save(gallery, prompt) for prompt in ("a rocket", "a castle")]
    reviewing = Reviewing(gallery)
    decision = reviewing.decide(paths[0], A, by="Anna")
    shutil.copy(paths[0], paths[0].with_name("copy.png"))
    gallery.sync()
    lines = [json.loads(line) for line in records(gallery, Filter())]
    by_name = {line["picture"]: line for line in lines}
    assert len(by_name) == len(paths)
    assert {line["record_fingerprint"] for line in lines} == {
        gallery.read(path).fingerprint for path in paths
    }
    (decided,) = (line for line in lines if line["decisions"])
    assert decided["decisions"] == [decision.model_dump(mode="json")]
    undecided = next(line for line in lines if not line["decisions"])
    assert reviewing.take_scores(json.dumps(undecided)) == Imported(0, ())
    answered = {**undecided, "critic": "critic 2", "score": 0.5}
    assert reviewing.take_scores(json.dumps(answered)) == Imported(1, ())
    assert [each.score for each in reviewing.on(undecided["picture"])] == [0.5]


def test_a_zip_holds_the_files_as_they_are_and_names_what_it_leaves_out(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = save(gallery), save(gallery, "a rocket of another kind")
    save(gallery, "a castle")
    bad.write_bytes(bad.read_bytes()[:100])
    whole = io.BytesIO(b"".join(packed(gallery, Filter(words="rocket"))))
    with zipfile.ZipFile(whole) as archive:
        assert archive.testzip() is None
        name = good.relative_to(gallery.outputs).as_posix()
        assert set(archive.namelist()) == {f"pictures/{name}", "records.jsonl", "left-out.txt"}
        assert archive.read(f"pictures/{name}") == good.read_bytes()
        assert json.loads(archive.read("records.jsonl"))["picture"] == name
        assert bad.name in archive.read("left-out.txt").decode()
    monkeypatch.setattr("studio.workspace.packing.MOST_PACKED", 1)
    for wanted in (Filter(), Filter(words="nowhere")):
        with pytest.raises(GalleryError, match="would be packed"):
            packed(gallery, wanted)


WORKED = [
    (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743, 11),
    (("0100000010", "1110010000"), 0.095, 10),
    (("00", "0."), None, 1),
]
"""Krippendorff (2011), sections C and A, a row for each observer; and one without variation."""


@pytest.mark.parametrize(("rows", "alpha", "pictures"), WORKED)
def test_agreement_is_krippendorffs(
    rows: tuple[str, ...], alpha: float | None, pictures: int
) -> None:
    units = zip(*rows, strict=True)
    said: Any = [{who: value for who, value in enumerate(unit) if value != "."} for unit in units]
    found = agreement(said)
    assert (found.alpha and round(found.alpha, 3)) == alpha
    assert (found.pictures, found.reviewers) == (pictures, len(rows))


def test_agreement_counts_a_record_once(gallery: Gallery) -> None:
    reviewing = Reviewing(gallery)
    paths = [save(gallery, seed=seed) for seed in range(3)]
    for path, said in zip(paths, ((A, A), (R, R), (A, R)), strict=True):
        for by, judgement in zip(("Anna", "Ben"), said, strict=True):
            reviewing.decide(path, judgement, by=by)
    shutil.copy(paths[2], paths[2].with_name("copy.png"))
    gallery.sync()
    found = gallery.agreement()
    assert (found.pictures, found.reviewers) == (3, 2)
    assert found.alpha == pytest.approx(4 / 9)
