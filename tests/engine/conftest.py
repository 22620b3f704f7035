"""Tiny bases of every pipeline class, built once a session, and workspaces around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.studios import TinyStudio

TinyBases = Callable[..., Path]
OpenStudio = Callable[..., TinyStudio]


@pytest.fixture(scope="session")
def tiny_bases(tmp_path_factory: pytest.TempPathFactory) -> TinyBases:
    """(pipeline, variant) → the folder of its tiny base."""
    from studio.engine.tiny import save_tiny

    built: dict[tuple[str, str | None], Path] = {}

    def base(pipeline: str, variant: str | None = None) -> Path:
        key = (pipeline, variant)
        if key not in built:
            built[key] = save_tiny(pipeline, tmp_path_factory.mktemp("base"), variant=variant)
        return built[key]

    return base


@pytest.fixture(scope="module")
def open_studio(
    tmp_path_factory: pytest.TempPathFactory, tiny_bases: TinyBases
) -> Iterator[OpenStudio]:
    """(pipeline, variant, loras, settings of the preset) → an open workspace around it."""
    studios: list[TinyStudio] = []

    def opened(pipeline: str, variant: str | None = None, **given: Any) -> TinyStudio:
        base = tiny_bases(pipeline, variant)
        studios.append(TinyStudio.open(tmp_path_factory.mktemp("studio"), pipeline, base, **given))
        return studios[-1]

    yield opened
    for each in studios:
        each.workspace.close()
