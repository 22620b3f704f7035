"""Thumbnails and deletion: only inside the outputs, and without a trace."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from studio.errors import GalleryError
from studio.gallery import Gallery, record_png
from tests.support.records import flat, noise, run_record
from tests.support.shelf import everything, fill, leftovers, pngs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((640, 320), (320, 160)),
        ((320, 640), (160, 320)),
        ((64, 32), (64, 32)),
        ((999, 32), (320, 10)),
    ],
)
def test_thumbnails_keep_the_shape(
    outputs: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    shelf = Gallery(outputs)
    shelf.save(flat(*size, color=(250, 10, 10)), run_record(flat(*size, color=(250, 10, 10))))
    (shown,) = shelf.query()
    thumbnail = shelf.thumbnail(shown)
    assert thumbnail.is_relative_to(outputs / ".thumbs")
    with Image.open(thumbnail) as image:
        assert (image.size, image.format) == (small, "WEBP")
        red, green, blue = image.convert("RGB").crop((3, 3, 4, 4)).tobytes()
        assert red > 230
        assert max(green, blue) < 40
    assert leftovers(outputs) == []


def test_a_thumbnail_is_made_once_until_the_picture_changes(outputs: Path) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    (shown,) = shelf.query()
    thumbnail = shelf.thumbnail(shown)
    first = thumbnail.stat().st_ino
    assert shelf.thumbnail(shown).stat().st_ino == first
    path.write_bytes(record_png.encode(noise(), run_record(noise())))
    assert shelf.thumbnail(shown) == thumbnail
    assert thumbnail.stat().st_ino != first


@pytest.mark.parametrize("how", ["gone", "broken"])
def test_no_thumbnail_of_what_is_no_picture(outputs: Path, how: str) -> None:
    shelf = Gallery(outputs)
    (path,) = fill(shelf, 1)
    (shown,) = shelf.query()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(GalleryError):
        shelf.thumbnail(shown)
    assert list(outputs.rglob("*.webp")) == []


def test_deleting_removes_every_trace(outputs: Path) -> None:
    shelf = Gallery(outputs)
    kept, gone, by_name = fill(shelf)
    for each in shelf.query():
        shelf.thumbnail(each)
    shelf.delete(gone)
    shelf.delete(by_name.relative_to(outputs).as_posix())
    assert pngs(outputs) == {kept}
    assert everything(shelf) == [kept]
    assert [path.stem for path in outputs.rglob("*.webp")] == [kept.stem]
    with pytest.raises(GalleryError, match="not there any more"):
        shelf.delete(gone)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "2026-11-22/../../secret.png",
        "{tmp}/secret.png",
        "{tmp}/outputs/../secret.png",
        "link.png",
        "linked/secret.png",
        "index.sqlite",
        "README.md",
        ".thumbs/x.png",
        "",
        ".",
        "..",
        "folder.png",
        "nothing.png",
        "\0../secret.png",
        "\0{kept}",
        "2026-11-22\0.png",
        "~/secret.png",
    ],
)
def test_nothing_outside_can_be_read_or_deleted(tmp_path: Path, outputs: Path, path: str) -> None:
    shelf = Gallery(outputs)
    (kept,) = fill(shelf, 1)
    secret = tmp_path / "secret.png"
    shutil.copy(kept, secret)
    (outputs / "link.png").symlink_to(secret)
    (outputs / "linked").symlink_to(tmp_path)
    (outputs / "folder.png").mkdir()
    (outputs / "README.md").write_text("here")
    (outputs / ".thumbs").mkdir()
    shutil.copy(kept, outputs / ".thumbs" / "x.png")
    before = {found for found in tmp_path.rglob("*") if "index.sqlite-" not in found.name}
    for operation in (shelf.delete, shelf.read):
        with pytest.raises(GalleryError):
            operation(path.replace("{tmp}", str(tmp_path)).replace("{kept}", str(kept)))
    after = {found for found in tmp_path.rglob("*") if "index.sqlite-" not in found.name}
    assert after == before
