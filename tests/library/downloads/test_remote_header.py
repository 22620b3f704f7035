"""A published file is inspected from its header: a range, never the whole of it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.errors import HeaderError
from studio.inspection.header import MAX_HEADER
from studio.library.downloads import errors
from studio.library.downloads.remote_header import FIRST_LOOK, describe_remote
from studio.library.files import describe_file
from studio.settings import Settings
from tests.library.downloads.conftest import lora_bytes
from tests.support.headers import entries, framed
from tests.support.sites import KEY, TOKEN, Answer, Site, Stored

LARGE = lora_bytes(3_000_000)
NAME = "hf:someone/ink/ink.safetensors"


@pytest.fixture
def publish(site: Site) -> Any:
    """``publish(data, **how)`` puts a file on the Hub and says how storage serves it."""

    def published(data: bytes, name: str = "ink.safetensors", **how: Any) -> Stored:
        site.repositories["someone/ink"] = {name: data, "README.md": b"# Ink"}
        stored = Stored(data, **how)
        site.files[f"someone/ink/{name}"] = stored
        return stored

    return published


def long_header(names: int) -> bytes:
    """A file whose header is about ``names`` × 100 bytes, and which has a lot of data."""
    shapes = {f"unet.layer_{n}.{'long_name_' * 5}.lora_A.weight": (1, 4) for n in range(names)}
    found, size = entries(shapes | {"unet.last.lora_A.weight": (1000, 500)})
    return framed(json.dumps(found).encode()) + bytes(size)


def test_the_verdict_is_that_of_the_whole_file(
    publish: Any, settings: Settings, tmp_path: Path
) -> None:
    stored = publish(LARGE)
    (tmp_path / "ink.safetensors").write_bytes(LARGE)
    here = describe_file(tmp_path / "ink.safetensors")
    there = describe_remote(settings, NAME)
    different = {key for key in here if there[key] != here[key]}
    assert different == {"file", "autov3", "sha256_from"}
    assert (there["file"], there["autov3"], there["sha256_from"]) == (NAME, None, "publisher")
    assert there["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert stored.sent <= FIRST_LOOK
    assert there["notes"][0].startswith("Read from the file's first 65,536 bytes")


def test_a_longer_header_is_asked_for_once_more(publish: Any, settings: Settings) -> None:
    data = long_header(2000)
    stored = publish(data)
    found = describe_remote(settings, NAME)
    assert len(found["unaccounted"]) == 2001
    assert stored.sent == 8 + int.from_bytes(data[:8], "little") > FIRST_LOOK


def test_a_server_that_ignores_ranges_is_cut_off(
    publish: Any, settings: Settings, site: Site
) -> None:
    data = lora_bytes(40_000_000)
    stored = publish(data, ranges="ignored", pace=0.001, block=65_536)
    assert describe_remote(settings, NAME)["architecture"] == "sd15"
    assert stored.sent < len(data) / 4


@pytest.mark.parametrize("length", [MAX_HEADER + 1, 1 << 40, (1 << 64) - 1])
def test_no_more_than_the_first_look_for_a_lying_length(
    publish: Any, settings: Settings, length: int
) -> None:
    stored = publish(length.to_bytes(8, "little") + bytes(500_000))
    with pytest.raises(HeaderError, match="more than the"):
        describe_remote(settings, NAME)
    assert stored.sent <= FIRST_LOOK


def test_what_is_no_safetensors_is_named(publish: Any, settings: Settings) -> None:
    publish(b"<!DOCTYPE html><html><body>Sign in</body></html>")
    with pytest.raises(HeaderError, match="web page"):
        describe_remote(settings, NAME)
    publish(b"")
    with pytest.raises(HeaderError, match="empty"):
        describe_remote(settings, NAME)


def test_a_revision_is_part_of_the_name(publish: Any, settings: Settings, site: Site) -> None:
    publish(LARGE)
    assert len(describe_remote(settings, f"{NAME}@main")["revision"]) == 40
    with pytest.raises(errors.NotThere, match="no such revision"):
        describe_remote(settings, f"{NAME}@v9")
    with pytest.raises(errors.NotThere, match="no file"):
        describe_remote(settings, "hf:someone/ink/other.safetensors")
    assert describe_remote(settings, "hf:someone/ink")["architecture"] == "sd15"


def test_the_token_stays_with_the_hub(publish: Any, settings: Settings, site: Site) -> None:
    publish(LARGE)
    found = describe_remote(replace(settings, hf_token=TOKEN), NAME)
    assert set(site.keys_at("api")) == {f"Bearer {TOKEN}"}
    assert site.asked("storage")
    assert site.keys_at("storage") == []
    assert TOKEN not in json.dumps(found)


def test_a_redirect_elsewhere_is_not_followed(
    publish: Any, settings: Settings, site: Site
) -> None:
    publish(LARGE)
    with pytest.raises(errors.RedirectRefused):
        describe_remote(replace(settings, download_hosts=()), NAME)
    assert site.asked("storage") == []


def test_refusals_are_explained(publish: Any, settings: Settings, site: Site) -> None:
    publish(LARGE)
    path = (
        f"api:/someone/ink/resolve/{describe_remote(settings, NAME)['revision']}/ink.safetensors"
    )
    site.answers[path] = Answer(401, b"{}", {"X-Error-Code": "GatedRepo"})
    with pytest.raises(errors.Gated):
        describe_remote(settings, NAME)
    site.answers[path] = Answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
    with pytest.raises(errors.NotThere):
        describe_remote(settings, NAME)
    site.answers[path] = Answer(503)
    with pytest.raises(errors.StorageFault):
        describe_remote(settings, NAME)


def test_ranges_of_other_bytes_are_refused(publish: Any, settings: Settings) -> None:
    publish(long_header(2000), ranges="shifted")
    with pytest.raises(errors.UnexpectedAnswer, match="does not say which bytes"):
        describe_remote(settings, NAME)
    publish(LARGE, packed=True)
    with pytest.raises(errors.UnexpectedAnswer):
        describe_remote(settings, NAME)


def test_a_size_that_is_not_the_published_one(
    publish: Any, settings: Settings, site: Site
) -> None:
    publish(LARGE)
    site.files["someone/ink/ink.safetensors"] = Stored(LARGE + b"x")
    with pytest.raises(errors.SizeWrong):
        describe_remote(settings, NAME)


def test_nothing_is_asked_offline(publish: Any, settings: Settings, site: Site) -> None:
    publish(LARGE)
    with pytest.raises(errors.Offline):
        describe_remote(replace(settings, offline=True), NAME)
    assert site.seen == []


def test_civitai_says_another_base_than_the_tensors(settings: Settings, site: Site) -> None:
    site.publish(7, LARGE, baseModel="Flux.1 D")
    found = describe_remote(settings, "urn:air:sd1:lora:civitai:1000@7")
    assert found["architecture"] == "sd15"
    assert found["conflicts"] == [
        "CivitAI lists it for 'Flux.1 D'; its tensors say Stable Diffusion 1.5."
    ]
    assert site.files["ink.safetensors"].sent <= FIRST_LOOK
    assert KEY not in json.dumps(found)


def test_the_command_line_asks_too(
    publish: Any,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from studio.cli import run

    publish(LARGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", settings.hf_endpoint)
    monkeypatch.setenv("DOWNLOAD_HOSTS", settings.download_hosts[0])
    (tmp_path / "here.safetensors").write_bytes(LARGE)
    assert run(["inspect", NAME, "here.safetensors", "--json"]) == 0
    there, here = map(json.loads, capsys.readouterr().out.splitlines())
    assert there["file"] == NAME
    assert there["sha256"] == here["sha256"]
    assert there["modules"] == here["modules"]
    assert run(["inspect", NAME]) == 0
    assert "nothing else of it was fetched" in " ".join(capsys.readouterr().out.split())
