"""CivitAI's download from a loopback server: what arrives, and each way it can fail."""

import hashlib
import logging
import threading
from pathlib import Path

import pytest

from studio.library.downloads import Downloads, Fetched, Fetching, errors
from studio.presets.model_card import read_published
from studio.settings import Settings
from tests.library.downloads.conftest import Fetch, left_in, lora_bytes, made, planned
from tests.support.sites import KEY, Answer, Site, Stored

DATA = lora_bytes()
SHA = hashlib.sha256(DATA).hexdigest()
DOWNLOAD = "api:/api/download/models/7"


@pytest.fixture(autouse=True)
def _published(site: Site) -> None:
    site.publish(7, DATA)


def models(settings: Settings) -> list[str]:
    return left_in(settings.model_base_path) if settings.model_base_path.exists() else []


def test_the_plan_says_everything_and_fetches_nothing(
    downloads: Downloads, site: Site, settings: Settings
) -> None:
    plan = planned(downloads)
    assert plan.describe() == f"{len(DATA) / 1000:.3g} kB from CivitAI, version 7, SHA-256 {SHA}"
    assert plan.target == "loras/ink.safetensors"
    assert plan.published.licence == (
        "Credit the creator.",
        "Commercial use: Image.",
        "Merges may be shared.",
        "Merges keep the licence.",
    )
    assert plan.published.scans == {"pickle": "Success", "virus": "Success"}
    assert site.asked("api", "/download/") == []
    assert site.asked("storage") == []
    assert models(settings) == []


def test_the_file_arrives_whole_with_its_facts_beside(fetch: Fetch, settings: Settings) -> None:
    events = fetch()
    assert isinstance(events[-1], Fetched)
    assert models(settings) == ["loras/ink.json", "loras/ink.safetensors"]
    assert (settings.model_base_path / "loras/ink.safetensors").read_bytes() == DATA
    facts = read_published((settings.model_base_path / "loras/ink.json").read_text())
    assert facts is not None
    assert facts.trained_words == ("phrsink", "pen and ink illustration")
    assert facts.sha256 == SHA
    assert facts.preview == "https://image.example/1.jpeg"


def test_the_key_stays_at_the_interface(fetch: Fetch, site: Site) -> None:
    fetch()
    assert set(site.keys_at("api")) == {f"Bearer {KEY}"}
    assert site.asked("storage")
    assert site.keys_at("storage") == []
    agents = {seen.headers["user-agent"] for seen in site.seen}
    assert all(agent.startswith("lora-studio/") for agent in agents)
    assert not any("token=" in seen.path or KEY in seen.path for seen in site.seen)


def test_a_second_time_nothing_is_fetched(fetch: Fetch, site: Site) -> None:
    fetch()
    before = len(site.asked("storage"))
    (event,) = fetch()
    assert isinstance(event, Fetched)
    assert event.already
    assert len(site.asked("storage")) == before


def test_another_file_in_its_place_is_never_replaced(fetch: Fetch, settings: Settings) -> None:
    place = settings.model_base_path / "loras/ink.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    with pytest.raises(errors.PlaceTaken, match=SHA):
        fetch()
    assert place.read_bytes() == b"mine"


# ---- refusals, each by its name


@pytest.mark.parametrize(
    ("answer", "kind", "word"),
    [
        (Answer.of(401, {"message": "You must be logged in"}), errors.KeyRefused, "key"),
        (
            Answer.of(401, {"message": "The creator has disabled downloads on this file"}),
            errors.DownloadsDisabled,
            "disabled",
        ),
        (
            Answer.of(403, {"error": "Early Access", "deadline": "2027-01-01T00:00:00Z"}),
            errors.EarlyAccess,
            "2027-01-01",
        ),
        (
            Answer.of(403, {"error": "Forbidden", "message": "Blocked"}),
            errors.AccessDenied,
            "Blocked",
        ),
        (Answer.of(404, {"error": "File not found"}), errors.NotThere, "version"),
        (Answer.of(410, {"error": "Model archived"}), errors.Archived, "archived"),
        (Answer.of(429, {"error": "limit"}, Retry_After="120"), errors.RateLimited, "120 seconds"),
        (Answer.of(418, {"error": "teapot"}), errors.UnexpectedAnswer, "418"),
        (Answer(500, b"<html>"), errors.StorageFault, "500"),
    ],
)
def test_each_refusal_has_its_name(
    fetch: Fetch,
    site: Site,
    settings: Settings,
    answer: Answer,
    kind: type[errors.DownloadError],
    word: str,
) -> None:
    site.answers[DOWNLOAD] = answer
    with pytest.raises(kind) as caught:
        fetch()
    assert word in str(caught.value)
    assert caught.value.way_out.endswith(".")
    assert type(caught.value) is kind
    assert models(settings) == []


