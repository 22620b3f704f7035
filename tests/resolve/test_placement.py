"""Offload and tiling: what is chosen, by which memory, and how it is said."""

from dataclasses import replace
from pathlib import Path

import pytest

from studio.architecture import Mode
from studio.contract.placement import Dtype, Offload
from studio.errors import SettingsError
from studio.resolve.memory import MemoryRules, needless, place, tiles
from studio.settings import Settings
from tests.support.worlds import World

GB = 10**9
SIZES = {"unet": 5 * GB, "text_encoder": GB, "vae": GB}


def cuda(budget: int, offload: Offload | None = None) -> MemoryRules:
    return MemoryRules("cuda", budget * 2, budget, offload)


@pytest.mark.parametrize(
    ("budget", "chosen", "said"),
    [
        (8 * GB, Offload.NONE, "Its 7.0 GB of weights, with the LoRAs chosen, fit the budget of"),
        (6 * GB, Offload.MODEL, "its largest component, 5.0 GB, does not"),
        (4 * GB, Offload.SEQUENTIAL, "Its largest component, 5.0 GB, with the LoRAs chosen, exc"),
    ],
)
def test_a_gpu_offloads_as_little_as_its_budget_allows(
    budget: int, chosen: Offload, said: str
) -> None:
    placed = place(cuda(budget), SIZES)
    assert placed.offload is chosen
    assert said in placed.reason


@pytest.mark.parametrize(
    ("budget", "loras", "chosen"),
    [
        (7.07, 0, Offload.NONE),
        (7.07, 0.07, Offload.NONE),
        (7.07, 0.08, Offload.MODEL),
        (5.05, 0.05, Offload.MODEL),
        (5.05, 0.06, Offload.SEQUENTIAL),
    ],
)
def test_the_loras_need_room_on_the_gpu_too(budget: float, loras: float, chosen: Offload) -> None:
    """Else a run is planned that the engine refuses, although it would fit with offload."""
    rules = cuda(int(budget * GB))
    placed = place(rules, SIZES, int(loras * GB))
    assert placed.offload is chosen
    if chosen is Offload.NONE:
        assert placed == place(rules, SIZES), "the arms of a comparison are placed alike"


def test_a_plan_counts_the_loras_that_the_mode_applies_in_the_bases_dtype() -> None:
    """The base has one component of 10,240 numbers, the LoRA's file at most 1,179."""
    base, lora = 10_240, 1_179
    for dtype, size in ((Dtype.FLOAT32, 4), (Dtype.FLOAT16, 2)):
        tight = MemoryRules("cuda", 10**6, size * (base + lora) - 1, dtype=dtype)
        wide = replace(tight, budget=tight.budget + 1)
        for rules, offload in ((tight, Offload.SEQUENTIAL), (wide, Offload.NONE)):
            world = World("StableDiffusionPipeline", lora={}, memory=rules)
            for mode, expected in ((Mode.LORA, offload), (Mode.TRIGGER_ONLY, Offload.NONE)):
                placed = world.plan(mode=mode).placement
                assert placed is not None
                assert placed.offload is expected, (dtype, mode, rules.budget)


@pytest.mark.parametrize("wanted", list(Offload))
def test_what_is_set_is_done_on_a_gpu_and_needless_elsewhere(wanted: Offload) -> None:
    assert place(cuda(100 * GB, wanted), SIZES).offload is wanted
    assert not needless(cuda(GB, wanted))
    for device in ("cpu", "mps"):
        rules = MemoryRules(device, GB, GB // 2, wanted)
        assert place(rules, SIZES).offload is Offload.NONE
        assert "nowhere to offload to" in place(rules, SIZES).reason
        assert needless(rules) is (wanted is not Offload.NONE)


def test_a_picture_is_decoded_in_tiles_where_it_does_not_fit_what_the_weights_leave() -> None:
    rules = MemoryRules("cpu", 10 * GB, 7 * GB)
    assert not tiles(rules, 512, 512)
    assert not tiles(rules, 768, 768)
    assert tiles(rules, 1024, 1024)
    assert tiles(MemoryRules("cpu", 10 * GB, 7 * GB, vae_tiling=True), 64, 64)
    assert not tiles(MemoryRules("cpu", 10 * GB, 7 * GB, vae_tiling=False), 4096, 4096)


def test_the_settings_are_read(tmp_path: Path) -> None:
    automatic = Settings.from_env({}, tmp_path)
    assert (automatic.offload, automatic.vae_tiling, automatic.vae_slicing) == (None, None, False)
    values = {"OFFLOAD": "Sequential", "VAE_TILING": "on", "VAE_SLICING": "1"}
    said = Settings.from_env(values, tmp_path)
    assert (said.offload, said.vae_tiling, said.vae_slicing) == (Offload.SEQUENTIAL, True, True)
    assert Settings.from_env({"VAE_TILING": "auto", "OFFLOAD": "auto"}, tmp_path) == automatic
    for name in ("OFFLOAD", "VAE_TILING", "VAE_SLICING"):
        with pytest.raises(SettingsError, match=name):
            Settings.from_env({name: "some"}, tmp_path)


def test_the_plan_says_where_the_weights_go_and_what_was_asked_in_vain(tmp_path: Path) -> None:
    """On this machine, whose device is the CPU, with the embedded base."""
    from studio.contract.plan import RunPlan
    from studio.contract.request import GenerationRequest
    from studio.workspace.workspace import Workspace

    settings = Settings(
        tmp_path, tmp_path, tmp_path, device="cpu", offload=Offload.MODEL, vae_tiling=True
    )
    workspace = Workspace.open(settings)
    request = GenerationRequest(base="mini", mode=Mode.BASE, prompt="a rocket", seed=7)
    plan = workspace.plan(request)
    workspace.close()
    assert isinstance(plan, RunPlan)
    assert plan.placement is not None
    assert (plan.placement.device, plan.placement.offload) == ("cpu", Offload.NONE)
    assert plan.settings.vae_tiling
    codes = {notice.code for notice in plan.notices}
    assert {"offload_without_effect", "vae_tiling"} <= codes
