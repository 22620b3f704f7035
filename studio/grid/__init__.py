"""A comparison: one request × axes → cells. Pure: every cell is an ordinary request."""

from studio.grid.axes import (
    MAX_CELLS,
    OFF,
    ON,
    Axis,
    AxisName,
    AxisValue,
    CellPlan,
    ComparisonPlan,
    ComparisonRequest,
    Kind,
    Place,
    Role,
    base_against_lora,
    four_arms,
    lora_against_lora,
    seeds_strengths,
    strengths,
)
from studio.grid.expansion import Resolve, plan_comparison

__all__ = [
    "MAX_CELLS",
    "OFF",
    "ON",
    "Axis",
    "AxisName",
    "AxisValue",
    "CellPlan",
    "ComparisonPlan",
    "ComparisonRequest",
    "Kind",
    "Place",
    "Resolve",
    "Role",
    "base_against_lora",
    "four_arms",
    "lora_against_lora",
    "plan_comparison",
    "seeds_strengths",
    "strengths",
]
