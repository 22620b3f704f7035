"""A file that fits in part is applied in part only with consent, and every record says which."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, four_arms, lora_against_lora
from studio.contract.audit import discrepancies
from studio.contract.events import Failed, Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.violations import LoraDoesNotFit
from studio.settings import Settings
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace

PRESETS = """
models:
  - {slug: tiny, label: Tiny, path: base, pipeline: StableDiffusionPipeline,
     base_architecture: mini,
     settings: {steps: 2, guidance_scale: 2.0, default_width: 64, default_height: 64,
                dtype: float32, scheduler: DDIMScheduler}}
loras:
  - {slug: odd, label: Odd, base_architecture: mini, path: odd.safetensors,
     prompt: oddtoken, trigger: required}
  - {slug: even, label: Even, base_architecture: mini, path: even.safetensors, trigger: none}
"""
STRANGE = "unet.mid_block.attentions.7.transformer_blocks.0.attn1.to_q"
Tensors = dict[str, torch.Tensor]


def one_layer_more(tensors: Tensors) -> Tensors:
    """The file with a layer that the base does not have."""
    return tensors | {
        f"{STRANGE}.lora_A.weight": torch.ones(4, 32),
        f"{STRANGE}.lora_B.weight": torch.ones(32, 4),
    }


def stray_tensor(tensors: Tensors) -> Tensors:
    return tensors | {"unet.left_over": torch.ones(3)}


def nothing_of_it(tensors: Tensors) -> Tensors:
    return one_layer_more({})


def sdxl(tensors: Tensors) -> Tensors:
    """A layer of SDXL's beside layers that fit by chance."""
    name = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    fitting = {key: value for key, value in tensors.items() if ".attn1." in key}
    assert fitting
    return fitting | {
        f"{name}.lora_A.weight": torch.ones(4, 2048),
        f"{name}.lora_B.weight": torch.ones(640, 4),
    }


Spoil = Callable[[Tensors], Tensors]
Opened = Callable[[Spoil], Workspace]


@pytest.fixture
def opened(tmp_path: Path, tiny_base: Path, tiny_loras: dict[str, Path]) -> Iterator[Opened]:
    """A workspace whose LoRAs are ``plain`` and ``other`` with something changed."""
    made: list[Workspace] = []

    def open_with(spoil: Spoil) -> Workspace:
        models, presets = tmp_path / "models", tmp_path / "presets"
        presets.mkdir()
        (presets / "tiny.yaml").write_text(PRESETS)
        shutil.copytree(tiny_base, models / "base")
        for name, like in (("odd", "plain"), ("even", "other")):
            save_file(spoil(load_file(tiny_loras[like])), models / f"{name}.safetensors")
        settings = Settings(
            models, tmp_path / "outputs", tmp_path / "state", (presets,), device="cpu"
        )
        made.append(Workspace.open(settings))
        return made[-1]

    yield open_with
    for workspace in made:
        workspace.close()


def asked(allow: bool) -> GenerationRequest:
    choice = LoraChoice(slug="odd", allow_partial=allow)
    return GenerationRequest(
        base="tiny", mode=Mode.LORA, prompt="a rocket", loras=(choice,), seed=3
    )


def refusal(workspace: Workspace, allow: bool) -> LoraDoesNotFit:
    found = workspace.plan(asked(allow))
    assert not isinstance(found, RunPlan)
    (only,) = found
    assert isinstance(only, LoraDoesNotFit)
    return only


def waived_plan(workspace: Workspace) -> RunPlan:
    plan = workspace.plan(asked(True))
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    return plan


@pytest.mark.parametrize(
    ("spoil", "name"), [(one_layer_more, STRANGE), (stray_tensor, "unet.left_over")]
)
def test_without_consent_the_file_is_refused_and_told_what_consent_would_do(
    opened: Opened, spoil: Spoil, name: str
) -> None:
    wrong = refusal(opened(spoil), allow=False)
    assert (wrong.unplaced, wrong.waivable) == ((name,), True)
    assert wrong.matched > 0
    assert f"the {wrong.matched} that fit are applied" in wrong.way_out


