"""The form shows what the base takes, and hides nothing that holds something."""

from typing import Any

import pytest

from studio.architecture import PIPELINES, TRAITS, Mode
from studio.presets import Catalog, ModelPreset, ModelSettings, Source
from studio.ui.html import plan as plan_html
from studio.ui.studio import form
from studio.ui.studio.shown import mode_for, shown
from tests.support.records import plan_settings, run_plan
from tests.support.worlds import architecture_of
from tests.ui.test_request_form import BLANK

PIPELINE_NAMES = sorted(PIPELINES)


def model(pipeline: str, **settings: Any) -> ModelPreset:
    return ModelPreset(
        slug=pipeline.lower(),
        label=pipeline,
        pipeline=pipeline,
        base_architecture=architecture_of(pipeline),
        source=Source(embedded="x"),
        settings=ModelSettings(**settings),
    )


CATALOG = Catalog(tuple(model(name) for name in PIPELINE_NAMES), ())


def seen(pipeline: str, **values: Any) -> dict[str, bool]:
    return dict(shown({**BLANK, "base": pipeline.lower(), **values}, CATALOG).fields)


@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_a_blank_form_shows_what_the_class_takes(name: str) -> None:
    fields, traits, pipeline = seen(name), TRAITS[architecture_of(name)], PIPELINES[name]
    assert fields["negative_prompt"] is (pipeline.negative_prompt and not pipeline.true_cfg)
    assert fields["clip_skip"] is (traits.clip_skip is not None)
    assert fields["true_cfg_scale"] is pipeline.true_cfg
    assert fields["max_sequence_length"] is (pipeline.sequence is not None)
    assert fields["eta"] is not traits.flow_matching
    assert fields["prompt_encoder"] is traits.compel
    assert fields["allow_cut"] is not traits.compel
    assert not fields["references"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("negative_prompt", "blurry"),
        ("clip_skip", 2),
        ("true_cfg_scale", 1.5),
        ("max_sequence_length", 64),
        ("eta", 0.5),
    ],
)
@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_what_holds_something_stays(name: str, field: str, value: object) -> None:
    assert seen(name, **{field: value})[field]


def test_eta_goes_with_a_scheduler_that_has_none() -> None:
    name = "StableDiffusionPipeline"
    assert seen(name, scheduler="DDIMScheduler")["eta"]
    assert not seen(name, scheduler="EulerDiscreteScheduler")["eta"]


def test_true_cfg_brings_the_negative_prompt() -> None:
    assert not seen("FluxPipeline", true_cfg_scale=1.0)["negative_prompt"]
    assert seen("FluxPipeline", true_cfg_scale=2.0)["negative_prompt"]


def test_a_preset_can_take_the_negative_prompt_away() -> None:
    catalog = Catalog((model("ZImagePipeline", supports_negative_prompt=False),), ())
    values = {**BLANK, "base": "zimagepipeline"}
    assert not shown(values, catalog).fields["negative_prompt"]


@pytest.mark.parametrize("name", PIPELINE_NAMES)
def test_modes_and_schedulers_are_the_bases_own(name: str) -> None:
    offer = shown({**BLANK, "base": name.lower(), "mode": Mode.REFERENCE_EDIT.value}, CATALOG)
    assert set(offer.modes) == PIPELINES[name].modes | {Mode.REFERENCE_EDIT}
    flow = TRAITS[architecture_of(name)].flow_matching
    assert ("FlowMatchEulerDiscreteScheduler" in offer.schedulers) is flow


@pytest.mark.parametrize(
    ("name", "mode", "chosen", "expected"),
    [
        ("QwenImageEditPipeline", Mode.LORA, True, Mode.REFERENCE_EDIT),
        ("QwenImagePipeline", Mode.REFERENCE_EDIT, True, Mode.LORA_WITH_TRIGGER),
        ("QwenImagePipeline", Mode.REFERENCE_EDIT, False, Mode.BASE),
        ("Flux2Pipeline", Mode.REFERENCE_EDIT, False, Mode.REFERENCE_EDIT),
    ],
)
def test_a_base_without_the_mode_goes_on_in_one_it_has(
    name: str, mode: Mode, chosen: bool, expected: Mode
) -> None:
    assert mode_for(mode, chosen, model(name)) is expected


REFERENCE = {"sha256": "a" * 64, "width": 64, "height": 96, "media_type": "image/png"}


def test_references_belong_to_the_edit_and_come_back() -> None:
    held = {**BLANK, "references": (REFERENCE,)}
    assert form.read(held, CATALOG).references == ()
    request = form.read({**held, "mode": "reference_edit"}, CATALOG)
    (reference,) = request.references
    assert (reference.width, reference.height) == (64, 96)
    plan = run_plan(loras=(), mode=Mode.REFERENCE_EDIT, references=(reference,))
    assert form.read(form.write(plan, 1, CATALOG), CATALOG).references == (reference,)


def test_consent_follows_its_lora() -> None:
    values = {**BLANK, "chosen": ("a", "b"), "mode": "lora", "partial_1": True}
    assert [each.allow_partial for each in form.read(values, CATALOG).loras] == [False, True]
    left = form.with_loras(values, ("b",), (1.0,))
    assert [each.allow_partial for each in form.read(left, CATALOG).loras] == [True]
    new = form.with_loras(left, ("b", "c"), (1.0, 1.0))
    assert [each.allow_partial for each in form.read(new, CATALOG).loras] == [True, False]


def test_the_sheet_names_what_is_left_out_and_counts_as_the_pipeline() -> None:
    plan = run_plan()
    use = plan.loras[0].model_copy(update={"waived": ("unet.odd.to_q",)})
    base = plan.base.model_copy(update={"pipeline": "ZImagePipeline"})
    changed = plan.model_copy(
        update={
            "loras": (use,),
            "base": base,
            "settings": plan_settings(guidance_scale=5.0, clip_skip=None),
        }
    )
    body = plan_html.plan_body(changed)
    assert "1 part of Pen Ink Mini with your consent" in body
    assert "unet.odd.to_q" in body
    assert "4.0 in diffusers" in body
    assert "Clip skip" not in body
    assert "in diffusers" not in plan_html.plan_body(plan)


@pytest.mark.parametrize(("cells", "columns"), [(8, 4), (9, 3), (10, 4), (11, 4), (12, 4)])
def test_no_cell_stands_alone(cells: int, columns: int) -> None:
    assert plan_html._columns(cells) == columns
    assert cells % columns != 1
