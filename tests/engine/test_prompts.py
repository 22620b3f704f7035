"""What the encoders read, against the libraries' own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.engine import Engine
from studio.engine.families import Encoded, family_of
from studio.engine.text.encode import encode as encode_for
from studio.errors import ContractBroken, PromptRefused
from tests.support.plans import make_job, make_plan, pictures, pixels

COMPEL, NATIVE = PromptEncoder.COMPEL, PromptEncoder.NATIVE


@pytest.fixture(scope="module")
def pipeline(tiny_base: Path) -> Any:
    made = StableDiffusionPipeline.from_pretrained(tiny_base, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    return made


def encode(pipeline: Any, plan: RunPlan) -> Encoded:
    return encode_for(family_of(plan.base.architecture), pipeline, plan, ())


def embeddings(encoded: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
    """(prompt, negative), both there."""
    prompt, negative = (
        encoded.arguments[name] for name in ("prompt_embeds", "negative_prompt_embeds")
    )
    assert prompt is not None
    assert negative is not None
    return prompt, negative


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [("a rocket on the blue background", "cat"), ("", ""), ("żółć 🚀, (ink:1.3)", "a")],
)
def test_native_equals_the_pipelines_own_call(
    prompt: str, negative: str, engine: Engine, tiny_base: Path, pipeline: Any
) -> None:
    theirs = pipeline(
        prompt=prompt,
        negative_prompt=negative,
        width=32,
        height=32,
        num_inference_steps=2,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert pixels(engine, tiny_base, prompt=prompt, negative=negative) == theirs.tobytes()


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_compel_equals_native_on_short_prompts(
    clip_skip: int, tiny_base: Path, pipeline: Any
) -> None:
    ours = [
        encode(pipeline, make_plan(tiny_base, negative="cat", encoder=way, clip_skip=clip_skip))
        for way in (NATIVE, COMPEL)
    ]
    for native, compel in zip(embeddings(ours[0]), embeddings(ours[1]), strict=True):
        assert torch.equal(native, compel)
    assert ours[0].receipts == ours[1].receipts


def test_clip_skip_1_is_the_last_layer_and_2_the_one_before(
    tiny_base: Path, pipeline: Any
) -> None:
    """CivitAI's 2 is diffusers' 1: hidden_states[-(1 + 1)], then the final layer norm."""
    one, two = (
        embeddings(encode(pipeline, make_plan(tiny_base, clip_skip=skip)))[0] for skip in (1, 2)
    )
    theirs, _ = pipeline.encode_prompt("a rocket on the blue background", "cpu", 1, False)
    assert torch.equal(one, theirs)
    ids = pipeline.tokenizer(
        "a rocket on the blue background", padding="max_length", return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        states = pipeline.text_encoder(ids, output_hidden_states=True).hidden_states
        expected = pipeline.text_encoder.final_layer_norm(states[-(1 + 1)])
    assert torch.equal(two, expected)
    assert not torch.equal(one, two)


def test_clip_skip_beyond_the_encoder_is_refused(tiny_base: Path, pipeline: Any) -> None:
    with pytest.raises(ContractBroken, match="has 3 layers"):
        encode(pipeline, make_plan(tiny_base, clip_skip=4))


def test_compel_reads_long_prompts_in_windows(engine: Engine, tiny_base: Path) -> None:
    job = make_job(tiny_base, prompt=" ".join(["rocket"] * 100), encoder=COMPEL)
    (made,) = pictures(engine, job)
    tokens = {entry.side: entry.tokens for entry in made.receipt.encoding}
    assert tokens == {"prompt": 100, "negative": 0}


def test_compel_pads_the_shorter_side(tiny_base: Path, pipeline: Any) -> None:
    plan = make_plan(tiny_base, negative=" ".join(["cat"] * 80), encoder=COMPEL)
    encoded = encode(pipeline, plan)
    assert [side.shape for side in embeddings(encoded)] == [(1, 2 * 77, 32)] * 2


def test_compel_weights_words(tiny_base: Path, pipeline: Any) -> None:
    plain, weighted = (
        encode(pipeline, make_plan(tiny_base, prompt=text, encoder=COMPEL))
        for text in ("a rocket", "a rocket++")
    )
    assert not torch.equal(embeddings(plain)[0], embeddings(weighted)[0])
    assert plain.receipts == weighted.receipts


@pytest.mark.parametrize("text", ["a cat.swap(rocket)", "a cat withLora(ink, 0.5)"])
def test_what_compel_would_drop_is_refused(text: str, tiny_base: Path, pipeline: Any) -> None:
    with pytest.raises(ContractBroken, match="no effect"):
        encode(pipeline, make_plan(tiny_base, prompt=text, encoder=COMPEL))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('("a cat","a rocket").blend(1)', "mismatched prompts/weights counts"),
        ('("a", "b").and(1)', "mismatched parts/weights counts"),
        ('("a","b").blend(x,1)', "could not convert string to float: 'x'"),
        ("(" * 400 + "a" + ")" * 400, "recursion"),
        ("()", "finds no text"),
    ],
)
@pytest.mark.parametrize("side", ["prompt", "negative"])
def test_what_compel_cannot_read_is_refused_by_name(
    side: str, text: str, said: str, tiny_base: Path, pipeline: Any
) -> None:
    plan = make_plan(tiny_base, encoder=COMPEL, **{side: text})
    with pytest.raises(PromptRefused, match=side) as caught:
        encode(pipeline, plan)
    assert said in caught.value.message
    assert caught.value.code == "prompt_refused"
    assert "natively" in caught.value.way_out


def test_native_never_truncates(tiny_base: Path, pipeline: Any) -> None:
    fits = make_plan(tiny_base, prompt=" ".join(["a"] * 75))
    assert encode(pipeline, fits).receipts[0].tokens == 75
    with pytest.raises(ContractBroken, match="78 tokens"):
        encode(pipeline, make_plan(tiny_base, prompt=" ".join(["a"] * 76)))


def test_without_guidance_no_negative_prompt_is_read(engine: Engine, tiny_base: Path) -> None:
    (made,) = pictures(engine, make_job(tiny_base, negative="cat", guidance=1.0))
    assert [entry.side for entry in made.receipt.encoding] == ["prompt"]


def test_encoding_comes_after_the_loras(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """A text-encoder LoRA changes the embeddings, so the order shows in the pixels."""
    from tests.support import tiny

    alone = tiny.rewrite(
        tiny_loras["text"],
        tmp_path / "alone.safetensors",
        lambda t: {k: v for k, v in t.items() if k.startswith("text_encoder.")},
    )
    before = pixels(engine, tiny_base)
    assert pixels(engine, tiny_base, (alone, 2.0)) != before
    assert pixels(engine, tiny_base) == before
