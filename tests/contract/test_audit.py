"""Plan against receipt: a faithful receipt passes, and every single departure is named."""

from collections.abc import Callable

import pytest
from hypothesis import given

from studio.architecture import Mode
from studio.contract.audit import discrepancies
from studio.contract.receipt import BaseProof, EncodingReceipt, LoraReceipt, Receipt, RunRecord
from studio.contract.request import PromptEncoder
from tests.support.records import flat, lora_use, plan_settings, records, run_plan, run_receipt

PLAN = run_plan(loras=(lora_use("night-neon-mini"), lora_use("pen-ink-mini")), count=2)
TRUE = run_receipt(PLAN, flat())

Change = Callable[[Receipt], Receipt]


def setting(**fields: object) -> Change:
    return lambda receipt: receipt.model_copy(update=fields)


def image(**fields: object) -> Change:
    return lambda receipt: receipt.model_copy(
        update={"image": receipt.image.model_copy(update=fields)}
    )


def first_lora(**fields: object) -> Change:
    def change(receipt: Receipt) -> Receipt:
        first, *others = receipt.loras
        return receipt.model_copy(update={"loras": (first.model_copy(update=fields), *others)})

    return change


def first_component(**fields: object) -> Change:
    def change(receipt: Receipt) -> Receipt:
        first, *others = receipt.loras[0].components
        parts = (first.model_copy(update=fields), *others)
        return first_lora(components=parts)(receipt)

    return change


@given(records())
def test_a_faithful_receipt_passes(record: RunRecord) -> None:
    assert discrepancies(record.plan, record.receipt) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting(base_sha256="0" * 64), "SHA-256 of the base"),
        (setting(base_proof=BaseProof(loaded="a" * 64, now="b" * 64)), "Base proof"),
        (setting(steps=19), "Steps: the plan says 20, the run had 19"),
        (setting(guidance_scale=7.000001), "Guidance scale"),
        (setting(clip_skip=2), "Clip skip: the plan says 1, the run had 2"),
        (setting(clip_skip=None), "Clip skip: the plan says 1, the run had none"),
        (setting(scheduler="DDIMScheduler"), "Scheduler"),
        (setting(dtype="float16"), "Dtype"),
        (setting(effect=None), "not measured"),
        (setting(effect=0.0), "changes nothing"),
        (setting(effect=-0.1), "less than nothing"),
        (setting(effect=float("nan")), "not a number"),
        (setting(effect=float("inf")), "not a number"),
        (setting(layer_effect=0.1), "measured in two ways"),
        (setting(effect=None, layer_effect=0.0), "changes nothing"),
        (setting(effect=None, layer_effect=-0.1), "less than nothing"),
        (setting(effect=None, layer_effect=float("nan")), "not a number"),
        (first_lora(layer_effect=0.0), "night-neon-mini, effect: by itself it changes nothing"),
        (first_lora(effect=0.0), "night-neon-mini, effect: by itself it changes nothing"),
        (first_lora(effect=float("nan")), "night-neon-mini, effect: nan is not a measurement"),
        (image(seed=43), "Seed: the plan says 42, the run had 43"),
        (image(index=1), "Seed: the plan says 43, the run had 42"),
        (image(index=2, seed=44), "Image number"),
        (image(index=-1, seed=41), "Image number"),
        (image(width=64), "Width"),
        (image(height=64), "Height"),
        (first_lora(sha256="0" * 64), "night-neon-mini, SHA-256"),
        (first_lora(strength=0.81), "night-neon-mini, strength: the plan says 0.8"),
        (first_component(applied=31), "unet: 31 of the 32 modules"),
        (first_component(targeted=31, applied=31), "modules targeted in unet: the plan says 32"),
        (first_component(component="vae"), "modules targeted in vae: the plan says 0"),
        (first_component(scale_min=1.0), "smallest scale"),
        (first_lora(components=()), "modules targeted in text_encoder"),
        (setting(loras=TRUE.loras[1:]), "night-neon-mini: the plan has it"),
        (setting(loras=(*TRUE.loras, TRUE.loras[0])), "does not have it"),
        (first_lora(slug="stray"), "stray: it was applied"),
        (setting(loras=(), effect=None), "'LoRA with trigger' applies a LoRA, but none"),
        (setting(encoding=()), "the prompt was not read"),
        (setting(encoding=(*TRUE.encoding, TRUE.encoding[0])), "reported 2 times"),
        (
            setting(encoding=(EncodingReceipt(encoder="text_encoder", side="prompt", tokens=0),)),
            "tokens of the prompt",
        ),
        (
            setting(
                encoding=(
                    *TRUE.encoding,
                    EncodingReceipt(encoder="text_encoder_2", side="negative", tokens=1),
                )
            ),
            "text_encoder_2",
        ),
    ],
)
def test_each_departure_is_named(change: Change, words: str) -> None:
    found = discrepancies(PLAN, change(TRUE))
    assert any(words in sentence for sentence in found), found