def test_without_a_key_the_way_to_one_is_told(
    fetch: Fetch, site: Site, settings: Settings
) -> None:
    site.needs_key = True
    with pytest.raises(errors.KeyMissing) as caught:
        fetch(using=made(settings, civitai_api_key=None))
    assert "CIVITAI_API_KEY" in caught.value.way_out
    assert isinstance(fetch()[-1], Fetched)  # with the key


def test_a_redirect_to_the_login_page_is_no_weights(fetch: Fetch, site: Site) -> None:
    site.answers[DOWNLOAD] = Answer(302, b"", {"Location": "/login?returnUrl=/"})
    with pytest.raises(errors.KeyRefused):
        fetch()


def test_a_date_may_say_when_to_come_back(fetch: Fetch, site: Site) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}
    site.answers[DOWNLOAD] = Answer(429, b"{}", headers)
    with pytest.raises(errors.RateLimited) as caught:
        fetch()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 1e6


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"usageControl": "InternalGeneration"}, errors.DownloadsDisabled),
        ({"files": []}, errors.Archived),
        ({"status": "Draft"}, errors.NotThere),
        ({"modelId": 5}, errors.NotThere),
        ({"id": "seven"}, errors.UnexpectedAnswer),
        ({"model": {"name": "x", "mode": "Archived"}}, errors.Archived),
    ],
)
def test_the_metadata_alone_may_refuse(
    downloads: Downloads, site: Site, change: dict[str, object], kind: type[Exception]
) -> None:
    site.versions["7"].update(change)
    with pytest.raises(kind):
        planned(downloads)


def test_metadata_that_is_no_json_is_said(downloads: Downloads, site: Site) -> None:
    site.answers["api:/api/v1/model-versions/7"] = Answer(200, b"<html>hello</html>")
    with pytest.raises(errors.UnexpectedAnswer, match="no JSON"):
        planned(downloads)


# ---- which file


def two_files(site: Site, **second: object) -> None:
    (first,) = site.versions["7"]["files"]
    other = {**first, "id": 71, "name": "other.safetensors", "primary": False, **second}
    site.versions["7"]["files"] = [other, first]
    site.files["other.safetensors"] = Stored(lora_bytes(90_000))


def test_the_primary_file_of_several(fetch: Fetch, site: Site, settings: Settings) -> None:
    two_files(site)
    fetch()
    assert (settings.model_base_path / "loras/ink.safetensors").read_bytes() == DATA


def test_training_data_and_other_formats_are_passed_over(fetch: Fetch, site: Site) -> None:
    two_files(site, type="Training Data", name="data.zip", primary=True)
    assert isinstance(fetch()[-1], Fetched)


def test_the_file_id_of_an_air_decides(downloads: Downloads, site: Site) -> None:
    other = lora_bytes(90_000)
    hashes = {"SHA256": hashlib.sha256(other).hexdigest()}
    two_files(site, sizeKB=len(other) / 1024, hashes=hashes)
    plan = planned(downloads, air="urn:air:sd1:lora:civitai:1000@7+71")
    list(downloads.fetch(plan, threading.Event()))
    assert plan.files[0].name == "other.safetensors"
    assert site.asked("storage", "other.safetensors")


def test_without_a_primary_file_the_choice_is_asked_for(downloads: Downloads, site: Site) -> None:
    two_files(site)
    for file in site.versions["7"]["files"]:
        file["primary"] = False
    with pytest.raises(errors.SourceUnknown) as caught:
        planned(downloads)
    assert "+71 other.safetensors" in caught.value.way_out


def test_a_dangerous_scan_and_a_pickle_are_refused(downloads: Downloads, site: Site) -> None:
    (file,) = site.versions["7"]["files"]
    file["virusScanResult"] = "Danger"
    with pytest.raises(errors.WrongFile, match="dangerous"):
        planned(downloads)
    file |= {"virusScanResult": "Pending", "name": "ink.ckpt"}
    with pytest.raises(errors.WrongFile, match=r"no \.safetensors"):
        planned(downloads)


def test_a_scan_that_is_not_done_is_told(downloads: Downloads, site: Site) -> None:
    site.versions["7"]["files"][0]["virusScanResult"] = "Pending"
    assert planned(downloads).notes == ("CivitAI's virus scan says 'Pending'.",)


