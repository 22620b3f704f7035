"""Qwen-Image, Z-Image and FLUX.2: the studio's pictures are those of diffusers' own calls."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from studio.contract.events import Progress
from studio.engine import Engine, EngineEvent, RunCancelled
from studio.engine.base.folder import Pipeline, from_folder
from studio.engine.families import family_of
from studio.engine.run.steps import build_scheduler
from studio.errors import ContractBroken, EngineError, PromptRefused, UnusableReference
from tests.support.flow import (
    PROMPT,
    flow_job,
    flow_plan,
    reference,
    save_flow_base,
    save_flow_lora,
)
from tests.support.plans import events_of, pictures, pixels_of

QWEN, EDIT, PLUS = "QwenImagePipeline", "QwenImageEditPipeline", "QwenImageEditPlusPipeline"
ZIMAGE, DEV, KLEIN = "ZImagePipeline", "Flux2Pipeline", "Flux2KleinPipeline"
Bases = dict[tuple[str, str | None], Path]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    folder = tmp_path_factory.mktemp("flow")
    variants: list[tuple[str, str | None]] = [
        (name, None) for name in (QWEN, EDIT, PLUS, ZIMAGE, DEV)
    ]
    variants += [(KLEIN, "distilled"), (KLEIN, "base")]
    return {key: save_flow_base(folder, *key) for key in variants}


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("flow-loras")
    return {
        name: save_flow_lora(folder / f"{name.lower()}.safetensors", name)
        for name in (QWEN, ZIMAGE, DEV, KLEIN)
    }


def opened(folder: Path) -> Pipeline:
    pipeline = from_folder(folder, folder.name.partition("-")[0], torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(folder: Path, **called: Any) -> bytes:
    """RGB bytes of diffusers' own call, prompt and all."""
    made = opened(folder)(
        prompt=PROMPT,
        width=48,
        height=32,
        num_inference_steps=2,
        generator=torch.Generator("cpu").manual_seed(7),
        **called,
    )
    return made.images[0].tobytes()