def test_all_departures_are_found_at_once() -> None:
    changed = setting(steps=1, dtype="float16", guidance_scale=1.0)(image(seed=7)(TRUE))
    assert len(discrepancies(PLAN, changed)) == 4


def test_a_base_image_with_a_lora_in_it_is_refused() -> None:
    base = run_plan(loras=())
    stray = run_receipt(base, flat(), loras=TRUE.loras[:1], effect=0.2)
    found = " ".join(discrepancies(base, stray))
    assert "it was applied, but the plan does not have it" in found
    assert "Mode 'Base' applies no LoRA" in found


def test_an_effect_without_a_lora_is_refused() -> None:
    base = run_plan(loras=())
    assert "no LoRA was applied" in discrepancies(base, run_receipt(base, flat(), effect=0.0))[0]


def test_a_trigger_without_its_lora_passes() -> None:
    plan = run_plan(loras=(), mode=Mode.TRIGGER_ONLY)
    assert discrepancies(plan, run_receipt(plan, flat())) == ()


def test_strength_zero_may_have_no_effect() -> None:
    plan = run_plan(loras=(lora_use("pen-ink-mini", strength=0.0),))
    assert discrepancies(plan, run_receipt(plan, flat(), effect=0.0)) == ()


def test_a_lora_of_the_text_encoder_alone_must_have_an_effect_too() -> None:
    """The probe's denoiser reads what the text encoder makes of the words."""
    use = lora_use("words-only").model_copy(update={"modules": {"text_encoder": 6}})
    plan = run_plan(loras=(use,))
    assert discrepancies(plan, run_receipt(plan, flat())) == ()
    (found,) = discrepancies(plan, run_receipt(plan, flat(), effect=0.0))
    assert "changes nothing" in found
    both = run_plan(loras=(use, lora_use("pen-ink-mini")))
    (found,) = discrepancies(both, first_lora(effect=0.0)(run_receipt(both, flat())))
    assert "words-only, effect: by itself it changes nothing" in found


def test_the_negative_side_may_stay_unread() -> None:
    only_prompt = TRUE.model_copy(update={"encoding": TRUE.encoding[:1]})
    assert discrepancies(PLAN, only_prompt) == ()


@pytest.mark.parametrize(("encoder", "refused"), [("native", True), ("compel", False)])
def test_one_token_less_counts_where_the_window_cuts(encoder: str, refused: bool) -> None:
    plan = run_plan(prompt="a rocket on blue", prompt_encoder=PromptEncoder(encoder))
    short = EncodingReceipt(encoder="text_encoder", side="prompt", tokens=3)
    found = discrepancies(plan, run_receipt(plan, flat(), encoding=(short,)))
    assert bool(found) is refused


def test_clip_skip_on_a_plan_without_one() -> None:
    plan = run_plan(settings=plan_settings(clip_skip=None))
    found = discrepancies(plan, run_receipt(plan, flat(), clip_skip=2))
    assert found == ("Clip skip: the plan says none, the run had 2.",)


def test_one_of_two_components_not_applied() -> None:
    parts = TRUE.loras[0].components
    half = (parts[0], parts[1].model_copy(update={"applied": 0}))
    first: LoraReceipt = TRUE.loras[0].model_copy(update={"components": half})
    found = discrepancies(PLAN, TRUE.model_copy(update={"loras": (first, TRUE.loras[1])}))
    assert found == (
        "LoRA night-neon-mini, text_encoder: 0 of the 6 modules it targets carry it.",
    )
