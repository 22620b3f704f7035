"""What edits were made from lies beside them: once, whole, and as long as one needs it."""

from pathlib import Path

import pytest
from PIL import Image

from studio.architecture import Mode
from studio.gallery import Gallery
from studio.gallery.verification import verify
from studio.receipt import RunRecord
from studio.references import pixels_sha256
from studio.request import ReferenceImage
from tests.records import flat, noise, plan_settings, run_plan, run_receipt


@pytest.fixture
def shelf(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "outputs")


def given(folder: Path, seed: int) -> tuple[ReferenceImage, Path]:
    """A reference image and a file of it, as they wait for a run."""
    image = noise(64, 64, seed)
    path = folder / f"waiting-{seed}.png"
    image.save(path)
    return ReferenceImage(sha256=pixels_sha256(image), width=64, height=64), path


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
    with pytest.raises(GalleryError, match="no picture"):
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
