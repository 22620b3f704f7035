"""Events, cancel, receipts and errors of a run."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

from studio.architecture.pipelines import SCHEDULER_NAMES
from studio.contract.events import Loading, Progress
from studio.contract.origin import FloatSetting, Origin
from studio.contract.request import PromptEncoder
from studio.engine import Engine, EngineEvent, Generated, LocalJob, RunCancelled
from studio.errors import ContractBroken, EngineError, NotFinite, OutOfMemory
from tests.support import tiny
from tests.support.plans import events_of, make_job, pictures, pixels, pixels_of


def test_events_come_in_order_with_previews(engine: Engine, tiny_base: Path) -> None:
    job = make_job(tiny_base, steps=4, count=2, run_id="r1")
    events = events_of(engine, job)
    kinds = [type(event) for event in events]
    assert kinds == [Loading] * 2 + ([Progress] * 4 + [Generated]) * 2
    steps = [event for event in events if isinstance(event, Progress)]
    assert [(event.index, event.step) for event in steps] == [
        (index, step) for index in (0, 1) for step in (1, 2, 3, 4)
    ]
    assert steps[0].preview is not None
    assert Image.open(io.BytesIO(steps[0].preview)).size == (128, 128)
    assert steps[3].preview is None


def test_the_receipt_is_what_the_picture_is(engine: Engine, tiny_base: Path) -> None:
    first, second = pictures(engine, make_job(tiny_base, count=2, seed=41, width=64))
    for index, made in enumerate((first, second)):
        image = made.receipt.image
        assert (image.index, image.seed) == (index, 41 + index)
        assert (image.width, image.height) == made.image.size == (64, 32)
        assert image.pixels_sha256 == hashlib.sha256(made.image.tobytes()).hexdigest()
    assert second.image.tobytes() == pixels(engine, tiny_base, seed=42, width=64)
    timings = first.receipt.timings
    assert timings.total == pytest.approx(
        timings.load + timings.loras + timings.encode + timings.denoise + timings.decode
    )
    assert first.receipt.warnings == ()


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_scheduler_runs_the_planned_steps(
    name: str, engine: Engine, tiny_base: Path
) -> None:
    events = events_of(engine, make_job(tiny_base, scheduler=name, steps=3))
    made = events[-1]
    assert isinstance(made, Generated)
    assert (made.receipt.scheduler, made.receipt.steps) == (name, 3)
    shown = [event.step for event in events if isinstance(event, Progress)]
    assert shown == sorted(shown)
    assert (shown[0], shown[-1]) == (1, 3)


def test_a_scheduler_outside_the_list_is_refused(engine: Engine, tiny_base: Path) -> None:
    with pytest.raises(EngineError, match="no scheduler 'FlaxDDIMScheduler'"):
        pictures(engine, make_job(tiny_base, scheduler="FlaxDDIMScheduler"))


def noisy(job: LocalJob, eta: float) -> LocalJob:
    """``job`` with an eta that the user said."""
    said = FloatSetting(value=eta, origin=Origin.USER)
    settings = job.plan.settings.model_copy(update={"eta": said})
    return replace(job, plan=job.plan.model_copy(update={"settings": settings}))


def test_eta_adds_the_seeds_noise_as_the_bare_pipeline_does(
    engine: Engine, tiny_base: Path
) -> None:
    job = make_job(tiny_base, scheduler="DDIMScheduler", steps=4)
    plain = pixels_of(engine, job)
    (first,), (again,) = (pictures(engine, noisy(job, 0.5)) for _ in range(2))
    assert first.receipt.eta == 0.5
    assert first.image.tobytes() == again.image.tobytes() != plain
    (without,) = pictures(engine, noisy(job, 0.0))
    assert (without.receipt.eta, without.image.tobytes()) == (0.0, plain)
    bare = StableDiffusionPipeline.from_pretrained(tiny_base, dtype=torch.float32)
    bare.scheduler = DDIMScheduler.from_config(bare.scheduler.config)
    bare.set_progress_bar_config(disable=True)
    settings = job.plan.settings
    theirs = bare(
        prompt=job.plan.prompt.text,
        width=settings.width.value,
        height=settings.height.value,
        num_inference_steps=4,
        guidance_scale=settings.guidance_scale.value,
        eta=0.5,
        generator=torch.Generator("cpu").manual_seed(job.plan.seed),
    ).images[0]
    assert theirs.tobytes() == first.image.tobytes()
    assert pixels_of(engine, job) == plain


def test_an_eta_that_the_scheduler_would_drop_breaks_the_contract(
    engine: Engine, tiny_base: Path
) -> None:
    """No plan has one; the pipeline would ignore it in silence."""
    job = make_job(tiny_base, scheduler="EulerDiscreteScheduler")
    with pytest.raises(ContractBroken, match="eta"):
        pictures(engine, noisy(job, 0.5))


def test_schedulers_leave_nothing_behind(engine: Engine, tiny_base: Path) -> None:
    before = pixels(engine, tiny_base)
    pixels(engine, tiny_base, scheduler="UniPCMultistepScheduler", steps=3)
    assert pixels(engine, tiny_base) == before


def test_cancel_stops_within_a_step_and_leaves_the_pipeline_clean(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    lora = (tiny_loras["text"], 1.0)
    clean = pixels(engine, tiny_base, lora)
    cancel = threading.Event()
    seen: list[EngineEvent] = []

    def stop_at_the_first_step(event: EngineEvent) -> None:
        seen.append(event)
        if isinstance(event, Progress):
            cancel.set()

    with pytest.raises(RunCancelled):
        engine.run(make_job(tiny_base, lora, steps=500), cancel, stop_at_the_first_step)
    assert [type(event) for event in seen if not isinstance(event, Loading)] == [Progress]
    assert pixels(engine, tiny_base, lora) == clean


def test_cancel_before_the_start_does_nothing(engine: Engine, tiny_base: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(RunCancelled):
        pictures(engine, make_job(tiny_base), cancel)
    assert engine.memory().bases == ()


def test_out_of_memory_is_named_and_survived(engine: Engine, tiny_base: Path) -> None:
    """256 TB of latents: more than any machine's address space, refused by the allocator."""
    before = pixels(engine, tiny_base)
    with pytest.raises(OutOfMemory, match="the picture"):
        pictures(engine, make_job(tiny_base, width=32_000_000, height=32_000_000))
    (after,) = pictures(engine, make_job(tiny_base))
    assert after.image.tobytes() == before


