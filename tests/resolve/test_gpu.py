"""What a GPU that is lent by the second costs, said before the run."""

import pytest

from studio.contract.placement import Dtype
from studio.resolve.gpu import GpuTime, gpu_notices
from studio.resolve.memory import MemoryRules
from tests.support.worlds import World


def test_a_device_of_ones_own_costs_nothing() -> None:
    assert list(gpu_notices(None)) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (12, None),
        (120, None),
        (121, "a visitor who is not signed in has for a day (2 min). A free account has 5 min."),
        (301, "a free account has for a day (5 min). A PRO account has 40 min."),
        (2401, "a PRO account has for a day (40 min). Choose fewer steps"),
    ],
)
def test_what_is_too_much_for_whom_is_said(seconds: int, said: str | None) -> None:
    told = {each.code: each.text for each in gpu_notices(GpuTime(seconds, timed=True))}
    assert f"{seconds} s" in told["gpu_time"]
    assert ("gpu_time_beyond" in told) == (said is not None)
    assert said is None or said in told["gpu_time_beyond"]


def test_weights_that_are_on_the_gpu_for_good_are_not_computed_in_another_dtype() -> None:
    rules = MemoryRules("cuda", 2 * 10**9, 10**9, placed=Dtype.BFLOAT16)
    world = World("StableDiffusionPipeline", memory=rules)
    assert world.plan().settings.dtype == "bfloat16"
    broken = world.violations(settings={"precision": "float16"})["dtype_not_supported"]
    assert broken.way_out == "Choose bfloat16 as the precision."
