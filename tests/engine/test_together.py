"""Several pictures in one call: the same pictures up to rounding, each with its own receipt."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.contract.placement import Offload, Placement
from studio.engine import Engine, Generated, Job
from studio.engine.base import manager
from studio.errors import EngineError
from tests.support.plans import make_job, pictures

STRENGTHS = (0.3, 0.7, 1.2)


def together(engine: Engine, *jobs: Job) -> list[Generated]:
    named = [replace(job, run_id=f"r{number}") for number, job in enumerate(jobs)]
    lead = replace(named[0], together=tuple(named[1:]))
    events = list(engine.generate(lead, threading.Event()))
    made = [event for event in events if isinstance(event, Generated)]
    assert [each.run_id for each in made] == [job.run_id for job in named]
    return made


def values(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int16)


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_a_sweep_in_one_call_is_the_sweep(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], guidance: float
) -> None:
    jobs = [
        make_job(tiny_base, (tiny_loras["plain"], strength), steps=3, guidance=guidance)
        for strength in STRENGTHS
    ]
    alone = [pictures(engine, job)[0] for job in jobs]
    shared = together(engine, *jobs)
    for one, other in zip(alone, shared, strict=True):
        assert np.abs(values(one.image) - values(other.image)).max() <= 1
        assert other.receipt.together == 3
        assert other.receipt.loras[0].strength == one.receipt.loras[0].strength
        assert other.receipt.loras[0].components == one.receipt.loras[0].components
        assert other.receipt.effect == one.receipt.effect
        assert other.receipt.image.noise_sha256 == one.receipt.image.noise_sha256
        assert other.receipt.base_proof.holds
    apart = np.abs(values(alone[0].image) - values(alone[2].image)).max()
    assert apart > 10, "the strengths are worth telling apart"


def test_different_loras_and_text_encoders_share_a_call(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    jobs = [
        make_job(tiny_base, (tiny_loras["plain"], 1.0)),
        make_job(tiny_base, (tiny_loras["text"], 0.8)),
        make_job(tiny_base, (tiny_loras["plain"], 0.5), (tiny_loras["other"], 0.5)),
    ]
    alone = [pictures(engine, job)[0].image for job in jobs]
    shared = [made.image for made in together(engine, *jobs)]
    for one, other in zip(alone, shared, strict=True):
        assert np.abs(values(one) - values(other)).max() <= 1


def test_the_base_is_itself_afterwards(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    plain = tiny_loras["plain"]
    base = pictures(engine, make_job(tiny_base))[0].image.tobytes()
    single = pictures(engine, make_job(tiny_base, (plain, 0.7)))[0].image.tobytes()
    together(engine, *(make_job(tiny_base, (plain, strength)) for strength in STRENGTHS))
    assert pictures(engine, make_job(tiny_base))[0].image.tobytes() == base
    assert pictures(engine, make_job(tiny_base, (plain, 0.7)))[0].image.tobytes() == single


def test_prompts_of_other_lengths_are_refused_and_leave_the_pipeline_clean(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    plain = tiny_loras["plain"]
    single = pictures(engine, make_job(tiny_base, (plain, 0.7)))[0].image.tobytes()
    jobs = [make_job(tiny_base, (plain, 0.7)), make_job(tiny_base, (plain, 0.9), guidance=1.0)]
    with pytest.raises(EngineError, match="cannot share"):
        together(engine, *jobs)
    assert pictures(engine, make_job(tiny_base, (plain, 0.7)))[0].image.tobytes() == single


def test_a_shared_call_is_placed_and_decoded_as_its_plans_say(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    placement = Placement(
        device="cpu", offload=Offload.SEQUENTIAL, reason="The test says so.", vae_slicing=True
    )
    jobs = []
    for strength in STRENGTHS[:2]:
        job = make_job(tiny_base, (tiny_loras["plain"], strength))
        settings = job.plan.settings.model_copy(update={"vae_tiling": True})
        changed = {"placement": placement, "settings": settings}
        jobs.append(replace(job, plan=job.plan.model_copy(update=changed)))
    for made in together(engine, *jobs):
        assert made.receipt.offload is Offload.SEQUENTIAL
        assert made.receipt.vae_tiling
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    assert base.pipeline.vae.use_slicing


def test_what_the_libraries_said_while_loading_reaches_every_receipt(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = manager.load_pipeline

    def outspoken(*given: Any) -> Any:
        return real(*given)[0], ("A word on the weights.",)

    monkeypatch.setattr(manager, "load_pipeline", outspoken)
    jobs = [make_job(tiny_base, (tiny_loras["plain"], strength)) for strength in STRENGTHS]
    first, again = together(engine, *jobs), together(engine, *jobs)
    assert all("A word on the weights." in made.receipt.warnings for made in first)
    assert not any(made.receipt.warnings for made in again)
