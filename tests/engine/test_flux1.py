"""FLUX.1: both text encoders, what true CFG reads, Kontext's reference, and the probe."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from studio.contract.plan import RunPlan
from studio.engine.families import Encoded, family_of
from studio.engine.families.flux1 import Flux1
from studio.engine.text.encode import encode
from studio.engine.tiny import TINY
from studio.errors import ContractBroken
from tests.engine.conftest import OpenStudio, TinyBases
from tests.support.probes import demand_probe_sees
from tests.support.studios import TinyStudio

NAME = "FluxPipeline"


@pytest.fixture(scope="module")
def studio(open_studio: OpenStudio) -> TinyStudio:
    return open_studio(NAME, "dev", guidance_scale=3.5)


@pytest.fixture(scope="module")
def pipeline(tiny_bases: TinyBases) -> Any:
    return diffusers.FluxPipeline.from_pretrained(tiny_bases(NAME, "dev"), local_files_only=True)


def planned(studio: TinyStudio, text: str, **changes: Any) -> RunPlan:
    return studio.plan(studio.request(prompt=text, **changes))


def read(pipeline: Any, plan: RunPlan) -> Encoded:
    return encode(family_of(plan.base.architecture), pipeline, plan, ())


@torch.no_grad()
def own(pipeline: Any, text: str, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(T5's embeddings, CLIP's summary) as diffusers makes them."""
    text_embeds, pooled, _ = pipeline.encode_prompt(text, max_sequence_length=length)
    return text_embeds, pooled


@pytest.mark.parametrize("length", [512, 48])
@pytest.mark.parametrize("text", ["a rocket on the blue background", "Ink!! 7 (cat), on a"])
def test_both_encoders_read_as_the_pipeline_does(
    text: str, length: int, studio: TinyStudio, pipeline: Any
) -> None:
    plan = planned(studio, text, max_sequence_length=length)
    encoded = read(pipeline, plan)
    text_embeds, pooled = own(pipeline, text, length)
    assert torch.equal(encoded.arguments["prompt_embeds"], text_embeds)
    assert torch.equal(encoded.arguments["pooled_prompt_embeds"], pooled)
    assert encoded.max_sequence_length == length
    assert {(r.encoder, r.side): r.tokens for r in encoded.receipts} == {
        (entry.encoder, entry.side.value): entry.used
        for entry in plan.prompt.ledger
        if entry.side.value == "prompt"
    }


def test_the_negative_prompt_is_read_where_true_cfg_is_above_1(
    studio: TinyStudio, pipeline: Any
) -> None:
    off = read(pipeline, planned(studio, "a cat", true_cfg_scale=1.0))
    assert {each.side for each in off.receipts} == {"prompt"}
    assert "negative_prompt_embeds" not in off.arguments
    plan = planned(studio, "a cat", negative_prompt="ink", true_cfg_scale=2.0)
    on = read(pipeline, plan)
    text_embeds, pooled = own(pipeline, "ink", 512)
    assert torch.equal(on.arguments["negative_prompt_embeds"], text_embeds)
    assert torch.equal(on.arguments["negative_pooled_prompt_embeds"], pooled)
    made = studio.make(negative_prompt="ink", true_cfg_scale=2.0)
    assert (made.record.receipt.guidance_scale, made.record.receipt.true_cfg_scale) == (3.5, 2.0)


def test_clip_sums_up_what_t5_reads_to_the_end(studio: TinyStudio, pipeline: Any) -> None:
    """FLUX prompts are long; the plan names the words that only T5 reads."""
    text = " ".join(["rocket"] * 90)
    plan = planned(studio, text)
    (clip,) = [e for e in plan.prompt.ledger if (e.encoder, e.used) == ("text_encoder", 75)]
    assert clip.cut == 15
    encoded = read(pipeline, plan)
    assert {r.encoder: r.tokens for r in encoded.receipts} == {
        "text_encoder": 75,
        "text_encoder_2": 90,
    }
    assert torch.equal(encoded.arguments["prompt_embeds"], own(pipeline, text, 512)[0])
    assert studio.make(prompt=text).record.receipt.warnings == ()


def test_what_the_plan_does_not_name_is_never_cut(studio: TinyStudio, pipeline: Any) -> None:
    plan = planned(studio, " ".join(["rocket"] * 90))
    ledger = tuple(entry.model_copy(update={"cut": 0}) for entry in plan.prompt.ledger)
    silent = plan.model_copy(update={"prompt": plan.prompt.model_copy(update={"ledger": ledger})})
    with pytest.raises(ContractBroken, match="90 tokens, and 75 fit into text_encoder"):
        read(pipeline, silent)
    length = plan.settings.max_sequence_length
    assert length is not None
    short = plan.settings.model_copy(
        update={"max_sequence_length": length.model_copy(update={"value": 64})}
    )
    with pytest.raises(ContractBroken, match="90 tokens, and 63 fit into text_encoder_2"):
        read(pipeline, plan.model_copy(update={"settings": short}))


@pytest.mark.parametrize("variant", TINY[NAME])
def test_the_probe_sees_every_layer_that_a_lora_can_change(
    variant: str, tiny_bases: TinyBases
) -> None:
    base = tiny_bases(NAME, variant)
    made = diffusers.FluxPipeline.from_pretrained(base, local_files_only=True)
    demand_probe_sees(Flux1(), made, ("transformer", "text_encoder", "text_encoder_2"))


@torch.no_grad()
def test_previews_show_each_latent_in_its_place(pipeline: Any) -> None:
    """Packed as the pipeline packs them, latents come back row by row."""
    family = Flux1()
    latents = family.latents_of(pipeline, torch.rand(1, 3, 64, 32) * 2 - 1)
    count, channels, rows, columns = latents.shape
    packed = pipeline._pack_latents(latents, count, channels, rows, columns)
    assert torch.equal(family.latents_by_place(pipeline, packed, 32, 64), latents[0])
