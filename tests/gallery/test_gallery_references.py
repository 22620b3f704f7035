"""What edits were made from lies beside them: once, whole, and as long as one needs it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from studio.architecture import Mode
from studio.cli import run
from studio.comparison.axes import Axis, AxisName, ComparisonRequest, Place, Question
from studio.comparison.record import CellRecord, CellState, ComparisonRecord, done
from studio.comparison.review import Judgement
from studio.comparison.validity import Validity, Verdict
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, ReferenceImage
from studio.errors import GalleryError
from studio.gallery import Gallery
from studio.gallery.comparisons.verification import verify_comparison
from studio.gallery.verification import verify
from studio.imaging import png
from studio.imaging.references import reference_sha256
from studio.workspace.reviewing import Reviewing
from tests.support.records import flat, noise, plan_settings, run_plan, run_receipt


@pytest.fixture
def shelf(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "outputs")


def given(folder: Path, seed: int) -> tuple[ReferenceImage, Path]:
    """A reference image and a file of it, as they wait for a run."""
    image = noise(64, 64, seed)
    path = folder / f"waiting-{seed}.png"
    image.save(path)
    return ReferenceImage(sha256=reference_sha256(image), width=64, height=64), path


def edit(*references: ReferenceImage, seed: int = 1) -> RunRecord:
    plan = run_plan(
        loras=(), mode=Mode.REFERENCE_EDIT, references=references, seed=seed,
        settings=plan_settings(),
    )  # fmt: skip
    receipt = run_receipt(plan, flat(), references=tuple(each.sha256 for each in references))
    return RunRecord.of(plan, receipt)


def save(shelf: Gallery, record: RunRecord, *paths: Path) -> Path:
    shas = (each.sha256 for each in record.plan.references)
    return shelf.save(flat(), record, dict(zip(shas, paths, strict=True)))


def test_a_reference_is_kept_once_and_is_no_picture(shelf: Gallery, tmp_path: Path) -> None:
    reference, path = given(tmp_path, 1)
    first, second = (save(shelf, edit(reference, seed=n), path) for n in (1, 2))
    kept = list((shelf.outputs / "references").iterdir())
    assert kept == [shelf.reference(reference.sha256)]
    assert {each.path for each in shelf.query()} == {first, second}
    assert shelf.reindex().unreadable == ()
    assert len(shelf.query()) == 2


def test_it_goes_with_the_last_picture_that_uses_it(shelf: Gallery, tmp_path: Path) -> None:
    (one, one_path), (two, two_path) = (given(tmp_path, seed) for seed in (1, 2))
    both = save(shelf, edit(one, two, seed=1), one_path, two_path)
    single = save(shelf, edit(one, seed=2), one_path)
    shelf.delete(both)
    assert shelf.reference(one.sha256).is_file()
    assert not shelf.reference(two.sha256).exists()
    shelf.delete(single)
    assert not shelf.reference(one.sha256).exists()


def test_verify_looks_at_it(shelf: Gallery, tmp_path: Path) -> None:
    reference, path = given(tmp_path, 1)
    picture = save(shelf, edit(reference), path)
    assert verify(picture, shelf.reference).ok
    noise(64, 64, seed=5).save(shelf.reference(reference.sha256))
    assert [f.code for f in verify(picture, shelf.reference).findings] == ["reference"]
    shelf.reference(reference.sha256).unlink()
    (finding,) = verify(picture, shelf.reference).findings
    assert "cannot be read" in finding.text
    assert verify(picture).ok


def test_nobody_decides_on_an_edit_whose_reference_was_changed(
    shelf: Gallery, tmp_path: Path
) -> None:
    reference, path = given(tmp_path, 1)
    picture, reviewing = save(shelf, edit(reference), path), Reviewing(shelf)
    reviewing.decide(picture, Judgement.APPROVE)
    noise(64, 64, seed=5).save(shelf.reference(reference.sha256))
    with pytest.raises(GalleryError, match="The reference image cannot be used"):
        reviewing.decide(picture, Judgement.APPROVE)
    with pytest.raises(GalleryError, match="The reference image cannot be used"):
        list(reviewing.judged())
    own = shelf.read(picture).fingerprint
    line = {"record_fingerprint": own, "critic": "critic 2", "score": 1}
    (refused,) = reviewing.take_scores(json.dumps(line)).refused
    assert "cannot be verified any more" in refused.reason
    assert len(reviewing.on(picture)) == 1


def test_the_command_line_looks_at_it_with_the_picture_and_alone(
    shelf: Gallery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, path = given(tmp_path, 1)
    picture = save(shelf, edit(reference), path)
    kept = shelf.reference(reference.sha256)
    assert run(["verify", *map(str, shelf.outputs.glob("*/*.png"))]) == 0
    assert capsys.readouterr().out.count("holds") == 2
    elsewhere = tmp_path / "else" / "where.png"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(picture.read_bytes())
    assert run(["verify", str(elsewhere)]) == 0
    assert "its reference images were not checked" in capsys.readouterr().out
    whole = kept.read_bytes()
    noise(64, 64, seed=5).save(kept)
    for each in (picture, kept):
        assert run(["verify", str(each)]) == 1
        assert "its pixels are not those" in capsys.readouterr().out
    kept.write_bytes(b"no picture")
    assert run(["verify", str(kept)]) == 1
    kept.unlink()
    kept.parent.rmdir()
    assert run(["verify", str(picture)]) == 1
    assert "cannot be read" in capsys.readouterr().out
    shelf.outputs.joinpath("references").mkdir()
    kept.write_bytes(whole)
    assert run(["verify", str(picture), str(kept)]) == 0


def compared(shelf: Gallery, pictures: dict[int, Path]) -> ComparisonRecord:
    """A valid comparison over pictures that lie there, by seed."""
    records = {seed: shelf.read(path) for seed, path in pictures.items()}
    first = records[min(records)].plan
    blank = CellRecord(
        place=Place(row=0, column=0),
        label="",
        differs="",
        mode=first.mode,
        seed=0,
        plan_fingerprint="0" * 64,
        state=CellState.NOT_MADE,
    )
    cells = [
        done(
            blank.model_copy(
                update={
                    "place": Place(row=0, column=column),
                    "seed": seed,
                    "plan_fingerprint": record.plan_fingerprint,
                }
            ),
            record,
            pictures[seed].relative_to(shelf.outputs).as_posix(),
            reused=False,
        )
        for column, (seed, record) in enumerate(records.items())
    ]
    request = GenerationRequest(base=first.base.slug, mode=first.mode, prompt="so", seed=1)
    axis = Axis(name=AxisName.SEED, values=tuple(records))
    return ComparisonRecord(
        finished_at="2026-11-22T15:30:12.000+00:00",
        device="cpu",
        base_label=first.base.label,
        lora_labels=(),
        plan_fingerprint="f" * 64,
        wanted=ComparisonRequest(kind=Question.GRID, request=request, columns=axis),
        rows=("",),
        columns=tuple(f"seed {seed}" for seed in records),
        summary="",
        uninvited=(),
        cells=tuple(cells),
        validity=Validity(verdict=Verdict.VALID),
        numbers=(),
        sheet_pixels_sha256=png.pixels_sha256(flat()),
    )


def test_verifying_a_comparison_looks_at_what_its_cells_were_made_from(
    shelf: Gallery, tmp_path: Path
) -> None:
    reference, path = given(tmp_path, 1)
    pictures = {}
    for seed in (1, 2):
        plan = edit(reference, seed=seed).plan
        receipt = run_receipt(plan, noise(32, 32, seed), references=(reference.sha256,))
        held = {reference.sha256: path}
        pictures[seed] = shelf.save(noise(32, 32, seed), RunRecord.of(plan, receipt), held)
    stored = shelf.comparisons.save(compared(shelf, pictures), flat())
    assert verify_comparison(stored).findings == ()
    shelf.reference(reference.sha256).unlink()
    assert [finding.code for finding in verify_comparison(stored).findings] == ["reference"] * 2


def test_the_record_carries_no_path_and_no_name(shelf: Gallery, tmp_path: Path) -> None:
    reference, path = given(tmp_path, 1)
    picture = save(shelf, edit(reference), path)
    assert b"waiting-1" not in picture.read_bytes()
    assert shelf.read(picture).plan.references == (reference,)
    assert f"References: {reference.sha256[:10]}" in Image.open(picture).info["parameters"]


def test_nobody_deletes_a_reference_as_a_picture(shelf: Gallery, tmp_path: Path) -> None:
    from studio.errors import GalleryError

    reference, path = given(tmp_path, 1)
    save(shelf, edit(reference), path)
    with pytest.raises(GalleryError, match="not a picture"):
        shelf.delete(f"references/{reference.sha256}.png")


def test_reindexing_clears_up_what_nobody_uses(shelf: Gallery, tmp_path: Path) -> None:
    import os
    import time

    reference, path = given(tmp_path, 1)
    picture = save(shelf, edit(reference), path)
    picture.unlink()
    shelf.reindex()
    assert shelf.reference(reference.sha256).is_file(), "a run may be saving another user of it"
    long_ago = time.time() - 2 * 3600
    os.utime(shelf.reference(reference.sha256), (long_ago, long_ago))
    shelf.reindex()
    assert not shelf.reference(reference.sha256).exists()
