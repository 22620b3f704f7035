"""A LoRA's strength apart for text encoders and blocks: the modules hold what was asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from studio.architecture import TRAITS, Architecture
from studio.contract.audit import discrepancies
from studio.contract.origin import FloatSetting, Origin
from studio.contract.plan import LoraPart
from studio.contract.receipt import Receipt
from studio.engine import Engine, LocalJob
from studio.engine.lora.match import base_modules
from studio.engine.lora.receipts import receipts
from studio.engine.lora.slot import slots_of
from studio.engine.tiny import build_tiny
from studio.errors import ContractBroken
from tests.support.plans import make_job, pictures, pixels, pixels_of


def finely(job: LocalJob, **strengths: float) -> LocalJob:
    """``job`` with its LoRA, in diffusers' names, at other strengths in these parts."""
    (use,) = job.plan.loras
    part_of = TRAITS[Architecture.MINI].part_of
    with safe_open(job.lora_paths[use.slug], framework="pt") as file:
        names = [name for name in file.keys() if name.endswith(".lora_A.weight")]  # noqa: SIM118
    counts = Counter(
        part_of(component, module)
        for component, _, module in (
            name.removesuffix(".lora_A.weight").partition(".") for name in names
        )
    )
    parts = tuple(
        LoraPart(
            part=part,
            strength=FloatSetting(value=strength, origin=Origin.USER),
            modules=counts[part],
        )
        for part, strength in strengths.items()
    )
    uses = (use.model_copy(update={"parts": parts}),)
    return replace(job, plan=job.plan.model_copy(update={"loras": uses}))


def receipt_of(engine: Engine, job: LocalJob) -> Receipt:
    return pictures(engine, job)[0].receipt


def test_text_encoders_and_blocks_hold_what_the_plan_says(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = finely(make_job(tiny_base, (tiny_loras["text"], 0.8)), te=0.4, mid=0.0)
    receipt = receipt_of(engine, job)
    (lora,) = receipt.loras
    assert lora.strength == 0.8
    assert {each.part: each.strength for each in lora.parts} == {"te": 0.4, "mid": 0.0}
    assert all(each.applied for each in lora.parts)
    text, unet = lora.components  # alpha 4 of rank 8
    assert (text.scale_min, text.scale_max) == (0.2, 0.2)
    assert (unet.scale_min, unet.scale_max) == (0.0, 0.4)
    assert discrepancies(job.plan, receipt) == ()


def test_equal_strengths_apart_are_the_one_strength_to_the_bit(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = make_job(tiny_base, (tiny_loras["text"], 0.7))
    whole = pictures(engine, job)[0]
    apart = pictures(engine, finely(job, te=0.7, out=0.7))[0]
    assert apart.image.tobytes() == whole.image.tobytes()
    assert apart.receipt.layer_effect == pytest.approx(whole.receipt.layer_effect)
    assert apart.receipt.switched_sha256 == whole.receipt.switched_sha256


def test_every_part_at_zero_is_the_base_to_the_bit(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    job = finely(make_job(tiny_base, (tiny_loras["text"], 0.0)), te=0.0, mid=0.0)
    (made,) = pictures(engine, job)
    assert made.image.tobytes() == pixels(engine, tiny_base)
    assert made.receipt.layer_effect == 0


def test_each_part_alone_changes_the_picture_and_its_effect(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Also where the whole's strength is 0, and where only the text encoders are on."""
    base = pixels(engine, tiny_base)
    seen = {base}
    for part in ("te", "in", "mid", "out"):
        job = finely(make_job(tiny_base, (tiny_loras["text"], 0.0)), **{part: 1.0})
        (made,) = pictures(engine, job)
        assert made.image.tobytes() not in seen, part
        seen.add(made.image.tobytes())
        measured = made.receipt.effect if part == "te" else made.receipt.layer_effect
        assert measured, part


def test_text_encoders_at_zero_read_the_prompt_as_the_base_does(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    lora = (tiny_loras["text"], 1.0)
    read = {
        name: receipt_of(engine, job).embeddings_sha256
        for name, job in {
            "base": make_job(tiny_base),
            "off": finely(make_job(tiny_base, lora), te=0.0),
            "on": make_job(tiny_base, lora),
        }.items()
    }
    assert read["off"] == read["base"] != read["on"]


def test_another_scale_in_one_module_breaks_the_contract(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is planted in one module of the part is found when the receipt is read."""
    job = finely(make_job(tiny_base, (tiny_loras["text"], 1.0)), te=0.5)
    real = receipts

    def planted(base: object, *given: object) -> object:
        *_, (_, _, slot) = slots_of(base.pipeline)  # type: ignore[attr-defined]
        slot.strengths = dict.fromkeys(slot.strengths, 0.9)
        return real(base, *given)  # type: ignore[arg-type]

    monkeypatch.setattr("studio.engine.run.generate.receipts", planted)
    with pytest.raises(ContractBroken, match="instead of"):
        pictures(engine, job)


def test_stacked_loras_keep_their_own_parts(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    both = make_job(tiny_base, (tiny_loras["text"], 1.0), (tiny_loras["plain"], 0.5))
    alone = finely(make_job(tiny_base, (tiny_loras["text"], 1.0)), mid=0.25)
    uses = (both.plan.loras[0], *alone.plan.loras)
    job = replace(both, plan=both.plan.model_copy(update={"loras": uses}))
    receipt = receipt_of(engine, job)
    plain, text = receipt.loras
    assert plain.parts == ()
    assert [(each.part, each.strength) for each in text.parts] == [("mid", 0.25)]
    assert (
        plain.layer_effect
        == receipt_of(engine, make_job(tiny_base, (tiny_loras["plain"], 0.5))).layer_effect
    )
    assert text.layer_effect == pytest.approx(receipt_of(engine, alone).layer_effect)
    assert pixels_of(engine, job) != pixels_of(engine, both)


@pytest.mark.parametrize("architecture", [each for each in Architecture if TRAITS[each].runnable])
def test_every_block_of_a_denoiser_is_in_one_of_its_parts(architecture: Architecture) -> None:
    traits = TRAITS[architecture]
    pipeline = build_tiny(traits.pipeline)
    seen = set()
    for name in base_modules(getattr(pipeline, traits.denoiser)):
        part = traits.part_of(traits.denoiser, name)
        assert part or "block" not in name, name
        seen.add(part)
    assert seen - {None} == {each.name for each in traits.block_groups}
    assert traits.part_of("text_encoder", "any") == "te"