# Each: the base, what the plan says, and the same in the words of diffusers' own call.
CALLS: dict[str, tuple[tuple[str, str | None], dict[str, Any], dict[str, Any]]] = {
    "qwen": ((QWEN, None), {"guidance": 1.0}, {"true_cfg_scale": 1.0}),
    "qwen, guided": (
        (QWEN, None),
        {"guidance": 4.0, "negative": "a cat"},
        {"true_cfg_scale": 4.0, "negative_prompt": "a cat"},
    ),
    "qwen, guided against nothing": (
        (QWEN, None),
        {"guidance": 4.0},
        {"true_cfg_scale": 4.0, "negative_prompt": " "},
    ),
    "qwen edit": (
        (EDIT, None),
        {"guidance": 1.0, "pictures": (reference(),)},
        {"true_cfg_scale": 1.0, "image": reference()},
    ),
    "qwen edit plus": (
        (PLUS, None),
        {"guidance": 2.5, "pictures": (reference(64, 96),)},
        {"true_cfg_scale": 2.5, "negative_prompt": " ", "image": [reference(64, 96)]},
    ),
    "zimage, guidance off": ((ZIMAGE, None), {"guidance": 1.0}, {"guidance_scale": 0.0}),
    "zimage, guidance below off": ((ZIMAGE, None), {"guidance": 0.0}, {"guidance_scale": 0.0}),
    "zimage, guided": (
        (ZIMAGE, None),
        {"guidance": 4.3, "negative": "a cat"},
        {"guidance_scale": 4.3 - 1.0, "negative_prompt": "a cat"},
    ),
    "flux2 dev": ((DEV, None), {"guidance": 3.5}, {"guidance_scale": 3.5}),
    "flux2 dev, reference": (
        (DEV, None),
        {"guidance": 3.5, "pictures": (reference(), reference(64, 80))},
        {"guidance_scale": 3.5, "image": [reference(), reference(64, 80)]},
    ),
    "klein, distilled": ((KLEIN, "distilled"), {"guidance": 1.0}, {"guidance_scale": 1.0}),
    "klein, guided": ((KLEIN, "base"), {"guidance": 4.0}, {"guidance_scale": 4.0}),
    "klein, reference": (
        (KLEIN, "base"),
        {"guidance": 4.0, "pictures": (reference(),)},
        {"guidance_scale": 4.0, "image": reference()},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_picture_is_that_of_the_pipelines_own_call(
    name: str, bases: Bases, engine: Engine
) -> None:
    key, planned, called = CALLS[name]
    (made,) = pictures(engine, flow_job(bases[key], **planned))
    assert made.image.tobytes() == plain(bases[key], **called)
    assert made.receipt.guidance_scale == planned["guidance"]
    assert made.receipt.scheduler == "FlowMatchEulerDiscreteScheduler"
    assert made.receipt.steps == 2
    assert made.receipt.warnings == ()
    read = {entry.side: entry.tokens for entry in made.receipt.encoding}
    assert read["prompt"] == 6  # a, rocket, on, the, blue, background: no template
    assert len(made.receipt.references) == len(planned.get("pictures", ()))


@pytest.mark.parametrize(("key", "guidance"), [
    ((QWEN, None), 4.0), ((ZIMAGE, None), 3.0), ((DEV, None), 4.0), ((KLEIN, "base"), 4.0),
])  # fmt: skip
def test_a_lora_works_and_leaves_no_trace(
    key: tuple[str, str | None], guidance: float, bases: Bases, loras: dict[str, Path],
    engine: Engine,
) -> None:  # fmt: skip
    folder, lora = bases[key], loras[key[0]]
    before = pixels_of(engine, flow_job(folder, guidance=guidance))
    (with_lora,) = pictures(engine, flow_job(folder, (lora, 1.0), guidance=guidance))
    assert with_lora.receipt.layer_effect is not None
    assert with_lora.receipt.layer_effect > 0
    assert with_lora.receipt.base_proof.holds
    assert with_lora.image.tobytes() != before
    assert {part.component for part in with_lora.receipt.loras[0].components} == {"transformer"}
    (at_zero,) = pictures(engine, flow_job(folder, (lora, 0.0), guidance=guidance))
    assert at_zero.image.tobytes() == before
    stop = threading.Event()

    def stop_at_a_step(event: EngineEvent) -> None:
        if isinstance(event, Progress):
            stop.set()

    with pytest.raises(RunCancelled):
        engine.run(flow_job(folder, (lora, 1.0), guidance=guidance), stop, stop_at_a_step)
    (after,) = pictures(engine, flow_job(folder, guidance=guidance))
    assert after.image.tobytes() == before
    assert after.receipt.base_proof.fresh


@pytest.mark.parametrize("key", [(QWEN, None), (EDIT, None), (ZIMAGE, None), (DEV, None),
                                 (KLEIN, "base")])  # fmt: skip
def test_nothing_is_cut_in_silence(
    key: tuple[str, str | None], bases: Bases, engine: Engine
) -> None:
    seen = (reference(),) if key[0] == EDIT else ()
    whole = flow_job(bases[key], prompt="a " * 40 + "a", length=512, pictures=seen)
    assert whole.plan.prompt.ledger[0].used > 40
    with pytest.raises(ContractBroken, match="and 40 fit"):
        pictures(engine, flow_job(bases[key], prompt="a " * 40 + "a", length=40, pictures=seen))


def test_a_longer_sequence_than_the_pipelines_default_is_read(
    bases: Bases, engine: Engine
) -> None:
    """The default is 512; all 700 words and what stands behind them must arrive."""
    longer = flow_job(bases[QWEN, None], prompt="a" + " a" * 699, length=1024)
    (made,) = pictures(engine, longer)
    assert made.receipt.encoding[0].tokens == 700
    assert made.receipt.max_sequence_length == 1024


def test_a_template_that_loses_its_length_is_refused(bases: Bases) -> None:
    """With another tokenizer the pipeline would take off words of the prompt, or leave some."""
    pipeline = opened(bases[QWEN, None])
    pipeline.prompt_template_encode = pipeline.prompt_template_encode.replace(" image", "")
    plan = flow_plan(bases[QWEN, None])
    with pytest.raises(ContractBroken, match=r"has 33 tokens .* takes 34 off"):
        family_of(plan.base.architecture).encode(pipeline, plan, ())


def test_a_template_that_changes_the_words_is_refused(bases: Bases) -> None:
    pipeline = opened(bases[ZIMAGE, None])
    template = pipeline.tokenizer.chat_template
    pipeline.tokenizer.chat_template = template.replace("message.content", "message.content|upper")
    plan = flow_plan(bases[ZIMAGE, None])
    with pytest.raises(ContractBroken, match="changes the prompt"):
        family_of(plan.base.architecture).encode(pipeline, plan, ())


def test_what_the_pipelines_would_ignore_is_refused(bases: Bases, engine: Engine) -> None:
    with pytest.raises(ContractBroken, match="distilled"):
        pictures(engine, flow_job(bases[KLEIN, "distilled"], guidance=4.0))
    with pytest.raises(PromptRefused, match=r"takes \[IMG\] out of the prompt"):
        pictures(engine, flow_job(bases[DEV, None], prompt="a [IMG] rocket"))
    with pytest.raises(EngineError, match="no scheduler 'EulerDiscreteScheduler' for this base"):
        pictures(engine, flow_job(bases[ZIMAGE, None], scheduler="EulerDiscreteScheduler"))
    with pytest.raises(ContractBroken, match="no single step"):
        pictures(engine, flow_job(bases[QWEN, None], steps=1))


def test_a_base_whose_noise_no_seed_controls_is_refused(bases: Bases) -> None:
    own = opened(bases[ZIMAGE, None]).scheduler
    own.register_to_config(stochastic_sampling=True)
    with pytest.raises(EngineError, match="no seed controls"):
        build_scheduler("FlowMatchEulerDiscreteScheduler", own)


def test_references_are_checked_before_anything_runs(bases: Bases, engine: Engine) -> None:
    with pytest.raises(UnusableReference, match="too small"):
        pictures(engine, flow_job(bases[DEV, None], pictures=(reference(32, 96),)))
    with pytest.raises(ContractBroken, match="edits one reference image"):
        pictures(engine, flow_job(bases[EDIT, None]))
    with pytest.raises(ContractBroken, match="takes no reference images"):
        pictures(engine, flow_job(bases[QWEN, None], pictures=(reference(),)))
    job = flow_job(bases[DEV, None], pictures=(reference(),))
    (path,) = job.reference_paths.values()
    reference(96, 80).save(path)
    with pytest.raises(UnusableReference, match="not those the plan names"):
        pictures(engine, job)


@pytest.mark.parametrize(("key", "shown"), [
    ((QWEN, None), (16, 4, 6)), ((ZIMAGE, None), (16, 4, 6)), ((DEV, None), (16, 2, 3)),
])  # fmt: skip
@torch.no_grad()
def test_latents_find_their_places(
    key: tuple[str, str | None], shown: tuple[int, ...], bases: Bases
) -> None:
    """What a picture is encoded to, packed by the pipeline, is unpacked to itself, and the
    pipeline's own step before the VAE turns it into what the VAE encoded."""
    pipeline = opened(bases[key])
    family = family_of(flow_plan(bases[key]).base.architecture)
    pixels = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = family.latents_of(pipeline, pixels)
    assert tuple(latents.shape) == (2, *shown)
    packed = PACKED[key[0]](pipeline, latents)
    by_place = family.latents_by_place(pipeline, packed, 48, 32)
    assert torch.equal(by_place, latents[0])
    video = pixels.unsqueeze(2) if key[0] == QWEN else pixels
    encoded = pipeline.vae.encode(video).latent_dist.mode()
    assert torch.allclose(decoder_input(pipeline, packed[:1]), encoded[:1], atol=1e-5)


def decoder_input(pipeline: Pipeline, packed: torch.Tensor) -> torch.Tensor:
    """What the pipeline gives its VAE when its steps leave it with ``packed``."""
    seen: list[torch.Tensor] = []
    decode = pipeline.vae.decode

    def listen(latents: torch.Tensor, **named: Any) -> Any:
        seen.append(latents)
        return decode(latents, **named)

    pipeline.vae.decode = listen
    pipeline.scheduler.step = lambda *_, **__: (packed,)
    off = {"true_cfg_scale": 1.0} if type(pipeline).__name__ == QWEN else {"guidance_scale": 0.0}
    pipeline(prompt=PROMPT, width=48, height=32, num_inference_steps=2, **off)
    return seen[0]


PACKED = {
    QWEN: lambda pipeline, latents: pipeline._pack_latents(latents, 2, 16, 4, 6),
    ZIMAGE: lambda _, latents: latents,
    DEV: lambda pipeline, latents: pipeline._pack_latents(latents),
}


@pytest.mark.parametrize("key", [(QWEN, None), (ZIMAGE, None), (KLEIN, "distilled")])
def test_previews_have_the_pictures_shape(
    key: tuple[str, str | None], bases: Bases, engine: Engine
) -> None:
    events = events_of(engine, flow_job(bases[key]))
    shown = [event.preview for event in events if isinstance(event, Progress) and event.preview]
    assert len(shown) == 1  # after the first of two steps
    assert Image.open(io.BytesIO(shown[0])).size == (128, 85)
