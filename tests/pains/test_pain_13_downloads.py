"""Users suffer: HTML saved as weights, false early-access errors, the wrong file of a version."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.library.catalogue import Catalogue
from studio.library.downloads import Fetched, errors
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset
from studio.settings import Settings
from tests.library.downloads.conftest import left_in, lora_bytes, preset
from tests.support.sites import Answer, Site, Stored, serving

DATA, OTHER = lora_bytes(60_000), lora_bytes(90_000, width=1024)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        served.publish(7, DATA)
        yield served


@pytest.fixture
def stock(site: Site, tmp_path: Path) -> Stock:
    settings = Settings(
        tmp_path / "models",
        tmp_path / "outputs",
        tmp_path / "state",
        civitai_url=site.url,
        download_hosts=(site.storage_url,),
        local_presets=tmp_path / "local.yaml",
    )
    return Stock(settings, WeightStore(settings), Catalog((), (preset(),)))


def fetch(stock: Stock) -> Path:
    last = list(stock.fetch(stock.plan_download("ink"), threading.Event()))[-1]
    assert isinstance(last, Fetched)
    return last.path


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_web_page_is_never_saved_as_weights(
    stock: Stock, site: Site, tmp_path: Path, kind: str
) -> None:
    """As HTML by its type, and as HTML that calls itself bytes and has the right length."""
    page = b"<!DOCTYPE html><html>Sign in to download</html>".ljust(len(DATA))
    site.files["ink.safetensors"] = Stored(page, content_type=kind)
    with pytest.raises(errors.NotWeights, match="web page"):
        fetch(stock)
    assert left_in(tmp_path / "models") == []
    assert not stock._store.present([stock.preset("ink")])["ink"]


def test_only_what_says_so_is_early_access(stock: Stock, site: Site) -> None:
    """A plain 403 or 401 is named for what it is, and no date is made up."""
    place = "api:/api/download/models/7"
    site.answers[place] = Answer.of(403, {"error": "Forbidden", "message": "Region blocked"})
    with pytest.raises(errors.AccessDenied, match="Region blocked"):
        fetch(stock)
    site.answers[place] = Answer.of(401, {"message": "Unauthorized"})
    with pytest.raises(errors.KeyMissing):
        fetch(stock)
    site.answers[place] = Answer.of(403, {"error": "Early Access", "deadline": "2027-03-01"})
    with pytest.raises(errors.EarlyAccess, match="until 2027-03-01"):
        fetch(stock)
    del site.answers[place]
    assert fetch(stock).read_bytes() == DATA


def test_the_right_file_of_several_and_no_other(stock: Stock, site: Site) -> None:
    """A version with training data first, and storage that gives another file's bytes."""
    (own,) = site.versions["7"]["files"]
    training = {**own, "id": 1, "name": "data.zip", "type": "Training Data", "primary": False}
    pickled = {**own, "id": 2, "name": "ink.pt", "metadata": {"format": "PickleTensor"}}
    site.versions["7"]["files"] = [training, pickled, own]
    site.files["ink.safetensors"] = Stored(OTHER[: len(DATA)])
    with pytest.raises(errors.HashWrong) as caught:
        fetch(stock)
    assert caught.value.expected == hashlib.sha256(DATA).hexdigest()
    site.files["ink.safetensors"] = Stored(DATA)
    assert fetch(stock).read_bytes() == DATA


def test_a_file_whose_publisher_names_the_empty_hash_is_its_own_bytes(
    stock: Stock, site: Site, tmp_path: Path
) -> None:
    """Row 12 again: e3b0c442… identifies nothing, so it is no reason to refuse or to match."""
    empty = hashlib.sha256(b"").hexdigest()
    site.versions["7"]["files"][0]["hashes"] = {"SHA256": empty, "AutoV3": empty[:12]}
    path = fetch(stock)
    twin = tmp_path / "models/twin.safetensors"
    twin.write_bytes(OTHER)
    own = LoraPreset.model_validate(
        {
            "slug": "twin",
            "label": "Twin",
            "base_architecture": "sdxl",
            "sha256": hashlib.sha256(OTHER).hexdigest(),
            "path": "elsewhere.safetensors",
            "trigger": "none",
        }
    )
    catalogue = Catalogue(stock._settings, stock._store, Catalog((), (preset(), own)), ())
    threading.Event().wait(0.15)  # a file this fresh is hashed, and its hash not remembered
    for row in catalogue.refresh():
        stock.hash(row)
    found = {row.held.path: row.presets for row in catalogue.refresh()}
    assert found == {
        path.relative_to(tmp_path / "models").as_posix(): ("ink",),
        "twin.safetensors": ("twin",),
    }
