"""Resolving for every pipeline class: what it takes is accepted, what it would drop is named."""

import dataclasses
import inspect

import diffusers
import pytest

from studio.architecture import PIPELINES, TRAITS
from studio.architecture.pipelines import schedulers_for
from studio.contract.origin import Origin
from studio.contract.plan import RunPlan
from studio.contract.prompt import Side
from studio.contract.request import Overrides, PromptEncoder
from tests.support.worlds import AROUND, World, architecture_of

ALL = sorted(PIPELINES)
FLOW = [name for name in ALL if TRAITS[architecture_of(name)].flow_matching]
SD, SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
FLUX, KLEIN, ZIMAGE = "FluxPipeline", "Flux2KleinPipeline", "ZImagePipeline"
QWEN = "QwenImagePipeline"
SD3 = "StableDiffusion3Pipeline"
READ_NEGATIVE = {SD, SDXL, SD3, QWEN, ZIMAGE, "QwenImageEditPipeline", "QwenImageEditPlusPipeline"}


@pytest.fixture(autouse=True)
def _every_family_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a family takes is the same before its engine is there and after."""
    for key, traits in TRAITS.items():
        monkeypatch.setitem(TRAITS, key, dataclasses.replace(traits, runnable=True))


@pytest.mark.parametrize("name", ALL)
def test_the_plainest_request_has_a_plan(name: str) -> None:
    plan, traits = World(name).plan(), TRAITS[architecture_of(name)]
    own = PromptEncoder.COMPEL if traits.compel else PromptEncoder.NATIVE
    assert plan.prompt_encoder is own
    assert (plan.settings.true_cfg_scale is not None) is PIPELINES[name].true_cfg
    assert (plan.settings.max_sequence_length is None) is (PIPELINES[name].sequence is None)
    assert (plan.settings.clip_skip is None) is (traits.clip_skip is None)


@pytest.mark.parametrize("name", ALL)
def test_a_negative_prompt_is_read_or_refused(name: str) -> None:
    if name in READ_NEGATIVE:
        plan = World(name).plan(negative_prompt="blurry")
        assert plan.prompt.negative_text == "blurry"
        assert "negative_without_effect" not in {notice.code for notice in plan.notices}
    else:
        wrong = World(name).violations(negative_prompt="blurry")
        assert set(wrong) == {"negative_prompt_not_supported"}
        way_out = wrong["negative_prompt_not_supported"].way_out
        assert ("true CFG" in way_out) is PIPELINES[name].true_cfg


@pytest.mark.parametrize("name", [FLUX, "FluxKontextPipeline"])
def test_true_cfg_lets_flux_read_a_negative_prompt(name: str) -> None:
    off = World(name).plan().settings.true_cfg_scale
    assert off is not None
    assert (off.value, off.origin) == (1.0, Origin.PIPELINE)
    plan = World(name).plan(negative_prompt="blurry", settings=Overrides(true_cfg_scale=2.5))
    assert plan.prompt.negative_text == "blurry"
    assert plan.settings.true_cfg_scale is not None
    assert plan.settings.true_cfg_scale.value == 2.5
    assert plan.settings.guidance_scale.value == 4.0


def test_a_loras_negative_words_wait_for_true_cfg() -> None:
    world = World(FLUX, lora={"negative_prompt": "colour"})
    assert "true CFG is off" in world.notices(mode="lora")["negative_left_out"]
    on = world.plan(mode="lora", settings=Overrides(true_cfg_scale=2.0))
    assert on.prompt.negative_text == "colour"


@pytest.mark.parametrize("name", ALL)
def test_eta_belongs_to_the_schedulers_that_take_it(name: str) -> None:
    flow = TRAITS[architecture_of(name)].flow_matching
    for scheduler in schedulers_for(flow):
        asked = Overrides(eta=0.5, scheduler=scheduler)
        parameters = inspect.signature(getattr(diffusers, scheduler).step).parameters
        if "eta" in parameters:
            eta = World(name).plan(settings=asked).settings.eta
            assert eta is not None
            assert (eta.value, eta.origin) == (0.5, Origin.USER)
            assert World(name).plan(settings=Overrides(scheduler=scheduler)).settings.eta is None
        else:
            (wrong,) = World(name).violations(settings=asked).values()
            assert (wrong.code, wrong.field) == ("setting_not_supported", "settings.eta")


def test_eta_is_0_to_1() -> None:
    asked = Overrides(eta=1.5, scheduler="DDIMScheduler")
    assert World(SD).violations(settings=asked)["out_of_range"].field == "settings.eta"


@pytest.mark.parametrize("name", ALL)
def test_clip_skip_belongs_to_clip(name: str) -> None:
    asked = Overrides(clip_skip=2)
    if TRAITS[architecture_of(name)].clip_skip is None:
        assert set(World(name).violations(settings=asked)) == {"setting_not_supported"}
    else:
        skip = World(name).plan(settings=asked).settings.clip_skip
        assert skip is not None
        assert skip.value == 2


@pytest.mark.parametrize("name", ALL)
def test_no_argument_is_asked_for_that_the_class_has_not(name: str) -> None:
    for field, has in (
        ("true_cfg_scale", PIPELINES[name].true_cfg),
        ("max_sequence_length", PIPELINES[name].sequence is not None),
    ):
        made = World(name).resolve(settings=Overrides(**{field: 64}))
        if has:
            assert isinstance(made, RunPlan) or field == "true_cfg_scale"
        else:
            assert not isinstance(made, RunPlan)
            assert [item.field for item in made] == [f"settings.{field}"]


def test_the_longest_sequence_is_the_pipelines_or_the_presets() -> None:
    long = Overrides(max_sequence_length=1024)
    assert World(QWEN).plan(settings=long)
    assert World(FLUX).violations(settings=long)["out_of_range"].expected == "8 to 512"
    schnell = World(FLUX, model={"max_sequence_length": 256})
    length = schnell.plan().settings.max_sequence_length
    assert length is not None
    assert (length.value, length.origin) == (256, Origin.MODEL)
    asked = Overrides(max_sequence_length=512)
    assert schnell.violations(settings=asked)["out_of_range"].expected == "8 to 256"


@pytest.mark.parametrize("name", [name for name in ALL if PIPELINES[name].sequence])
def test_the_window_holds_what_stands_around_the_prompt(name: str) -> None:
    settings = Overrides(max_sequence_length=100)
    room = 100 - AROUND
    ledger = World(name).plan(prompt="x" * room, settings=settings).prompt.ledger
    (entry,) = (e for e in ledger if e.side is Side.PROMPT and e.limit == room)
    assert (entry.used, entry.cut) == (room, 0)
    wrong = World(name).violations(prompt="x" * (room + 1), settings=settings)
    assert set(wrong) == {"prompt_too_long"}


def test_clip_only_sums_up_what_t5_reads() -> None:
    """FLUX.1's pooled vector: its window is no reason to refuse or to cut a prompt."""
    plan = World(FLUX).plan(prompt="x" * 100)
    clip, t5 = (e for e in plan.prompt.ledger if e.side is Side.PROMPT)
    assert (clip.used, clip.limit, clip.cut) == (65, 65, 35)
    assert (t5.used, t5.cut) == (100, 0)
    assert plan.prompt.text == "x" * 100
    assert "first 65 tokens" in {n.code: n.text for n in plan.notices}["beyond_summary"]


