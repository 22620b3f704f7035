"""LoRAs that are on in some of the steps: switched between them, and read back at each change."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.contract.audit import discrepancies
from studio.contract.origin import IntSetting, Origin
from studio.engine import Engine, LocalJob
from studio.engine.lora.schedule import step_of
from studio.engine.lora.slot import slots_of
from studio.engine.run import generate
from studio.engine.run.numbers import raw_bytes
from studio.errors import ContractBroken
from tests.support.plans import make_job, pictures

STEPS = 4


def said(step: int | None) -> IntSetting | None:
    return None if step is None else IntSetting(value=step, origin=Origin.USER)


def between(job: LocalJob, *spans: tuple[int | None, int | None]) -> LocalJob:
    """``job`` with each of its LoRAs on in these steps alone."""
    uses = tuple(
        use.model_copy(update={"first_step": said(first), "last_step": said(last)})
        for use, (first, last) in zip(job.plan.loras, spans, strict=True)
    )
    return replace(job, plan=job.plan.model_copy(update={"loras": uses}))


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, float]]:
    """After each step: the latents, and the strength that a module of the denoiser then had."""
    seen: list[tuple[bytes, float]] = []
    real = generate.callback_for

    def watched(run: Any, *given: Any) -> Any:
        inner = real(run, *given)

        def on_step_end(pipeline: Any, step: int, timestep: Any, tensors: Any) -> Any:
            held = [s.strengths for c, _, s in slots_of(pipeline) if c == "unet"]
            strength = max((max(each.values(), default=0.0) for each in held), default=0.0)
            seen.append((raw_bytes(tensors["latents"]), strength))
            return inner(pipeline, step, timestep, tensors)

        return on_step_end

    monkeypatch.setattr(generate, "callback_for", watched)
    return seen


@pytest.mark.parametrize(
    ("span", "ranges", "on"),
    [
        ((None, 2), [(1, 2, True), (3, 4, False)], [1, 1, 0, 0]),
        ((3, None), [(1, 2, False), (3, 4, True)], [0, 0, 1, 1]),
        ((2, 3), [(1, 1, False), (2, 3, True), (4, 4, False)], [0, 1, 1, 0]),
        ((1, 9), [], [1, 1, 1, 1]),
    ],
)
def test_what_was_held_in_which_steps_is_in_the_receipt(
    span: tuple[int | None, int | None],
    ranges: list[tuple[int, int, bool]],
    on: list[int],
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    trace: list[tuple[bytes, float]],
) -> None:
    job = between(make_job(tiny_base, (tiny_loras["plain"], 0.5), steps=STEPS), span)
    (made,) = pictures(engine, job)
    (lora,) = made.receipt.loras
    found = [(each.first_step, each.last_step, bool(each.applied)) for each in lora.ranges]
    assert found == ranges
    assert [each.scale_max for each in lora.ranges] == [0.5 * at for *_, at in ranges]
    assert [strength for _, strength in trace] == [0.5 * each for each in on]
    assert (lora.strength, lora.components[0].scale_max) == (0.5, 0.5)
    assert discrepancies(job.plan, made.receipt) == ()
    assert made.receipt.layer_effect


def test_steps_without_it_are_the_bases_to_the_bit(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    trace: list[tuple[bytes, float]],
) -> None:
    """Before it comes, the latents are the base's; and with it from the first step, the LoRA's."""

    def latents(job: LocalJob) -> list[bytes]:
        trace.clear()
        pictures(engine, job)
        return [each for each, _ in trace]

    lora = (tiny_loras["plain"], 1.0)
    base = latents(make_job(tiny_base, steps=STEPS))
    whole = latents(make_job(tiny_base, lora, steps=STEPS))
    late = latents(between(make_job(tiny_base, lora, steps=STEPS), (3, None)))
    early = latents(between(make_job(tiny_base, lora, steps=STEPS), (None, 2)))
    assert late[:2] == base[:2]
    assert early[:2] == whole[:2]
    assert len({late[2], base[2], whole[2]}) == len({early[2], base[2], whole[2]}) == 3


def test_a_step_off_computes_as_the_base_on_the_same_latents(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call of the denoiser in an off range, made again on a base without any LoRA."""
    calls: list[tuple[Any, Any, bytes]] = []
    job = between(make_job(tiny_base, (tiny_loras["plain"], 1.0), steps=STEPS), (None, 2))
    pictures(engine, job)
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()

    def keep(_: Any, given: Any, named: Any, output: Any) -> None:
        calls.append((given, named, raw_bytes(output[0])))

    handle = base.pipeline.unet.register_forward_hook(keep, with_kwargs=True)
    pictures(engine, job)
    handle.remove()
    pictures(engine, make_job(tiny_base))
    with torch.no_grad():
        again = [raw_bytes(base.pipeline.unet(*a, **k)[0]) for a, k, _ in calls]
    same = [one == other for one, (*_, other) in zip(again, calls, strict=True)]
    assert same == [False, False, True, True]