# ---- where it leads


@pytest.mark.parametrize(
    "goal",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "https://evil.example/x",
        "ftp://civitai.com/x",
        "http://civitai.com/x",
        "https://civitai.com.evil.example/x",
        "https://civitai.com:8443/x",
        "https://user:word@b2.civitai.com/x",
        "gopher://x",
        "//[::1]/x",
    ],
)
def test_only_listed_hosts_are_asked(fetch: Fetch, site: Site, goal: str) -> None:
    site.answers[DOWNLOAD] = Answer(302, b"", {"Location": goal})
    with pytest.raises(errors.RedirectRefused):
        fetch()


def test_a_chain_is_followed_and_a_loop_is_not(fetch: Fetch, site: Site) -> None:
    hops = [f"{site.url}/hop1", f"{site.url}/hop2", f"{site.storage_url}/files/ink.safetensors"]
    for place, goal in zip((DOWNLOAD, "api:/hop1", "api:/hop2"), hops, strict=True):
        site.answers[place] = Answer(302, b"", {"Location": goal})
    assert isinstance(fetch()[-1], Fetched)
    assert [seen.path for seen in site.seen if "authorization" in seen.headers][-1].startswith(
        "/api"
    )


def test_a_loop_ends(fetch: Fetch, site: Site) -> None:
    site.answers[DOWNLOAD] = Answer(302, b"", {"Location": "/hop"})
    site.answers["api:/hop"] = Answer(302, b"", {"Location": "/hop"})
    with pytest.raises(errors.RedirectRefused, match="circles"):
        fetch()


# ---- what comes


def only(site: Site) -> Stored:
    return site.files["ink.safetensors"]


def test_a_web_page_is_not_kept_as_weights(fetch: Fetch, site: Site, settings: Settings) -> None:
    only(site).content_type = "text/html; charset=utf-8"
    with pytest.raises(errors.NotWeights, match="web page"):
        fetch()
    assert models(settings) == []


def test_a_web_page_that_claims_to_be_bytes(fetch: Fetch, site: Site, settings: Settings) -> None:
    page = b"<!DOCTYPE html><html><body>Log in</body></html>".ljust(len(DATA))
    only(site).data = page
    with pytest.raises(errors.NotWeights, match="web page"):
        fetch()
    assert models(settings) == []


def test_other_bytes_of_the_right_size(fetch: Fetch, site: Site, settings: Settings) -> None:
    other = DATA[:-1] + b"?"
    only(site).data = other
    with pytest.raises(errors.HashWrong) as caught:
        fetch()
    assert caught.value.expected == SHA
    assert SHA in caught.value.message
    assert hashlib.sha256(other).hexdigest() in caught.value.message
    assert models(settings) == []


@pytest.mark.parametrize("more", [-100, 100])
def test_another_size_than_promised(
    fetch: Fetch, site: Site, settings: Settings, more: int
) -> None:
    data = DATA[:more] if more < 0 else DATA + b"\0" * more
    only(site).data = data
    with pytest.raises(errors.SizeWrong):
        fetch()
    only(site).length = False
    with pytest.raises((errors.SizeWrong, errors.StorageFault)):
        fetch()
    assert "loras/ink.safetensors" not in models(settings)


def test_a_whole_file_that_is_no_lora(fetch: Fetch, site: Site, settings: Settings) -> None:
    other = (
        b'\x40\0\0\0\0\0\0\0{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(72)
        + b"\0" * 4
    )
    site.publish(7, other)
    with pytest.raises(errors.WrongFile, match="no LoRA"):
        fetch()
    assert models(settings) == []


def test_packed_bodies_are_unpacked(fetch: Fetch, site: Site, settings: Settings) -> None:
    only(site).packed = True
    fetch()
    assert (settings.model_base_path / "loras/ink.safetensors").read_bytes() == DATA


def test_the_hash_of_the_preset_goes_over_the_publishers(fetch: Fetch, settings: Settings) -> None:
    with pytest.raises(errors.HashWrong) as caught:
        fetch(expected="0" * 64)
    assert caught.value.expected == "0" * 64
    assert models(settings) == []


def test_the_largest_size_is_held(
    downloads: Downloads, settings: Settings, site: Site, fetch: Fetch
) -> None:
    with pytest.raises(errors.TooLarge, match="MAX_DOWNLOAD_GB"):
        planned(made(settings, max_download=1000))
    site.versions["7"]["files"][0] |= {"sizeKB": 0, "hashes": {}}
    with pytest.raises(errors.TooLarge):
        fetch(using=made(settings, max_download=1000))
    only(site).length = False
    with pytest.raises(errors.TooLarge):
        fetch(using=made(settings, max_download=1000))
    assert models(settings) == []


