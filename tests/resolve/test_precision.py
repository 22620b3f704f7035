"""What a base is computed in: who says it, what follows from weights and memory, and where."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from studio.architecture import Mode
from studio.comparison.axes import base_against_lora
from studio.comparison.plan import held
from studio.contract.origin import Origin
from studio.contract.placement import Dtype
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, Overrides
from studio.errors import SettingsError
from studio.library.base_headers import component_tensors
from studio.library.store import WeightStore
from studio.presets import ModelPreset
from studio.resolve.memory import MemoryRules, StoredWeights, automatic_dtype
from studio.settings import Settings
from studio.workspace.workspace import Workspace
from tests.support.original import save_original
from tests.support.worlds import World

GB = 10**9
F32, F16, BF16 = Dtype.FLOAT32, Dtype.FLOAT16, Dtype.BFLOAT16
SD15, SDXL, FLUX = 1_066_235_307, 3_469_000_000, 17_000_000_000
"""How many numbers the published models are."""
SD = "StableDiffusionPipeline"


def rules(
    device: str, budget: float, dtype: Dtype | None = None, bf16: bool = True
) -> MemoryRules:
    size = int(budget * GB)
    return MemoryRules(device, size * 10 // 7, size, dtype=dtype, bfloat16=bf16)


LAPTOP, SPACE, SMALL = rules("cpu", 22.4), rules("cpu", 11.2), rules("cpu", 15.0)
GPU, OLD_GPU, MAC = rules("cuda", 16.8), rules("cuda", 16.8, bf16=False), rules("mps", 16.8)


@pytest.mark.parametrize(
    ("memory", "numbers", "stored", "half", "chosen", "said"),
    [
        (LAPTOP, SD15, "F32", F16, F32, "Its 4.3 GB in float32 fit the budget of 22.4 GB."),
        (LAPTOP, SDXL, "F16", F16, F32, "Its 13.9 GB in float32 fit the budget of 22.4 GB."),
        (SMALL, SDXL, "F16", F16, BF16, "leave no room for LoRAs in the budget of 15.0 GB."),
        (SPACE, SDXL, "F16", F16, BF16, "Its 13.9 GB in float32 exceed the budget of 11.2 GB."),
        (LAPTOP, FLUX, "BF16", BF16, BF16, "Its 68.0 GB in float32 exceed the budget"),
        (GPU, SDXL, "F16", F16, F16, "Its weights are stored in float16."),
        (GPU, SDXL, "BF16", F16, BF16, "Its weights are stored in bfloat16."),
        (GPU, SDXL, "F32", F16, F16, "stored in float32; on a GPU its family runs in float16."),
        (GPU, FLUX, "BF16", BF16, BF16, "Its weights are stored in bfloat16."),
        (GPU, FLUX, "F16", BF16, F16, "Its weights are stored in float16."),
        (GPU, FLUX, "F8_E4M3", BF16, BF16, "stored in F8_E4M3; on a GPU its family runs in"),
        (GPU, FLUX, None, BF16, BF16, "On a GPU its family runs in bfloat16."),
        (rules("cuda", 100), SD15, "F32", F16, F16, "on a GPU its family runs in float16."),
        (OLD_GPU, SDXL, "BF16", F16, F16, "stored in bfloat16; on a GPU its family runs in"),
        (OLD_GPU, FLUX, "BF16", BF16, F32, "runs in bfloat16, which this GPU does not compute."),
        (MAC, SDXL, "F16", F16, F16, "Its weights are stored in float16."),
        (MAC, FLUX, "F32", BF16, BF16, "on a GPU its family runs in bfloat16."),
        (None, SDXL, "F16", F16, F32, "The device could not be examined"),
    ],
)
def test_where_nobody_says_it_weights_and_memory_decide(
    memory: MemoryRules | None,
    numbers: int,
    stored: str | None,
    half: Dtype,
    chosen: Dtype,
    said: str,
) -> None:
    found, why = automatic_dtype(memory, StoredWeights(numbers, stored, half))
    assert found is chosen
    assert said in why


@pytest.mark.parametrize(
    ("asked", "studio", "preset", "value", "origin", "said"),
    [
        (F32, BF16, "float16", F32, Origin.USER, "You chose it."),
        (None, BF16, "float16", BF16, Origin.STUDIO, "DTYPE is set to bfloat16."),
        (None, None, "float32", F32, Origin.MODEL, "The model's preset names it."),
        (None, None, None, F16, Origin.AUTOMATIC, "Its weights are stored in float16."),
    ],
)
def test_the_user_says_it_before_the_studio_and_the_studio_before_the_preset(
    asked: Dtype | None,
    studio: Dtype | None,
    preset: str | None,
    value: Dtype,
    origin: Origin,
    said: str,
) -> None:
    world = World(SD, model={"dtype": preset}, memory=rules("cuda", 16.8, studio), stored="F16")
    plan = world.plan(settings=Overrides(precision=asked))
    chosen = plan.settings.precision
    assert chosen is not None
    assert (plan.settings.dtype, chosen.value) == (value, value)
    assert (chosen.origin, chosen.reason) == (origin, said)
    assert chosen.slug == ("base" if origin is Origin.MODEL else None)


@pytest.mark.parametrize(
    ("memory", "model", "asked", "said", "way_out"),
    [
        (
            rules("cpu", 8),
            {"dtype": "float16"},
            None,
            "run in float16, which a CPU cannot compute. The model's preset names it.",
            "Choose float32 or bfloat16 as the precision, or use a GPU.",
        ),
        (rules("cpu", 8, F16), {}, None, "DTYPE is set to float16.", "Choose float32 or bf"),
        (rules("cpu", 8), {}, F16, "You chose it.", "Choose float32 or bfloat16"),
        (
            OLD_GPU,
            {"dtype": "bfloat16"},
            None,
            "which this GPU cannot compute.",
            "Choose float32 or float16 as the precision.",
        ),
    ],
)
def test_what_the_device_does_not_compute_is_refused_and_never_replaced(
    memory: MemoryRules, model: dict[str, str], asked: Dtype | None, said: str, way_out: str
) -> None:
    """DEVICE is ``auto``: what it came to is known from the memory."""
    world = World(SD, model=model, memory=memory)
    (found,) = world.violations(settings=Overrides(precision=asked)).values()
    assert (found.code, found.field) == ("dtype_not_supported", "settings.precision")
    assert said in found.found
    assert found.way_out.startswith(way_out)


def test_a_base_runs_in_one_dtype_with_and_without_its_loras() -> None:
    """Else the arms of a comparison would differ in more than the LoRA."""
    model = {"dtype": None}
    for budget in range(900, 1200):
        memory = MemoryRules("cpu", 10**6, budget * 40)
        base = World(SD, model=model, memory=memory).plan()
        lora = World(SD, model=model, memory=memory, lora={}).plan(mode=Mode.LORA)
        assert base.settings.precision == lora.settings.precision


def test_saving_memory_on_a_cpu_is_told_in_a_notice() -> None:
    short, enough = MemoryRules("cpu", 10, 1), MemoryRules("cpu", 10**9, 10**9)
    told = World(SD, model={"dtype": None}, memory=short).notices()
    assert told["dtype_by_memory"].startswith("The Base runs in bfloat16, to save memory. Its ")
    assert "dtype_by_memory" not in World(SD, model={"dtype": None}, memory=enough).notices()
    assert "dtype_by_memory" not in World(SD, memory=short).notices()


def test_the_embedded_base_stays_as_it_was(tmp_path: Path) -> None:
    """On a CPU: float32, as its preset says; the origin is no part of what plans are known by."""
    workspace = Workspace.open(Settings(tmp_path, tmp_path, tmp_path, device="cpu"))
    asked = GenerationRequest(base="mini", mode=Mode.BASE, prompt="a rocket", seed=7)
    plan = workspace.plan(asked)
    settings = Overrides(precision=F32)
    said = workspace.plan(asked.model_copy(update={"settings": settings}))
    narrow = workspace.plan(asked.model_copy(update={"settings": Overrides(precision=BF16)}))
    workspace.close()
    assert isinstance(plan, RunPlan)
    assert isinstance(said, RunPlan)
    assert isinstance(narrow, RunPlan)
    assert plan.settings.precision is not None
    assert (plan.settings.dtype, plan.settings.precision.origin) == ("float32", Origin.MODEL)
    without = plan.settings.model_copy(update={"precision": None})
    assert plan.model_copy(update={"settings": without}).fingerprint == plan.fingerprint
    assert said.fingerprint == plan.fingerprint != narrow.fingerprint
    assert "precision" not in asked.model_dump(mode="json")["settings"]


def test_presets_of_flow_models_name_it_and_the_others_leave_it_open(tmp_path: Path) -> None:
    workspace = Workspace.open(Settings(tmp_path, tmp_path, tmp_path, device="cpu"))
    models = workspace.catalog.models
    workspace.close()
    flow = ("flux1", "flux2", "qwen", "sd3", "zimage")
    for slug, model in models.items():
        named = "bfloat16" if model.base_architecture.value in flow else None
        if slug != "mini":
            assert model.settings.dtype == named, slug


def test_what_a_component_is_stored_in_is_read_from_headers_alone(tmp_path: Path) -> None:
    """Of most of its numbers, not of most of its tensors; the weights themselves are not there
    to be read."""
    place = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    place.parent.mkdir()
    header = {
        "norm.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        "norm.bias": {"dtype": "F32", "shape": [4], "data_offsets": [16, 32]},
        "conv.weight": {
            "dtype": "BF16",
            "shape": [10**6, 8],
            "data_offsets": [32, 16 * 10**6 + 32],
        },
    }
    raw = json.dumps(header).encode()
    with place.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        stream.truncate(8 + len(raw) + 16 * 10**6 + 32)
    found = component_tensors(tmp_path, ("unet/diffusion_pytorch_model.safetensors",))
    assert found.stored == {"unet": "BF16"}
    assert found.shapes["unet"]["conv.weight"] == (10**6, 8)


def test_the_inventory_says_it_of_folders_and_of_single_files(
    tmp_path: Path, tiny_base: Path
) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    save_original(pipeline, tmp_path / "one.safetensors", torch.bfloat16)
    pipeline.to(torch.float16).save_pretrained(tmp_path / "folder")
    told = {"pipeline": SD, "base_architecture": "sd15"}
    one = ModelPreset(slug="one", label="One", path="one.safetensors", **told)
    folder = ModelPreset(slug="folder", label="Folder", path="folder", **told)
    found = WeightStore(Settings(tmp_path, tmp_path, tmp_path)).inventory([one, folder], [])
    parts = ("unet", "vae", "text_encoder")
    assert found.bases["one"].stored == dict.fromkeys(parts, "BF16")
    assert found.bases["folder"].stored == dict.fromkeys(parts, "F16")


def test_a_comparison_holds_it_in_every_cell() -> None:
    """Also across bases: cells that ran in different precisions could not be compared."""
    world = World(SD, model={"dtype": None}, memory=GPU, stored="F16")
    plan = world.plan()
    request = GenerationRequest(base="base", mode=Mode.BASE, prompt="a rocket", seed=1)
    wanted = base_against_lora(request)
    assert held(wanted, plan).settings.precision == F16


def test_the_setting_is_read(tmp_path: Path) -> None:
    assert Settings.from_env({}, tmp_path).dtype is None
    assert Settings.from_env({"DTYPE": "auto"}, tmp_path).dtype is None
    assert Settings.from_env({"DTYPE": "BFloat16"}, tmp_path).dtype is BF16
    with pytest.raises(SettingsError, match="Set it to auto, float32, float16 or bfloat16"):
        Settings.from_env({"DTYPE": "fp8"}, tmp_path)


def test_a_gpu_without_hardware_for_bfloat16_is_told_of() -> None:
    slow = replace(rules("cuda", 16.8), slow_bfloat16=True)
    assert "bfloat16_slow" in World(SD, memory=slow).notices()
    assert "bfloat16_slow" not in World(SD, model={"dtype": "float16"}, memory=slow).notices()
    assert "bfloat16_slow" not in World(SD, memory=GPU).notices()
