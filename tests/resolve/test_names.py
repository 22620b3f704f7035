"""What people call things is read as the studio's own name, and what was read is told."""

import pytest

from studio.architecture.pipelines import scheduler_named
from studio.contract.origin import Origin
from studio.contract.request import LoraChoice, Overrides
from studio.presets.schema import LoraSettings
from tests.support.worlds import World

SD, FLUX = "StableDiffusionPipeline", "FluxPipeline"


@pytest.mark.parametrize(
    ("name", "flow", "found"),
    [
        ("Euler a", False, "EulerAncestralDiscreteScheduler"),
        ("euler_ancestral", False, "EulerAncestralDiscreteScheduler"),
        ("EULER", False, "EulerDiscreteScheduler"),
        ("euler", True, "FlowMatchEulerDiscreteScheduler"),
        ("DPM++ 2M", False, "DPMSolverMultistepScheduler"),
        ("dpmpp_2m", False, "DPMSolverMultistepScheduler"),
        ("ddim", False, "DDIMScheduler"),
        ("DDIMScheduler", False, "DDIMScheduler"),
        ("ddimscheduler", False, "DDIMScheduler"),
        ("uni_pc", False, "UniPCMultistepScheduler"),
        ("DPM++ 2M Karras", False, None),
        ("dpmpp_2m_sde", False, None),
        ("", False, None),
    ],
)
def test_a_scheduler_by_another_tools_name(name: str, flow: bool, found: str | None) -> None:
    assert scheduler_named(name, flow) == found


def test_the_plan_has_the_class_and_tells_which() -> None:
    plan = World(SD).plan(settings=Overrides(scheduler="Euler a"))
    assert plan.settings.scheduler.value == "EulerAncestralDiscreteScheduler"
    assert "scheduler_named" in {notice.code for notice in plan.notices}
    own = World(SD).plan(settings=Overrides(scheduler="EulerAncestralDiscreteScheduler"))
    assert own.fingerprint == plan.fingerprint
    assert "scheduler_named" not in {notice.code for notice in own.notices}
    assert set(World(FLUX).violations(settings=Overrides(scheduler="Euler a"))) == {
        "scheduler_does_not_fit"
    }


def test_another_case_or_a_label_is_the_one_preset_it_can_mean() -> None:
    world = World(SD, lora={})
    own = world.plan(mode="lora")
    for base, name in (("BASE", "INK"), ("the base", " Ink ")):
        plan = world.plan(base=base, mode="lora", loras=(LoraChoice(slug=name),))
        assert plan.fingerprint == own.fingerprint
        assert [each.code for each in plan.notices].count("name_read") == 2
    assert "unknown_lora" in world.violations(mode="lora", loras=(LoraChoice(slug="inks"),))


@pytest.mark.parametrize("name", ["loras/ink.safetensors", "Ink.SafeTensors"])
def test_a_files_name_is_the_one_preset_that_has_it(name: str) -> None:
    world = World(SD, lora={"path": "loras/ink.safetensors"})
    plan = world.plan(mode="lora", loras=(LoraChoice(slug=name),))
    assert [each.slug for each in plan.loras] == ["ink"]
    assert "name_read" in {notice.code for notice in plan.notices}


def test_an_accelerator_asks_for_steps_guidance_and_scheduler() -> None:
    asks = LoraSettings(steps=4, guidance_scale=1.0, scheduler="LCMScheduler")
    world = World(SD, lora={"settings": asks})
    found = world.plan(mode="lora").settings
    for setting, value in (
        (found.steps, 4),
        (found.guidance_scale, 1.0),
        (found.scheduler, "LCMScheduler"),
    ):
        assert setting is not None
        assert (setting.value, setting.origin, setting.slug) == (value, Origin.LORA, "ink")
    typed = world.plan(mode="lora", settings=Overrides(steps=7)).settings
    assert (typed.steps.value, typed.steps.origin) == (7, Origin.USER)
    mine = world.plan(mode="lora", settings=Overrides(steps=7, scheduler="DDIMScheduler"))
    overridden = {each.field for each in mine.notices if each.code == "wish_overridden"}
    assert overridden == {"settings.steps", "settings.scheduler"}
    assert world.plan(mode="base", loras=()).settings.steps.origin is Origin.MODEL
    flow = LoraSettings(scheduler="FlowMatchEulerDiscreteScheduler")
    assert set(World(SD, lora={"settings": flow}).violations(mode="lora")) == {
        "scheduler_does_not_fit"
    }


@pytest.mark.parametrize(
    ("allowed", "strength", "holds"),
    [
        ({}, -0.8, False),
        ({}, 3.0, False),
        ({}, 2.0, True),
        ({"min_strength": -2.0}, -0.8, True),
        ({"min_strength": -2.0}, -2.1, False),
        ({"min_strength": -2.0}, 3.0, False),
        ({"max_strength": 5.0}, 3.0, True),
        ({"max_strength": 1.0}, 1.5, False),
    ],
)
def test_a_preset_says_how_far_its_lora_goes(
    allowed: dict[str, float], strength: float, holds: bool
) -> None:
    world = World(SD, lora={"settings": LoraSettings(**allowed)})
    loras = (LoraChoice(slug="ink", strength=strength),)
    if not holds:
        (wrong,) = world.violations(mode="lora", loras=loras).values()
        assert (wrong.code, wrong.field) == ("strength_out_of_range", "loras.ink.strength")
        return
    plan = world.plan(mode="lora", loras=loras)
    assert plan.loras[0].strength.value == strength
    codes = {notice.code for notice in plan.notices}
    assert ("strength_negative" in codes) is (strength < 0)
