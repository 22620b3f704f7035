"""Users suffer: recalling a picture's settings keeps LoRAs that the picture never had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.contract.settings import MAX_LORAS
from studio.settings import Settings
from studio.ui.sessions import Sessions
from studio.ui.studio import form, tab
from studio.ui.studio.events import StudioEvents
from studio.workspace.runs import Runs
from studio.workspace.workspace import Workspace
from tests.ui.test_request_form import BLANK

INK, NEON = "pen-ink-mini", "night-neon-mini"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("recall")
    opened = Workspace.open(
        Settings(folder / "models", folder / "outputs", folder / "state", device="cpu")
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def events(workspace: Workspace) -> StudioEvents:
    with gr.Blocks():
        return tab.build(workspace, Sessions(Runs(workspace))).events


def two_chosen() -> dict[str, Any]:
    """The form of somebody who has two LoRAs on, at strengths of their own, one in part."""
    chosen = {**BLANK, "mode": Mode.LORA.value, "chosen": (INK, NEON), "said": (INK, NEON)}
    return chosen | {"strength_0": 0.35, "strength_1": 1.7, "partial_1": True}


def recalled(
    events: StudioEvents, workspace: Workspace, request: GenerationRequest
) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The form's values after "Use these settings" of a picture of ``request``, and every
    update that the page gets; before it, two LoRAs were chosen."""
    plan = workspace.plan(request)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    values = {**two_chosen(), **form.write(plan, 99, workspace.catalog)}
    updates = events.fill(values, "page")
    fields = events.panel.form.fields()
    return {name: value_of(updates.get(fields[name], values[name])) for name in fields}, updates


def value_of(update: Any) -> Any:
    """The value that an update gives a component."""
    return update.value if isinstance(update, gr.components.Component) else update


def rows_shown(events: StudioEvents, updates: dict[Any, Any]) -> list[bool]:
    return [updates[slot.group].visible for slot in events.panel.slots]


def test_a_base_picture_leaves_no_lora_chosen(events: StudioEvents, workspace: Workspace) -> None:
    base = GenerationRequest(base="mini", mode=Mode.BASE, prompt="a rocket", seed=7)
    values, updates = recalled(events, workspace, base)
    assert (values["chosen"], list(values["said"])) == ((), [])
    assert rows_shown(events, updates) == [False] * MAX_LORAS
    assert not any(values[f"partial_{number}"] for number in range(MAX_LORAS))
    sheet = str(updates[events.result.sheet])
    assert 'data-state="ready"' in sheet
    assert "Night Neon" not in sheet
    # Nothing comes back with a mode that takes LoRAs.
    again = form.read({**values, "mode": Mode.LORA.value}, workspace.catalog)
    assert again.loras == ()


def test_a_picture_with_one_lora_leaves_that_one(
    events: StudioEvents, workspace: Workspace
) -> None:
    choice = LoraChoice(slug=NEON, strength=0.5)
    wanted = GenerationRequest(
        base="mini", mode=Mode.LORA, prompt="a rocket", loras=(choice,), seed=7
    )
    values, updates = recalled(events, workspace, wanted)
    assert values["chosen"] == (NEON,)
    assert "Night Neon" in str(updates[events.result.sheet])
    assert updates[events.panel.slots[0].strength].value == 0.5
    assert rows_shown(events, updates) == [True, False, False, False]
    assert not values["partial_0"]
