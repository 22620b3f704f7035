"""A site on loopback, and a studio's downloads that know no other."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from studio.inspection import LoraInspection
from studio.library.downloads import DownloadEvent, DownloadPlan, Downloads
from studio.library.files import adopt, hash_file, read_inspection
from studio.presets import LoraPreset
from studio.settings import Settings
from tests.support.sites import KEY, Site, serving


class Shelf:
    """The store's own functions."""

    def adopt(self, temporary: Path, target: Path) -> None:
        adopt(temporary, target)

    def inspect(self, path: Path) -> LoraInspection:
        return read_inspection(path)

    def sha256(self, path: Path) -> str:
        return hash_file(path).sha256

    def keep(self, hashes: Mapping[Path, str]) -> None:
        for path, sha256 in hashes.items():
            assert hash_file(path).sha256 == sha256


def lora_bytes(size: int = 200_000, width: int = 768) -> bytes:
    """A whole safetensors file of about ``size`` bytes: a LoRA whose last tensor is long."""
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    rank = max(1, size // (4 * (width + 320)))
    tensors, position = {}, 0
    for key, shape in (
        (f"{name}.lora_down.weight", (rank, width)),
        (f"{name}.lora_up.weight", (320, rank)),
    ):
        end = position + 4 * shape[0] * shape[1]
        tensors[key] = {"dtype": "F32", "shape": shape, "data_offsets": [position, end]}
        position = end
    header = json.dumps(tensors).encode()
    body = bytes((7 * n) % 251 for n in range(997)) * (position // 997 + 1)
    return struct.pack("<Q", len(header)) + header + body[:position]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as served:
        yield served


@pytest.fixture
def settings(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return Settings(
        model_base_path=tmp_path / "models",
        outputs=tmp_path / "outputs",
        state=tmp_path / "state",
        civitai_api_key=KEY,
        civitai_url=site.url,
        download_hosts=(site.storage_url,),
        hf_endpoint=site.url,
        local_presets=tmp_path / "local.yaml",
    )


@pytest.fixture
def downloads(settings: Settings) -> Downloads:
    return made(settings)


def made(settings: Settings, **changes: object) -> Downloads:
    return Downloads(replace(settings, **changes), Shelf(), pause=0.01)  # type: ignore[arg-type]


def preset(version: int = 7, **changes: object) -> LoraPreset:
    values: dict[str, object] = {
        "slug": "ink",
        "label": "Ink",
        "base_architecture": "sd15",
        "air": f"urn:air:sd1:lora:civitai:1000@{version}",
        "trigger": "none",
    }
    return LoraPreset.model_validate({**values, **changes})


Fetch = Callable[..., list[DownloadEvent]]


@pytest.fixture
def fetch(downloads: Downloads) -> Fetch:
    """Plan and fetch a preset to ``loras/ink.safetensors``; every event."""

    def fetched(
        version: int = 7, using: Downloads | None = None, **more: object
    ) -> list[DownloadEvent]:
        own = using or downloads
        plan = planned(own, version, **more)
        return list(own.fetch(plan, threading.Event()))

    return fetched


def planned(downloads: Downloads, version: int = 7, **more: object) -> DownloadPlan:
    expected = more.pop("expected", None)
    return downloads.plan_download(
        preset(version, **more),
        "loras/ink.safetensors",
        expected,  # type: ignore[arg-type]
    )


def left_in(folder: Path) -> list[str]:
    """Everything below ``folder``."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
