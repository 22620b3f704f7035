"""The table of settings agrees with every model and edge that speaks of one."""

import inspect

import pytest

from studio.cli.options import takes_request_options
from studio.comparison.axes import SETTING_AXES, AxisName
from studio.contract.plan import PlanSettings
from studio.contract.receipt import Receipt
from studio.contract.request import Overrides
from studio.contract.settings import SETTINGS, Setting
from studio.presets.schema import LoraSettings, ModelSettings
from studio.ui.studio.hints import FIELDS


def test_a_request_has_the_tables_settings_and_no_others() -> None:
    assert set(Overrides.model_fields) == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_reader_has_its_field(setting: Setting) -> None:
    assert setting.name in PlanSettings.model_fields
    assert (setting.name in Receipt.model_fields) is setting.receipt
    assert not setting.infotext or setting.receipt
    assert set(setting.of_model) <= set(ModelSettings.model_fields)
    assert (setting.name in LoraSettings.model_fields) is setting.of_lora
    assert setting.field in FIELDS
    command = takes_request_options(lambda _: None)
    assert setting.name in inspect.signature(command).parameters


def test_every_setting_of_a_plan_is_in_the_table() -> None:
    apart = {"dtype", "vae_tiling"}  # what follows from precision, and from memory
    assert set(PlanSettings.model_fields) - apart == {setting.name for setting in SETTINGS}


def test_the_names_in_kept_comparisons_stay() -> None:
    """Verdicts that are stored name facts and axes."""
    names = [setting.compared_as for setting in SETTINGS]
    assert set(names) >= {
        *("steps", "guidance", "true cfg scale", "clip skip", "max sequence length"),
        *("width", "height", "scheduler", "precision", "eta"),
    }
    assert len(set(names)) == len(names)
    numbers = {each.name for each in SETTINGS if each.kind.is_number}
    assert {setting.name for setting in SETTING_AXES.values()} == numbers
    labels = [AxisName(name).label for name in ("guidance", "steps", "clip_skip")]
    assert labels == ["guidance", "steps", "clip skip"]


def test_tools_read_one_key_for_each() -> None:
    keys = [setting.infotext for setting in SETTINGS if setting.infotext]
    assert len(set(keys)) == len(keys)
