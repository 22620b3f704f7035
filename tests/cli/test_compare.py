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


def test_the_gallery_lists_a_comparison_in_place_of_its_cells(cli: Cli) -> None:
    made = cli(*INK, *PROMPT, "--kind", "base_against_lora", "--json").json
    cli("generate", *INK[1:], "--prompt", "a submarine", "--json")
    listed = cli("gallery", "list").out
    assert "2 of 2 pictures and comparisons" in listed
    (line,) = (line for line in listed.splitlines() if "comparison.json" in line)
    said = ("comparison", "Base against LoRA: Ink", "Valid comparison", "3 cells")
    assert all(f"  {words}  " in line for words in said)
    assert not any(cell["picture"] in listed for cell in made["record"]["cells"])
    data = cli("gallery", "list", "--json").json
    assert (data["total"], len(data["pictures"]), data["total_comparisons"]) == (4, 4, 1)
    (found,) = data["comparisons"]
    assert found["file"] == made["comparison"]
    assert (found["kind"], found["verdict"], found["cells"]) == ("base_against_lora", "valid", 3)
    assert cli("gallery", "list", "--words", "submarine", "--json").json["comparisons"] == []
    assert len(cli("gallery", "list", "--mode", "base", "--json").json["comparisons"]) == 1
    Path(made["comparison"]).unlink()
    left = cli("gallery", "list", "--json").json
    assert (left["total_comparisons"], left["comparisons"]) == (0, [])


def test_the_plan_alone_runs_nothing(cli: Cli, tmp_path: Path) -> None:
    axes = ("--kind", "grid", "--rows", "guidance=1.0,3.0", "--columns", "steps=1,2")
    shown = cli(*INK, *PROMPT, *axes, "--plan-only", "--json")
    assert shown.code == 0
    assert len(shown.json["cells"]) == 4
    assert shown.json["forecast"]["seconds"] is None
    assert list((tmp_path / "outputs").rglob("*.png")) == []


def test_several_prompts_are_pages_of_one_grid(cli: Cli, tmp_path: Path) -> None:
    axis = ("--kind", "grid", "--columns", "steps=1,2", "--pages")
    shown = cli(*INK, *PROMPT, *axis, "a rocket | a cat", "--plan-only", "--json")
    assert shown.code == 0, shown.err
    prompts = [page["wanted"]["request"]["prompt"] for page in shown.json["pages"]]
    assert prompts == ["a rocket", "a cat"]
    made = cli(*INK, *PROMPT, *axis, "a rocket | a cat", "--json").json["pages"]
    assert [page["record"]["validity"]["verdict"] for page in made] == ["valid", "valid"]
    assert len(list((tmp_path / "outputs").rglob("*.comparison.json"))) == 2
    for wrong, code in (("a cat", "axis_too_short"), ("a cat|a cat", "axis_value_twice")):
        refused = cli(*INK, *PROMPT, *axis, wrong, "--json")
        assert refused.code == 2
        assert [each["code"] for each in refused.json["violations"]] == [code]
    both = ("--rows", "prompt=a|b", *axis, "c|d")
    refused = cli(*INK, *PROMPT, *both, "--json")
    assert [each["code"] for each in refused.json["violations"]] == ["axes_clash"]


def test_violations_of_axes_and_cells_end_with_2(cli: Cli) -> None:
    refused = cli(*INK, *PROMPT, "--kind", "strengths", "--strengths", "0.3,9", "--json")
    assert refused.code == 2
    assert [item["code"] for item in refused.json["violations"]] == ["strength_out_of_range"]
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