def test_a_full_disk_is_known_before(fetch: Fetch, site: Site, settings: Settings) -> None:
    site.versions["7"]["files"][0]["sizeKB"] = 10**15
    with pytest.raises(errors.DiskFull) as caught:
        fetch(using=made(settings, max_download=10**19))
    assert caught.value.needed > caught.value.free
    assert site.asked("storage") == []


def test_offline_nothing_is_asked(settings: Settings, site: Site) -> None:
    with pytest.raises(errors.Offline):
        planned(made(settings, offline=True))
    assert site.seen == []


def test_nobody_there(downloads: Downloads, settings: Settings) -> None:
    with pytest.raises(errors.StorageFault, match="cannot be reached"):
        planned(made(settings, civitai_url="http://127.0.0.1:9"))


def test_hostile_names_stay_inside(downloads: Downloads, site: Site, settings: Settings) -> None:
    for name, place in (
        ("../../evil.safetensors", "evil"),
        ("..\\..\\evil.safetensors", "evil"),
        ("/etc/passwd.safetensors", "passwd"),
        ("CON.safetensors", "lora-7"),
        ("a\0b\n\x1b[2J c.safetensors", "a-b-2J-c"),
        ("....safetensors", "lora-7"),
        ("\u202egnp.safetensors", "gnp"),
        ("x" * 400 + ".safetensors", "x" * 180),
    ):
        site.versions["7"]["files"][0]["name"] = name
        published, *_ = downloads.look_up(downloads.parse("urn:air:sd1:lora:civitai:1000@7"))
        from studio.architecture import Architecture

        found = downloads.place(published, Architecture.SD15, lambda _place, _sha256: False)
        assert found == f"loras/sd15/{place}.safetensors", name


# ---- secrets


@pytest.mark.parametrize("repeated", [KEY[:8], KEY[-8:], "x" * 190 + KEY])
def test_no_piece_of_a_key_is_quoted(fetch: Fetch, site: Site, repeated: str) -> None:
    site.answers[DOWNLOAD] = Answer.of(403, {"message": f"your key {repeated} is blocked"})
    with pytest.raises(errors.DownloadError) as caught:
        fetch()
    assert KEY[:6] not in str(caught.value)
    assert KEY[-6:] not in str(caught.value)


def test_no_secret_in_any_text(
    fetch: Fetch, site: Site, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Key and signed addresses stay out of logs, errors, events, plans and files."""
    caplog.set_level(logging.DEBUG)
    texts = [repr(settings), repr(fetch())]
    site.answers[DOWNLOAD] = Answer.of(403, {"message": f"your key {KEY} is blocked"})
    (settings.model_base_path / "loras/ink.safetensors").unlink()
    for status in ("refused", "gone"):
        if status == "gone":
            del site.answers[DOWNLOAD]
            del site.files["ink.safetensors"]
        with pytest.raises(errors.DownloadError) as caught:
            fetch()
        error: BaseException | None = caught.value
        while error is not None:
            texts += [str(error), repr(error), repr(error.__dict__)]
            error = error.__cause__
    texts += [path.read_text(errors="replace") for path in _files(settings)]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("studio")]
    everything = "\n".join([*texts, *ours, caplog.text])
    assert KEY not in everything
    assert "signed-secret" not in "\n".join([*texts, *ours])


def _files(settings: Settings) -> list[Path]:
    return [path for path in settings.model_base_path.rglob("*") if path.is_file()]


def test_progress_counts_up(fetch: Fetch, site: Site) -> None:
    only(site).pace = 0.12
    only(site).block = 40_000
    shown = [event for event in fetch() if isinstance(event, Fetching)]
    assert len(shown) > 2
    assert [event.done for event in shown] == sorted({event.done for event in shown})
    assert shown[-1].done == shown[-1].total == len(DATA)
    assert shown[-1].remaining == 0
    assert shown[-1].speed


def test_a_limit_on_metadata_says_when_to_come_back(fetch: Fetch, site: Site) -> None:
    site.answers["api:/api/v1/model-versions/7"] = Answer(429, b"{}", {"Retry-After": "120"})
    with pytest.raises(errors.RateLimited) as caught:
        fetch()
    assert caught.value.retry_after == 120
