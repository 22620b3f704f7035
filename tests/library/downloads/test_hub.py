"""The Hugging Face Hub on loopback: models and LoRAs, its cache, its refusals."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

from studio.library.downloads import DownloadPlan, Downloads, Fetched, Fetching, Stopped, errors
from studio.library.folder import loaded_files
from studio.presets import LoraPreset, ModelPreset
from studio.presets.model_card import read_published
from studio.settings import Settings
from tests.library.downloads.conftest import left_in, lora_bytes, made
from tests.support.sites import TOKEN, Answer, Site, Stored

LORA = lora_bytes(50_000)


@pytest.fixture
def repository(site: Site, tiny_base: Path) -> str:
    """A model as it is published: the tiny base, and much that nobody loads."""
    files = {
        path.relative_to(tiny_base).as_posix(): path.read_bytes()
        for path in tiny_base.rglob("*")
        if path.is_file()
    }
    files |= {
        "README.md": b"# Tiny",
        ".gitattributes": b"* text",
        "unet/diffusion_pytorch_model.bin": b"\x80\x02pickle",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"variant",
        "text_encoder/flax_model.msgpack": b"flax",
        "tiny.safetensors": b"single file",
        "tokenizer/notes.md": b"notes",
    }
    site.repositories["someone/tiny"] = files
    site.cards["someone/tiny"] = {"license": "openrail++"}
    return "someone/tiny"


@pytest.fixture
def lora_repository(site: Site) -> str:
    site.repositories["someone/ink"] = {"ink.safetensors": LORA, "README.md": b"# Ink"}
    site.cards["someone/ink"] = {
        "license": "apache-2.0",
        "base_model": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "instance_prompt": "phrsink",
    }
    return "someone/ink"


def model(repository: str, **more: object) -> ModelPreset:
    values: dict[str, object] = {
        "slug": "tiny",
        "label": "Tiny",
        "path": "models/tiny",
        "pipeline": "StableDiffusionPipeline",
        "base_architecture": "sd15",
        "source": {"huggingface": repository},
    }
    return ModelPreset.model_validate({**values, **more})


def lora(repository: str, file: str = "ink.safetensors", **more: object) -> LoraPreset:
    values: dict[str, object] = {
        "slug": "ink",
        "label": "Ink",
        "base_architecture": "sd15",
        "source": {"huggingface": repository, "file": file},
        "trigger": "none",
    }
    return LoraPreset.model_validate({**values, **more})


def model_plan(downloads: Downloads, repository: str, **more: object) -> DownloadPlan:
    return downloads.plan_download(model(repository, **more), "models/tiny", None)


def run(downloads: Downloads, plan: DownloadPlan) -> object:
    return list(downloads.fetch(plan, threading.Event()))[-1]


def test_a_model_arrives_as_the_store_loads_it(
    downloads: Downloads, repository: str, settings: Settings, tiny_base: Path
) -> None:
    plan = model_plan(downloads, repository)
    names = tuple(file.name for file in plan.files)
    assert names == loaded_files(tiny_base).names
    assert not any(name.endswith((".bin", ".md", ".msgpack")) for name in names)
    assert plan.notes == ("7 other files of the repository are not needed and not fetched.",)
    assert isinstance(run(downloads, plan), Fetched)
    folder = settings.model_base_path / "models/tiny"
    assert tuple(left_in(folder)) == names
    assert loaded_files(folder).names == names
    assert all((folder / name).read_bytes() == (tiny_base / name).read_bytes() for name in names)
    facts = read_published((folder.parent / "tiny.json").read_bytes())
    assert facts is not None
    assert facts.version == plan.published.version
    assert len(facts.version) == 40
    assert left_in(settings.model_base_path / "models") == [
        "tiny.json",
        *(f"tiny/{n}" for n in names),
    ]


def test_a_variant_is_fetched_as_the_store_loads_it(
    downloads: Downloads, repository: str, site: Site, settings: Settings
) -> None:
    """Components without the variant give their plain weights; shards come with their index."""
    files = site.repositories[repository]
    plain = files["unet/diffusion_pytorch_model.safetensors"]
    files["unet/diffusion_pytorch_model.fp16.safetensors"] = plain
    plan = model_plan(downloads, repository, variant="fp16")
    assert isinstance(run(downloads, plan), Fetched)
    names = tuple(file.name for file in plan.files)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in names
    assert "unet/diffusion_pytorch_model.safetensors" not in names
    assert loaded_files(settings.model_base_path / "models/tiny", "fp16").names == names
    with pytest.raises(errors.WrongFile, match="no bf16 weights"):
        model_plan(downloads, repository, variant="bf16")


def test_shards_come_with_their_index(
    downloads: Downloads, repository: str, site: Site, settings: Settings
) -> None:
    files = site.repositories[repository]
    whole = files.pop("unet/diffusion_pytorch_model.safetensors")
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    files |= {f"unet/{name}": whole for name in shards}
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    files["unet/diffusion_pytorch_model.safetensors.index.json"] = json.dumps(index).encode()
    plan = model_plan(downloads, repository)
    assert isinstance(run(downloads, plan), Fetched)
    names = tuple(file.name for file in plan.files)
    assert loaded_files(settings.model_base_path / "models/tiny").names == names
    assert sum("-of-00002" in name for name in names) == 2


def test_nobody_meets_half_a_model(
    downloads: Downloads, repository: str, settings: Settings, site: Site
) -> None:
    cancel = threading.Event()
    plan = model_plan(downloads, repository)
    unet = "unet/diffusion_pytorch_model.safetensors"
    data = site.repositories[repository][unet]
    site.files[f"{repository}/{unet}"] = Stored(data, pace=0.1, block=len(data) // 10)
    for event in downloads.fetch(plan, cancel):
        if isinstance(event, Fetching) and event.file == unet:
            cancel.set()
        last = event
    assert isinstance(last, Stopped)
    assert not (settings.model_base_path / "models/tiny").exists()
    fetched = _resolved(site)
    assert isinstance(run(downloads, plan), Fetched)
    again = _resolved(site)[len(fetched) :]
    assert not set(again) & set(fetched[:-1]), "what was whole is not fetched twice"


def _resolved(site: Site) -> list[str]:
    names = [seen.path for seen in site.asked("api", "/resolve/")]
    return [name for name in names if not name.endswith("model_index.json")]


def test_a_lora_of_the_hub(downloads: Downloads, lora_repository: str, settings: Settings) -> None:
    plan = downloads.plan_download(lora(lora_repository), None, None)
    assert plan.target == "loras/sd15/ink-ink.safetensors"
    assert plan.sha256 == hashlib.sha256(LORA).hexdigest()
    assert plan.published.licence == ("apache-2.0",)
    assert plan.published.trained_words == ("phrsink",)
    assert plan.published.family == "sd15"
    assert isinstance(run(downloads, plan), Fetched)
    assert (settings.model_base_path / plan.target).read_bytes() == LORA


def test_the_token_stays_at_the_hub(settings: Settings, lora_repository: str, site: Site) -> None:
    downloads = made(settings, hf_token=TOKEN)
    run(downloads, downloads.plan_download(lora(lora_repository), None, None))
    assert f"Bearer {TOKEN}" in site.keys_at("api")
    assert site.asked("storage")
    assert site.keys_at("storage") == []


def test_a_pinned_revision_is_asked_for(
    downloads: Downloads, lora_repository: str, site: Site
) -> None:
    commit = downloads.plan_download(lora(lora_repository), None, None).published.version
    plan = downloads.plan_download(lora(lora_repository, revision=commit), None, None)
    assert f"/resolve/{commit}/" in plan.files[0].url
    with pytest.raises(errors.NotThere, match="no such revision"):
        downloads.plan_download(lora(lora_repository, revision="v9"), None, None)


def test_what_the_librarys_cache_holds_is_not_fetched(
    downloads: Downloads,
    lora_repository: str,
    site: Site,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    plan = downloads.plan_download(lora(lora_repository), None, None)
    snapshot = tmp_path / "cache/models--someone--ink/snapshots" / plan.published.version
    snapshot.mkdir(parents=True)
    (snapshot / "ink.safetensors").write_bytes(LORA)
    assert isinstance(run(downloads, plan), Fetched)
    assert (settings.model_base_path / plan.target).read_bytes() == LORA
    assert site.asked("storage") == []


@pytest.mark.parametrize(
    ("status", "code", "kind", "word"),
    [
        (403, "GatedRepo", errors.Gated, "HF_TOKEN"),
        (401, "GatedRepo", errors.Gated, "Accept it"),
        (401, "RepoNotFound", errors.KeyMissing, "HF_TOKEN"),
        (404, "RepoNotFound", errors.NotThere, "private"),
        (404, "RevisionNotFound", errors.NotThere, "revision"),
        (429, "", errors.RateLimited, "later"),
        (503, "", errors.StorageFault, "503"),
        (403, "", errors.AccessDenied, "403"),
    ],
)
def test_each_refusal_has_its_name(
    settings: Settings,
    site: Site,
    lora_repository: str,
    status: int,
    code: str,
    kind: type[errors.DownloadError],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    site.answers["api:/api/models/someone/ink"] = Answer.of(status, {}, X_Error_Code=code)
    with pytest.raises(kind) as caught:
        made(settings).plan_download(lora(lora_repository), None, None)
    assert type(caught.value) is kind
    assert word in str(caught.value)


def test_fact_14_which_file_is_asked_for_where_there_are_several(
    downloads: Downloads, lora_repository: str, site: Site
) -> None:
    site.repositories[lora_repository]["other.safetensors"] = LORA
    with pytest.raises(errors.SourceUnknown, match=r"2 \.safetensors files"):
        downloads.look_up(downloads.parse(lora_repository))
    published, *_ = downloads.look_up(downloads.parse(f"{lora_repository}/other.safetensors"))
    assert published.file_name == "other.safetensors"
    with pytest.raises(errors.NotThere, match="no file"):
        downloads.look_up(downloads.parse(f"{lora_repository}/none.safetensors"))


def test_a_model_of_pickles_is_refused(downloads: Downloads, repository: str, site: Site) -> None:
    files = site.repositories[repository]
    del files["unet/diffusion_pytorch_model.safetensors"]
    with pytest.raises(errors.WrongFile, match="fp16"):
        model_plan(downloads, repository)
    del files["unet/diffusion_pytorch_model.fp16.safetensors"]
    with pytest.raises(errors.WrongFile, match="pickle"):
        model_plan(downloads, repository)
    del files["model_index.json"]
    with pytest.raises(errors.WrongFile, match="diffusers layout"):
        model_plan(downloads, repository)


def test_a_small_file_with_other_bytes_is_found_out(
    downloads: Downloads, repository: str, site: Site, settings: Settings
) -> None:
    plan = model_plan(downloads, repository)
    commit = plan.published.version
    name = "unet/config.json"
    own = site.repositories[repository][name]
    path = f"api:/{repository}/resolve/{commit}/{name}"
    site.answers[path] = Answer(200, own[:-2] + b" }")
    with pytest.raises(errors.HashWrong, match=r"unet/config\.json"):
        run(downloads, plan)
    assert not (settings.model_base_path / "models/tiny").exists()


def test_offline_the_hub_is_not_asked(settings: Settings, site: Site) -> None:
    with pytest.raises(errors.Offline):
        model_plan(made(settings, offline=True), "someone/tiny")
    assert site.seen == []


def test_a_folder_that_is_in_the_way_is_kept(
    downloads: Downloads, repository: str, settings: Settings
) -> None:
    folder = settings.model_base_path / "models/tiny"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(errors.PlaceTaken):
        run(downloads, model_plan(downloads, repository))
    assert (folder / "mine.txt").read_text() == "mine"
