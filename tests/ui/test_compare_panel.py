"""What somebody types beside Compare becomes a comparison, or a violation by name."""

from typing import Any

import pytest

from studio.architecture import Mode
from studio.comparison.axes import ComparisonPlan, Question
from studio.comparison.plan import plan_comparison
from studio.contract.violations import AxisValueRefused
from studio.ui.compare.form import CompareInput
from tests.resolve.test_resolve import with_loras
from tests.support.comparison_plans import answer


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "much"])
@pytest.mark.parametrize("field", ["strengths", "column_values"])
def test_a_number_that_is_none_is_refused_and_breaks_nothing(number: str, field: str) -> None:
    values: dict[str, Any] = {
        "kind": Question.STRENGTHS if field == "strengths" else Question.GRID,
        "seeds": 1,
        "strengths": "",
        "other": "",
        "columns": "guidance",
        "rows": "",
        "column_values": "",
        "row_values": "",
        "pages": "",
        "hold": True,
        "fresh": False,
        field: f"{number}, 2",
    }
    wanted = CompareInput(**values).of(with_loras("plain", mode=Mode.LORA))
    found = plan_comparison(wanted, answer)
    assert not isinstance(found, ComparisonPlan)
    (violation,) = found
    assert isinstance(violation, AxisValueRefused)
    assert violation.value == number
