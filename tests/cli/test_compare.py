"""``studio compare``: exit codes, JSON, what people read."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("tiny_studio")
INK = ("compare", "--base", "tiny", "--lora", "ink", "--mode", "lora_with_trigger")
PROMPT = ("--prompt", "a rocket on the blue background", "--seed", "7")


def test_four_arms_are_valid_stored_and_verify(cli: Cli, tmp_path: Path) -> None:
    made = cli(*INK, *PROMPT, "--kind", "four_arms", "--json")
    assert made.code == 0, made.err
    value = made.json
    assert value["record"]["validity"] == {"verdict": "valid", "reasons": []}
    assert len(value["record"]["cells"]) == 6
    assert Path(value["sheet"]).is_file()
    assert cli("verify", value["comparison"], value["sheet"]).code == 0
    picture = tmp_path / "outputs" / value["record"]["cells"][3]["picture"]
    picture.unlink()
    answer = cli("verify", value["comparison"])
    assert answer.code == 1
    assert "is not there any more" in answer.out


def test_people_read_the_verdict_the_cells_and_the_numbers(cli: Cli) -> None:
    made = cli(*INK, *PROMPT, "--kind", "strengths", "--strengths", "0.3,1.0", "--count", "2")
    assert made.code == 0, made.err
    assert "Valid comparison" in made.out
    assert "Only the strength differs." in made.out
    assert "strength 0.3 → strength 1.0: difference" in made.out
    assert "2 seeds" in made.out
    assert "not which" in made.out or "nor which is better" in made.out


def test_the_plan_alone_runs_nothing(cli: Cli, tmp_path: Path) -> None:
    axes = ("--kind", "grid", "--rows", "guidance=1.0,3.0", "--columns", "steps=1,2")
    shown = cli(*INK, *PROMPT, *axes, "--plan-only", "--json")
    assert shown.code == 0
    assert len(shown.json["cells"]) == 4
    assert shown.json["forecast"]["seconds"] is None
    assert list((tmp_path / "outputs").rglob("*.png")) == []


def test_violations_of_axes_and_cells_end_with_2(cli: Cli) -> None:
    refused = cli(*INK, *PROMPT, "--kind", "strengths", "--strengths", "0.3,9", "--json")
    assert refused.code == 2
    assert [item["code"] for item in refused.json["violations"]] == ["out_of_range"]
    same = cli(*INK, *PROMPT, "--kind", "lora_against_lora", "--against", "ink", "--json")
    assert same.code == 2
    assert "axis_value_twice" in {item["code"] for item in same.json["violations"]}


@pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
def test_what_is_no_finite_number_is_refused_by_name(cli: Cli, number: str) -> None:
    axis = ("--kind", "grid", "--columns", f"strength={number},1")
    refused = cli(*INK, *PROMPT, *axis, "--json")
    assert refused.code == 2
    (violation,) = refused.json["violations"]
    assert (violation["code"], violation["value"]) == ("axis_value_refused", number)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--kind", "grid", "--rows", "magic=1,2"),
        ("--kind", "grid", "--rows", "steps"),
        ("--kind", "strengths", "--strengths", "much"),
        ("--kind", "strengths", "--strengths", "nan,0.5"),
        ("--kind", "strengths", "--strengths", "1e400,0.5"),
        ("--kind", "strengths", "--strengths", "0.5,\udcff"),
        ("--kind", "miracle"),
    ],
)
def test_a_wrong_command_line_ends_with_64(cli: Cli, wrong: tuple[str, ...]) -> None:
    answer = cli(*INK, *PROMPT, *wrong)
    assert answer.code == 64
    assert answer.out == ""


def test_consent_on_the_command_line_is_for_a_lora_that_takes_part(cli: Cli) -> None:
    duel = (*INK, *PROMPT, "--kind", "lora_against_lora", "--against", "wash", "--plan-only")
    shown = cli(*duel, "--mode", "lora", "--allow-partial", "wash", "--json")
    assert shown.code == 0, shown.err
    assert shown.json["wanted"]["allow_partial"] == ["wash"]
    assert "allow_partial" not in cli(*duel, "--mode", "lora", "--json").json["wanted"]
    refused = cli(*duel, "--mode", "lora", "--allow-partial", "other")
    assert refused.code == 64
    assert "not one of the LoRAs" in refused.err