@pytest.mark.parametrize("spoil", [nothing_of_it, sdxl])
@pytest.mark.parametrize("allow", [False, True])
def test_consent_lets_no_stranger_in(opened: Opened, spoil: Spoil, allow: bool) -> None:
    """Neither where nothing fits, nor where the tensors name another family."""
    wrong = refusal(opened(spoil), allow)
    assert not wrong.waivable
    assert "partial" not in wrong.way_out


def test_with_consent_the_plan_the_receipt_and_the_picture_name_what_is_left_out(
    opened: Opened,
) -> None:
    workspace = opened(one_layer_more)
    plan = waived_plan(workspace)
    assert plan.loras[0].waived == (STRANGE,)
    events = list(workspace.run(plan, workspace.open_session(), threading.Event()))
    done = events[-1]
    assert isinstance(done, Finished), done
    (receipt,) = done.record.receipt.loras
    assert receipt.waived == (STRANGE,)
    assert sum(part.applied for part in receipt.components) == sum(plan.loras[0].modules.values())
    assert workspace.verify(done.path).ok
    assert workspace.gallery.read(done.path).plan.loras[0].waived == (STRANGE,)
    told = Image.open(done.path).info["parameters"]
    assert json.dumps({"odd": [STRANGE]}) in told


def test_the_audit_holds_the_run_to_the_waiver(opened: Opened) -> None:
    workspace = opened(one_layer_more)
    plan = waived_plan(workspace)
    events = list(workspace.run(plan, workspace.open_session(), threading.Event()))
    done = events[-1]
    assert isinstance(done, Finished)
    receipt = done.record.receipt
    other = receipt.loras[0].model_copy(update={"waived": ()})
    (sentence,) = discrepancies(plan, receipt.model_copy(update={"loras": (other,)}))
    assert "with consent" in sentence


def test_a_plan_that_waives_the_wrong_layers_does_not_run(opened: Opened) -> None:
    workspace = opened(one_layer_more)
    plan = waived_plan(workspace)
    use = plan.loras[0].model_copy(update={"waived": (STRANGE, "unet.conv_in")})
    forged = plan.model_copy(update={"loras": (use,)})
    events = list(workspace.run(forged, workspace.open_session(), threading.Event()))
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "lora_refused"


def test_consent_that_is_not_needed_changes_nothing(opened: Opened) -> None:
    workspace = opened(lambda tensors: tensors)
    plan, other = waived_plan(workspace), workspace.plan(asked(False))
    assert isinstance(other, RunPlan)
    assert plan.fingerprint == other.fingerprint
    assert [notice.code for notice in plan.notices if "waiver" in notice.code] == [
        "waiver_not_needed"
    ]


def test_consent_is_for_one_lora_and_not_for_the_one_that_takes_its_place(
    opened: Opened,
) -> None:
    comparing = Comparing(opened(one_layer_more))
    wanted = lora_against_lora(asked(True), "even")
    found = comparing.plan(wanted)
    assert not isinstance(found, ComparisonPlan)
    (wrong,) = found
    assert isinstance(wrong, LoraDoesNotFit)
    assert wrong.slug == "even"
    plan = comparing.plan(wanted.model_copy(update={"allow_partial": ("even",)}))
    assert isinstance(plan, ComparisonPlan)
    waived = [(use.slug, use.waived) for cell in plan.cells for use in cell.plan.loras]
    assert waived == [("odd", (STRANGE,)), ("even", (STRANGE,))]


def test_consent_holds_for_every_arm_and_for_the_lora_at_strength_zero(opened: Opened) -> None:
    plan = Comparing(opened(one_layer_more)).plan(four_arms(asked(True)))
    assert isinstance(plan, ComparisonPlan), [item.describe() for item in plan]
    applied = [use for cell in plan.cells for use in cell.plan.loras]
    assert [use.strength.value for use in applied] == [1.0, 1.0, 0.0]
    assert {use.waived for use in applied} == {(STRANGE,)}
