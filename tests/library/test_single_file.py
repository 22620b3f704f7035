"""Bases that are one file, and bases with variants: from the preset to the picture."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import Violation
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.workspace import Workspace
from tests.support.original import save_original

_MODEL = """pipeline: StableDiffusionPipeline, base_architecture: sd15,
     settings: {steps: 2, guidance_scale: 2.0, default_width: 64, default_height: 64,
                dtype: float32, scheduler: DDIMScheduler}"""
PRESETS = f"""
models:
  - {{slug: folder, label: Folder, path: base, {_MODEL}}}
  - {{slug: half, label: Half, path: base, variant: fp16, {_MODEL}}}
  - {{slug: one, label: One, path: one.safetensors, config: layout, {_MODEL}}}
  - {{slug: plain-one, label: Plain one, path: one.safetensors, {_MODEL}}}
  - {{slug: headless, label: Headless, path: headless.safetensors, config: layout, {_MODEL}}}
  - {{slug: v-own, label: V own, path: v.safetensors, {_MODEL}}}
  - {{slug: v-plain, label: V plain, path: v.safetensors, config: layout, {_MODEL}}}
  - {{slug: v-half, label: V half, path: v.safetensors, config: v-half, {_MODEL}}}
  - {{slug: v-whole, label: V whole, path: v.safetensors, config: v-whole, {_MODEL}}}
  - {{slug: v-claim, label: V claim, path: claim.safetensors, config: layout, {_MODEL}}}
  - {{slug: v-claimed, label: V claimed, path: claim.safetensors, config: v-half, {_MODEL}}}
  - {{slug: epsilon, label: Epsilon, path: epsilon.safetensors, config: layout, {_MODEL}}}
  - {{slug: nowhere, label: Nowhere, path: one.safetensors, config: gone, {_MODEL}}}
  - {{slug: flux, label: Flux, path: one.safetensors, pipeline: FluxPipeline,
     base_architecture: flux1}}
loras:
  - {{slug: text, label: Text, base_architecture: sd15, path: text.safetensors, trigger: none}}
"""


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_loras: dict[str, Path]
) -> Path:
    """``base`` with plain and fp16 weights, the same as ``one.safetensors`` with ``layout``."""
    root = tmp_path_factory.mktemp("models")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    save_original(pipeline, root / "one.safetensors")
    pipeline.save_pretrained(root / "base")
    pipeline.to(torch.float16).save_pretrained(root / "base", variant="fp16")
    shutil.copytree(tiny_base, root / "layout", ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = load_file(root / "one.safetensors")
    kept = {key: value for key, value in tensors.items() if not key.startswith("first_stage")}
    save_file(kept, root / "headless.safetensors")
    shutil.copy(tiny_loras["text"], root / "text.safetensors")
    mark = torch.tensor([])
    save_file({**tensors, "v_pred": mark, "ztsnr": mark.clone()}, root / "v.safetensors")
    for name, claim in (("claim", "v"), ("epsilon", "epsilon")):
        said = {"modelspec.prediction_type": claim}
        save_file(tensors, root / f"{name}.safetensors", metadata=said)
    for name, zero_snr in (("v-half", False), ("v-whole", True)):
        shutil.copytree(root / "layout", root / name)
        place = root / name / "scheduler" / "scheduler_config.json"
        changed = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": zero_snr}
        place.write_text(json.dumps(json.loads(place.read_text()) | changed))
    return root


@pytest.fixture(scope="module")
def workspace(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("studio")
    (folder / "presets").mkdir()
    (folder / "presets" / "models.yaml").write_text(PRESETS)
    opened = Workspace.open(
        Settings(models, folder / "out", folder / "state", (folder / "presets",), device="cpu")
    )
    assert not opened.problems
    yield opened
    opened.close()


def resolved(workspace: Workspace, base: str, *loras: str) -> RunPlan | tuple[Violation, ...]:
    mode = Mode.LORA if loras else Mode.BASE
    chosen = tuple(LoraChoice(slug=slug) for slug in loras)
    return workspace.plan(
        GenerationRequest(base=base, mode=mode, prompt="a rocket", loras=chosen, seed=7)
    )


def planned(workspace: Workspace, base: str, *loras: str) -> RunPlan:
    plan = resolved(workspace, base, *loras)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    return plan


def refusal(workspace: Workspace, base: str) -> str:
    found = resolved(workspace, base)
    assert not isinstance(found, RunPlan)
    return " ".join(item.describe() for item in found)


def made(workspace: Workspace, plan: RunPlan) -> Finished:
    last = list(workspace.run(plan, workspace.open_session(), threading.Event()))[-1]
    assert isinstance(last, Finished), last
    assert workspace.verify(last.path).ok
    return last


def test_one_file_runs_and_its_configurations_are_part_of_its_identity(
    workspace: Workspace, models: Path
) -> None:
    plan = planned(workspace, "one", "text")
    names = [file.name for file in plan.base.files]
    assert "one.safetensors" in names
    assert {"model_index.json", "unet/config.json", "tokenizer/tokenizer.json"} <= set(names)
    assert [n for n in names if n.endswith(".safetensors")] == ["one.safetensors"]
    assert plan.loras[0].modules == planned(workspace, "folder", "text").loras[0].modules
    assert "its configurations and tokenizers are the preset's config" in str(plan.notices)
    pixels = [
        made(workspace, planned(workspace, base, "text")).record.receipt.image.pixels_sha256
        for base in ("one", "folder")
    ]
    assert pixels[0] == pixels[1]
    assert workspace.present()["one"]


def test_without_a_config_the_studio_brings_the_architectures_own(workspace: Workspace) -> None:
    """The tokenizer is CLIP's: its ids are those that the published models read."""
    plan = planned(workspace, "plain-one")
    assert "the studio's own" in str(plan.notices)
    from transformers import CLIPTokenizer

    layout = BUILT_IN_PRESETS / "layouts" / "sd15"
    read = CLIPTokenizer.from_pretrained(layout / "tokenizer", local_files_only=True)
    ids = read("a photo of an astronaut riding a horse on mars").input_ids
    assert ids == [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407]