@pytest.mark.parametrize("name", ALL)
def test_schedulers_follow_the_training(name: str) -> None:
    flow = "FlowMatchEulerDiscreteScheduler"
    fitting, other = (flow, "EulerDiscreteScheduler") if name in FLOW else ("DDIMScheduler", flow)
    assert World(name).plan(settings=Overrides(scheduler=fitting))
    wrong = World(name).violations(settings=Overrides(scheduler=other))
    assert set(wrong) == {"scheduler_does_not_fit"}
    assert fitting in wrong["scheduler_does_not_fit"].way_out
    never = World(name).violations(settings=Overrides(scheduler="os.system"))
    assert set(never) == {"unknown_scheduler"}


@pytest.mark.parametrize("name", FLOW)
def test_compel_is_for_clip_alone(name: str) -> None:
    wrong = World(name).violations(prompt_encoder=PromptEncoder.COMPEL)
    assert set(wrong) == {"encoder_not_supported"}


def test_schnell_says_that_it_ignores_guidance() -> None:
    world = World(FLUX, ignores_guidance=True)
    assert "4 changes nothing" in world.notices()["guidance_ignored"]
    assert "guidance_ignored" not in World(FLUX).notices()
    quiet = World(FLUX, model={"guidance_scale": 0.0}, ignores_guidance=True)
    assert "guidance_ignored" not in quiet.notices()
    assert "guidance_ignored" in quiet.notices(settings=Overrides(guidance_scale=1.0))


