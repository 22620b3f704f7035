"""Who makes which cells, and how long they will take by what the past says of such work."""

from typing import Any

import pytest

from studio.comparison.schedule import Shares, estimate_seconds
from studio.contract.origin import FloatSetting, Origin
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from tests.support.records import base_identity, flat, plan_settings, run_plan, run_receipt

DENOISE, DECODE = 1.5, 0.1
"""Seconds that ``run_receipt`` reports."""


def plan(pipeline: str = "StableDiffusionPipeline", true_cfg: float = 0, **said: Any) -> RunPlan:
    settings = plan_settings(**said)
    if true_cfg:
        setting = FloatSetting(value=true_cfg, origin=Origin.USER)
        settings = settings.model_copy(update={"true_cfg_scale": setting})
    base = base_identity().model_copy(update={"pipeline": pipeline})
    return run_plan(base=base, settings=settings)


def past(of: RunPlan) -> RunRecord:
    return RunRecord.of(of, run_receipt(of, flat()))


GUIDED, PLAIN = plan(guidance_scale=7.0), plan(guidance_scale=1.0)
FLUX: dict[str, Any] = {"pipeline": "FluxPipeline", "guidance_scale": 3.5}
QWEN = "QwenImagePipeline"


@pytest.mark.parametrize(
    ("known", "asked", "times"),
    [
        (GUIDED, GUIDED, 1),
        (GUIDED, PLAIN, 0.5),
        (PLAIN, GUIDED, 2),
        (PLAIN, PLAIN, 1),
        (GUIDED, plan(guidance_scale=0.0), 0.5),
        (plan(QWEN, guidance_scale=4.0), plan(QWEN, guidance_scale=1.0), 0.5),
        (plan(**FLUX), plan(**FLUX | {"guidance_scale": 1.0}), 1),
        (plan(**FLUX, true_cfg=1.0), plan(**FLUX, true_cfg=4.0), 2),
    ],
)
def test_a_second_pass_counts_where_there_is_one(
    known: RunPlan, asked: RunPlan, times: float
) -> None:
    seconds = estimate_seconds([asked], [past(known)])
    assert seconds == pytest.approx(DENOISE * times + DECODE)


def test_steps_and_size_count_and_decoding_has_no_steps() -> None:
    longer = plan(steps=40)
    larger = plan(width=64, height=64)
    seconds = estimate_seconds([longer, larger], [past(plan())])
    assert seconds == pytest.approx(DENOISE * (2 + 4) + DECODE * (1 + 4))


def test_nothing_is_guessed_of_a_base_without_a_past() -> None:
    other = plan().model_copy(
        update={"base": base_identity().model_copy(update={"sha256": "e" * 64})}
    )
    assert estimate_seconds([plan(), other], [past(plan())]) is None
    assert estimate_seconds([plan()], []) is None
    assert estimate_seconds([], []) == 0


def test_shares_are_stretches_and_who_is_through_takes_from_the_longest() -> None:
    shares = Shares(range(9), 2)
    assert [shares.take(0) for _ in range(4)] == [0, 1, 2, 3]
    assert shares.take(1) == 4
    assert [shares.take(0), shares.take(0)] == [8, 7]
    assert [shares.take(1), shares.take(1)] == [5, 6]
    assert shares.take(0) is None is shares.take(1)
    assert [Shares([3, 1, 2], 1).take(0) for _ in range(1)] == [3], "one makes them in order"
