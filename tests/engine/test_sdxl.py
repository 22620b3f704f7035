"""What SDXL's two text encoders read, against diffusers' and Compel's own way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compel import CompelForSDXL
from diffusers import StableDiffusionXLPipeline

from studio.architecture import clip_skip_in_words
from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.engine.families import Encoded, family_of
from studio.engine.families.sdxl import StableDiffusionXL
from studio.engine.text.encode import encode
from tests.engine.conftest import OpenStudio, TinyBases
from tests.support.probes import demand_probe_sees
from tests.support.studios import TinyStudio

NAME = "StableDiffusionXLPipeline"
COMPEL, NATIVE = PromptEncoder.COMPEL, PromptEncoder.NATIVE
SIDES = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
"""In the order in which ``encode_prompt`` returns them."""


@pytest.fixture(scope="module")
def studio(open_studio: OpenStudio) -> TinyStudio:
    return open_studio(NAME, guidance_scale=5.0)


@pytest.fixture(scope="module")
def pipeline(tiny_bases: TinyBases) -> Any:
    return StableDiffusionXLPipeline.from_pretrained(tiny_bases(NAME), local_files_only=True)


def read(pipeline: Any, plan: RunPlan) -> Encoded:
    return encode(family_of(plan.base.architecture), pipeline, plan, ())


def planned(studio: TinyStudio, text: str, way: PromptEncoder, **changes: Any) -> RunPlan:
    return studio.plan(studio.request(prompt=text, prompt_encoder=way, **changes))


@torch.no_grad()
def own(pipeline: Any, text: str, negative: str | None = None, **changes: Any) -> Any:
    return pipeline.encode_prompt(text, device="cpu", negative_prompt=negative, **changes)


@pytest.mark.parametrize("way", [NATIVE, COMPEL])
@pytest.mark.parametrize("negative", ["cat", ""])
@pytest.mark.parametrize("text", ["a rocket on the blue background", "żółć 🚀!! ink, the cat"])
def test_both_sides_are_the_pipelines_own_to_the_bit(
    text: str, negative: str, way: PromptEncoder, studio: TinyStudio, pipeline: Any
) -> None:
    ours = read(pipeline, planned(studio, text, way, negative_prompt=negative))
    for name, expected in zip(SIDES, own(pipeline, text, negative or None), strict=True):
        found = ours.arguments[name]
        assert found is not None
        assert torch.equal(found, expected), name


def test_each_encoder_says_what_it_read(studio: TinyStudio, pipeline: Any) -> None:
    """SDXL's second tokenizer takes every exclamation mark for a token of its own."""
    for way in (NATIVE, COMPEL):
        plan = planned(studio, "a rocket!!", way, negative_prompt="cat")
        receipts = read(pipeline, plan).receipts
        assert [(each.encoder, each.side, each.tokens) for each in receipts] == [
            (entry.encoder, entry.side.value, entry.used) for entry in plan.prompt.ledger
        ]


def test_without_guidance_only_the_prompt_is_read(studio: TinyStudio, pipeline: Any) -> None:
    plan = planned(studio, "a cat", NATIVE, negative_prompt="ink", guidance_scale=1.0)
    encoded = read(pipeline, plan)
    assert [each.side for each in encoded.receipts] == ["prompt", "prompt"]
    assert encoded.arguments["negative_prompt_embeds"] is None


def test_nobodys_clip_skip_is_the_layer_before_the_last(studio: TinyStudio, pipeline: Any) -> None:
    """CivitAI's 2 is what diffusers reads without a clip skip, and its 3 is diffusers' 1."""
    plan = planned(studio, "a cat", NATIVE)
    assert plan.settings.clip_skip is not None
    assert plan.settings.clip_skip.value == 2
    assert clip_skip_in_words(2) == "the layer before the last"
    for ours, theirs in ((2, None), (3, 1)):
        encoded = read(pipeline, planned(studio, "a cat", NATIVE, clip_skip=ours))
        expected, *_ = own(pipeline, "a cat", clip_skip=theirs)
        assert encoded.arguments["prompt_embeds"].equal(expected)
    last = read(pipeline, planned(studio, "a cat", NATIVE, clip_skip=1))
    assert last.clip_skip == 1
    assert not last.arguments["prompt_embeds"].equal(own(pipeline, "a cat")[0])


@pytest.mark.parametrize(
    "text",
    [
        "a cat on the (blue)1.3 background",
        " ".join(["rocket"] * 100),
        '("a cat", "the rocket").blend(0.7, 0.3)',
    ],
)
def test_compel_reads_words_as_its_own_wrapper_does(
    text: str, studio: TinyStudio, pipeline: Any
) -> None:
    ours = read(pipeline, planned(studio, text, COMPEL, negative_prompt="ink"))
    theirs = CompelForSDXL(pipeline)(text, negative_prompt="ink")
    prompt, negative = (ours.arguments[name] for name in SIDES[:2])
    assert torch.equal(prompt, theirs.embeds)
    short = theirs.negative_embeds.shape[1]
    assert torch.equal(negative[:, :short], theirs.negative_embeds)
    assert prompt.shape == negative.shape


def test_the_pooled_embedding_is_of_the_words_alone(studio: TinyStudio, pipeline: Any) -> None:
    """Compel's own wrapper would take it from the raw text, plus signs and brackets included."""

    def pooled(text: str) -> torch.Tensor:
        read_out = read(pipeline, planned(studio, text, COMPEL))
        found: torch.Tensor = read_out.arguments["pooled_prompt_embeds"]
        return found

    plain = own(pipeline, "a cat on the blue background")[2]
    assert torch.equal(pooled("a cat++ on the (blue background)1.3"), plain)
    theirs = CompelForSDXL(pipeline)("a cat++ on the (blue background)1.3", negative_prompt="")
    assert not torch.equal(theirs.pooled_embeds, plain)
    blend = pooled('("a cat", "the rocket").blend(3, 1)')
    cat, rocket = own(pipeline, "a cat")[2], own(pipeline, "the rocket")[2]
    assert torch.allclose(blend, 0.75 * cat + 0.25 * rocket)
    assert torch.equal(pooled('("a cat", "the rocket").and()'), cat)


def test_the_probe_sees_every_layer_that_a_lora_can_change(pipeline: Any) -> None:
    demand_probe_sees(StableDiffusionXL(), pipeline, ("unet", "text_encoder", "text_encoder_2"))


def test_a_long_prompts_pooled_embedding_is_said_to_be_of_its_beginning(
    studio: TinyStudio, pipeline: Any
) -> None:
    plan = planned(studio, " ".join(["rocket"] * 100), COMPEL)
    (notice,) = [each for each in plan.notices if each.code == "beyond_pooled"]
    assert "All 100 tokens" in notice.text
    assert "the first 75 alone" in notice.text
    pooled = read(pipeline, plan).arguments["pooled_prompt_embeds"]
    assert torch.equal(pooled, own(pipeline, " ".join(["rocket"] * 75))[2])
    assert not [each for each in planned(studio, "a cat", COMPEL).notices if "pooled" in each.code]