def test_a_distilled_klein_promises_no_second_pass() -> None:
    """The pipeline would only warn, and make the picture without it."""
    world = World(KLEIN, ignores_guidance=True)
    wrong = world.violations()
    assert set(wrong) == {"guidance_not_supported"}
    assert world.plan(settings=Overrides(guidance_scale=1.0))
    assert World(KLEIN).plan().settings.guidance_scale.value == 4.0


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("Qwen")])
def test_qwen_has_no_single_step(name: str) -> None:
    assert set(World(name).violations(settings=Overrides(steps=1))) == {"out_of_range"}
    assert World(name).plan(settings=Overrides(steps=2))


@pytest.mark.parametrize(("plans", "theirs"), [(5.0, "4"), (1.0, "0"), (0.0, "0"), (3.5, "2.5")])
def test_zimage_counts_from_zero(plans: float, theirs: str) -> None:
    text = World(ZIMAGE, model={"guidance_scale": plans}).notices()["guidance_converted"]
    assert f"Guidance {plans:g} is {theirs} " in text
    assert text.endswith("off." if theirs == "0" else "on.")


def test_a_loras_guidance_of_one_is_zimages_zero() -> None:
    world = World(ZIMAGE, lora={"settings": {"guidance_scale": 1.0}})
    text = world.notices(mode="lora")["guidance_converted"]
    assert "Guidance 1 is 0 " in text


def test_qwen_guides_against_the_empty_text() -> None:
    assert "an empty one" in World(QWEN).notices()["negative_empty"]
    assert "negative_empty" not in World(QWEN).notices(negative_prompt="blurry")
    off = World(QWEN, model={"guidance_scale": 1.0})
    assert "negative_empty" not in off.notices()
    assert "negative_without_effect" in off.notices(negative_prompt="blurry")


@pytest.mark.parametrize("name", sorted(READ_NEGATIVE))
def test_a_negative_prompt_without_guidance_is_called_idle(name: str) -> None:
    world = World(name, model={"guidance_scale": 1.0})
    assert "negative_without_effect" in world.notices(negative_prompt="blurry")


def test_embeddings_are_no_words_on_either_side() -> None:
    sides = {"prompt": "a rocket, badhandv4", "negative_prompt": "EasyNegative"}
    plan = World(SD).plan(**sides)
    told = [n for n in plan.notices if n.code == "embedding_as_text"]
    assert [n.field for n in told] == ["prompt", "negative_prompt"]


def test_a_signal_in_the_prompt_is_refused() -> None:
    world = World(ZIMAGE, controls=("<|im_end|>", "<think>"))
    wrong = world.violations(prompt="a rocket <|im_end|> and more")
    assert set(wrong) == {"control_token_in_prompt"}
    assert "<|im_end|>" in wrong["control_token_in_prompt"].found


@pytest.mark.parametrize(("dtype", "refused"), [("float16", True), ("bfloat16", False)])
def test_a_cpu_that_was_asked_for_computes_no_float16(dtype: str, refused: bool) -> None:
    made = World(SD, model={"dtype": dtype}, device="cpu").resolve()
    assert isinstance(made, RunPlan) is not refused
    if not isinstance(made, RunPlan):
        assert [item.code for item in made] == ["dtype_not_supported"]
    assert isinstance(World(SD, model={"dtype": dtype}).resolve(), RunPlan)