def test_what_the_audit_finds_breaks_the_contract_before_a_picture_is_given_out(
    engine: Engine, tiny_base: Path
) -> None:
    """A ledger without the prompt: only the audit knows that this is no plan's promise."""
    job = make_job(tiny_base)
    prompt = job.plan.prompt.model_copy(update={"ledger": job.plan.prompt.ledger[1:]})
    plan = job.plan.model_copy(update={"prompt": prompt})
    with pytest.raises(ContractBroken) as caught:
        pictures(engine, replace(job, plan=plan))
    read = job.plan.prompt.ledger[0].used
    sentence = f"tokens of the prompt: the plan says 0, the run had {read}."
    assert sentence in caught.value.message


@pytest.mark.parametrize("weights", ["1,-1", "0,0"])
def test_a_blend_of_nothing_is_refused(weights: str, engine: Engine, tiny_base: Path) -> None:
    prompt = f'("a cat","a rocket").blend({weights})'
    job = make_job(tiny_base, prompt=prompt, encoder=PromptEncoder.COMPEL)
    with pytest.raises(NotFinite, match="embeddings of the prompt") as caught:
        pictures(engine, job)
    assert (caught.value.code, "blend" in caught.value.way_out) == ("not_finite", True)
    assert pixels(engine, tiny_base)


def test_latents_that_overflow_are_refused(engine: Engine, tiny_base: Path) -> None:
    before = pixels(engine, tiny_base)
    seen: list[EngineEvent] = []
    with pytest.raises(NotFinite, match="latents"):
        engine.run(make_job(tiny_base, guidance=3e38, steps=3), threading.Event(), seen.append)
    assert not any(isinstance(event, Generated) for event in seen)
    assert pixels(engine, tiny_base) == before


def test_a_picture_that_decodes_to_no_numbers_is_refused(
    engine: Engine, tiny_base: Path, tmp_path: Path
) -> None:
    """The probe cannot see this: it never asks the decoder."""
    folder = tmp_path / "black"
    shutil.copytree(tiny_base, folder)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tiny.rewrite(weights, weights, _black)
    with pytest.raises(NotFinite, match="decoded pixels"):
        pictures(engine, make_job(folder))


def _black(tensors: tiny.Tensors) -> tiny.Tensors:
    name = "decoder.conv_out.bias"
    return tensors | {name: tensors[name] * float("nan")}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pixels_are_those_of_the_pipelines_own_pil_output(
    dtype: str, engine: Engine, tiny_base: Path
) -> None:
    ours = pixels(engine, tiny_base, dtype=dtype, negative="cat", width=64, steps=4)
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, dtype=getattr(torch, dtype))
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt="a rocket on the blue background",
        negative_prompt="cat",
        width=64,
        height=32,
        num_inference_steps=4,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="pil",
    ).images[0]
    assert ours == theirs.tobytes()


def test_a_lora_without_its_file_breaks_the_contract(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = make_job(tiny_base, (tiny_loras["plain"], 1.0))
    with pytest.raises(ContractBroken, match="No file was given for plain"):
        pictures(engine, replace(job, lora_paths={}))


def test_a_module_count_that_is_not_the_plans_breaks_the_contract(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = make_job(tiny_base, (tiny_loras["plain"], 1.0))
    use = job.plan.loras[0].model_copy(update={"modules": {"unet": 47}})
    with pytest.raises(ContractBroken, match="modules targeted in unet: the plan says 47"):
        pictures(engine, replace(job, plan=job.plan.model_copy(update={"loras": (use,)})))


def test_the_engine_alone_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, studio.engine, studio.backends; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