@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("sd15", {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        (
            "sdxl",
            {
                "unet": 2_567_463_684,
                "vae": 83_653_863,
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
            },
        ),
    ],
)
def test_the_studios_layouts_are_of_the_published_models(
    architecture: str, sizes: dict[str, int]
) -> None:
    """Their parameter counts are the published ones."""
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    layout = BUILT_IN_PRESETS / "layouts" / architecture
    with init_empty_weights():
        made = {
            "unet": UNet2DConditionModel.from_config(
                UNet2DConditionModel.load_config(layout / "unet")
            ),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(layout / "vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(layout / "text_encoder")),
        }
        if "text_encoder_2" in sizes:
            config = CLIPTextConfig.from_pretrained(layout / "text_encoder_2")
            made["text_encoder_2"] = CLIPTextModelWithProjection(config)
    assert {
        name: sum(p.numel() for p in part.parameters()) for name, part in made.items()
    } == sizes


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("headless", "holds no vae of a Stable Diffusion 1.5 checkpoint"),
        ("nowhere", "leave config out of the preset"),
        ("flux", "single files are read for Stable Diffusion 1.5 and SDXL only"),
    ],
)
def test_what_one_file_cannot_be_is_said_with_the_way_out(
    workspace: Workspace, base: str, said: str
) -> None:
    assert said in refusal(workspace, base)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("v-own", 'scheduler_config.json has prediction_type "v_prediction" and rescale_betas_ze'),
        ("v-plain", "by the tensor v_pred and the tensor ztsnr how it was trained"),
        ("v-half", "scheduler_config.json has rescale_betas_zero_snr true."),
        ("v-claim", "by modelspec.prediction_type 'v' how it was trained"),
    ],
)
def test_a_file_that_says_how_it_was_trained_is_not_sampled_otherwise(
    workspace: Workspace, base: str, said: str
) -> None:
    """It would be noise, under a contract that holds."""
    assert said in refusal(workspace, base)


@pytest.mark.parametrize(
    ("base", "prediction"),
    [("v-whole", "v_prediction"), ("v-claimed", "v_prediction"), ("epsilon", "epsilon")],
)
def test_configurations_that_agree_with_the_file_sample_it(
    workspace: Workspace, base: str, prediction: str
) -> None:
    done = made(workspace, planned(workspace, base))
    plain = made(workspace, planned(workspace, "one"))
    pixels = [each.record.receipt.image.pixels_sha256 for each in (done, plain)]
    assert (pixels[0] == pixels[1]) is (prediction == "epsilon")


def test_the_presets_variant_is_loaded_and_the_other_is_said(workspace: Workspace) -> None:
    plain, half = planned(workspace, "folder"), planned(workspace, "half")
    assert {file.name for file in half.base.files if ".fp16." in file.name} == {
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    weights = [f for f in half.base.files if f.name.endswith(".safetensors")]
    assert len(weights) == 3
    assert not any(".fp16." in file.name for file in plain.base.files)
    assert "unet of Folder also has fp16 weights" in str(plain.notices)
    assert "unet of Half also has plain weights" in str(half.notices)
    pixels = {made(workspace, plan).record.receipt.image.pixels_sha256 for plan in (plain, half)}
    assert len(pixels) == 2


def test_only_a_variant_is_not_taken_unasked(workspace: Workspace, models: Path) -> None:
    folder = models / "base" / "unet"
    name = "diffusion_pytorch_model.safetensors"
    (folder / name).rename(models / "aside")
    try:
        assert "Write variant: fp16 into the model's preset" in refusal(workspace, "folder")
        assert isinstance(resolved(workspace, "half"), RunPlan)
    finally:
        (models / "aside").rename(folder / name)


def test_whole_and_in_shards_is_ambiguous(workspace: Workspace, models: Path) -> None:
    index = models / "base" / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "diffusion_pytorch_model.safetensors"}}')
    try:
        assert "which is meant is not said" in refusal(workspace, "folder")
    finally:
        index.unlink()