def test_two_loras_come_and_go_and_every_picture_begins_anew(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    loras = ((tiny_loras["other"], 1.0), (tiny_loras["text"], 0.5))
    job = between(make_job(tiny_base, *loras, steps=STEPS, count=2), (None, 1), (2, 3))
    first, second = pictures(engine, job)
    for made in (first, second):
        held = {
            lora.slug: [
                (each.first_step, each.last_step, each.applied > 0) for each in lora.ranges
            ]
            for lora in made.receipt.loras
        }
        assert held["other"] == [(1, 1, True), (2, 3, False), (4, 4, False)]
        assert held["text"] == [(1, 1, False), (2, 3, True), (4, 4, False)]
    assert first.receipt.switched_sha256 == second.receipt.switched_sha256
    assert first.image.tobytes() != second.image.tobytes()
    (alone,) = pictures(engine, replace(job, only=1))
    assert alone.image.tobytes() == second.image.tobytes()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_module_that_does_not_keep_what_was_set_breaks_the_contract(
    at: int,
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planted in one module in the midst of a range; it is found when the range is over."""
    real = generate.callback_for

    def planting(run: Any, *given: Any) -> Any:
        inner = real(run, *given)

        def on_step_end(pipeline: Any, step: int, timestep: Any, tensors: Any) -> Any:
            if step + 1 == at:
                *_, slot = (s for c, _, s in slots_of(pipeline) if c == "unet")
                slot.strengths = dict.fromkeys(slot.strengths, 0.9)
            return inner(pipeline, step, timestep, tensors)

        return on_step_end

    monkeypatch.setattr(generate, "callback_for", planting)
    job = between(make_job(tiny_base, (tiny_loras["plain"], 0.5), steps=STEPS), (None, 2))
    with pytest.raises(ContractBroken, match="instead of"):
        pictures(engine, job)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        ("DDIMScheduler", [1, 2, 3, 4]),
        ("HeunDiscreteScheduler", [1, 1, 2, 2, 3, 3, 4]),
        ("PNDMScheduler", [1, 2, 2, 3, 4]),
    ],
)
def test_calls_of_schedulers_that_take_more_than_one_a_step(
    scheduler: str,
    steps: list[int],
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    trace: list[tuple[bytes, float]],
) -> None:
    job = make_job(tiny_base, (tiny_loras["plain"], 0.5), steps=STEPS, scheduler=scheduler)
    (made,) = pictures(engine, between(job, (None, 2)))
    assert [strength > 0 for _, strength in trace] == [step <= 2 for step in steps]
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    used = base.pipeline.scheduler
    assert [step_of(call, STEPS, used) for call in range(len(steps))] == steps
    times = [int(each) for each in used.timesteps]
    for (one, other), (before, after) in zip(pairwise(times), pairwise(steps), strict=True):
        assert scheduler == "HeunDiscreteScheduler" or (one == other) is (before == after)
    assert made.receipt.steps == STEPS
