"""A library of 10,000 LoRAs costs a request nothing that grows with it unseen."""

from collections.abc import Mapping
from typing import Any

import pytest

from studio.architecture import Architecture, Mode
from studio.contract.plan import RunPlan
from studio.inspection import LoraInspection
from studio.inspection.fit import Fit, check_fit
from studio.presets import Catalog, LoraPreset
from studio.resolve import fits, resolve
from studio.resolve.inventory import TensorShapes
from tests.resolve.test_resolve import CATALOG, MINI, RUNTIME, SDXL, ask, inventory, with_loras

FAMILIES = tuple(Architecture)
MANY = tuple(
    LoraPreset(
        slug=f"lora-{number}",
        label=f"LoRA {number}",
        base_architecture=FAMILIES[number % len(FAMILIES)],
        path=f"{number}.safetensors",
        prompt=f"trigger{number} style",
        trigger="required",
    )
    for number in range(10_000)
)
LIBRARY = Catalog((MINI, SDXL), (*MANY, *CATALOG.loras.values()))


def test_a_large_library_changes_no_plan() -> None:
    for request in (ask(), with_loras("ink")):
        large = resolve(request, LIBRARY, inventory(), RUNTIME)
        small = resolve(request, CATALOG, inventory(), RUNTIME)
        assert isinstance(large, RunPlan)
        assert large == small


def test_a_wrong_slug_among_thousands_still_finds_what_was_meant() -> None:
    found = resolve(with_loras("inc"), LIBRARY, inventory(), RUNTIME)
    assert not isinstance(found, RunPlan)
    (unknown,) = (item for item in found if item.code == "unknown_lora")
    assert unknown.way_out == "Did you mean ink?"


def test_a_file_is_fitted_once_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []

    def counted(
        inspection: LoraInspection, shapes: Mapping[str, TensorShapes], *label: Any
    ) -> Fit:
        labels.append(label[0])
        return check_fit(inspection, shapes, *label)

    monkeypatch.setattr(fits, "check_fit", counted)
    resolve(with_loras("ink", "plain", mode=Mode.LORA), LIBRARY, inventory(), RUNTIME)
    assert labels == ["Mini", "Mini"], "one look at each of the two files"
