"""Reading preset text: lines, broken syntax, repeated keys, and that no text is too odd."""

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studio.library.preset_files import load
from studio.presets.parse import merge, parse, slug_of
from studio.presets.text import read_yaml, write_yaml
from tests.support.preset_samples import GOOD, lora


def test_lines_in_yaml() -> None:
    text = (
        "# comment\n\nloras:\n"
        + GOOD
        + ("  - label: Bad\n    base_architecture: sdxl\n    settings:\n      strength: 3\n")
    )
    parsed = parse(text, "dir/p.yaml")
    problems = {problem.field: problem for problem in parsed.problems}
    strength = problems["settings.strength"]
    assert (strength.file, strength.line) == ("dir/p.yaml", 10)
    assert strength.entry == "loras[1] (Bad)"
    assert parsed.line_of("good") == 4


def test_lines_in_json() -> None:
    text = json.dumps({"models": [], "loras": [lora(), lora(slug="b", path="../b")]}, indent="\t")
    (problem,) = parse(text, "p.json").problems
    wanted = next(n for n, line in enumerate(text.splitlines(), 1) if "../b" in line)
    assert (problem.line, problem.field) == (wanted, "path")


def test_lines_in_json_after_escapes_and_repeated_keys() -> None:
    text = '{"loras": [\n{"label": "a \\" { [ \\n",\n "label": "b"},\n{"lable": 1}\n]}'
    repeated, *unknown = parse(text, "p.json").problems
    assert (repeated.line, repeated.entry[:8]) == (3, "loras[0]")
    assert "first in line 2" in repeated.message
    assert {problem.line for problem in unknown} == {4}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("loras:\n" + GOOD + "    path: again\n", 5, "stands twice, first in line 4"),
        ("loras:\n" + GOOD + "loras: []\n", 5, "stands twice, first in line 1"),
        ("lora:\n" + GOOD, 1, "Did you mean 'loras'?"),
        ("loras:\n  label: x\n", 1, "a list of entries is expected"),
        ("- label: x\n", 1, "models: and loras:"),
        ("loras:\n  - just words\n", 2, "Write field: value lines."),
        ("loras: [\n", 2, "not YAML"),
        ("loras:\n  - label: a\n   theme: b\n", 3, "not YAML"),
        ("a: b\x00", 1, "not YAML"),
        ("loras: []\n---\nloras: []\n", 2, "second document"),
        ("? [a]\n: b\n", 1, "not a plain word"),
        ("loras:\n  - &x {label: !!str a}\n", 2, "is a tag"),
        ("loras:\n" + GOOD + "  - *x\n", 5, "is an alias"),
        ("a: " + "[" * 50, 1, "deep"),
    ],
)
def test_yaml_that_is_not_a_preset_file(text: str, line: int, said: str) -> None:
    problems = [p for p in parse(text, "p.yaml").problems if said in f"{p.message} {p.way_out}"]
    assert [problem.line for problem in problems] == [line]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ('{"loras": [,]}', "not JSON"),
        ('{"loras": NaN}', "not a JSON number"),
        ('{"loras": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 20 + "]" * 20, "deep"),
        ("[" * 100_000, "deep"),
        ("[]", "models: and loras:"),
    ],
)
def test_json_that_is_not_a_preset_file(text: str, said: str) -> None:
    (problem,) = parse(text, "p.json").problems
    assert said in problem.message


def test_a_repeated_list_does_not_hide_the_first() -> None:
    parsed = parse("loras:\n" + GOOD + "loras:\n" + GOOD.replace("Good", "Lost"), "p.yaml")
    assert [preset.slug for preset in parsed.loras] == ["good"]
    assert len(parsed.problems) == 1


def test_json_written_by_others_may_have_more_at_the_top() -> None:
    text = json.dumps({"$schema": "x", "version": 1, "loras": [lora()]})
    parsed = parse(text, "p.json")
    assert [preset.slug for preset in parsed.loras] == ["ink"]
    assert [problem.field for problem in parsed.problems] == ["version"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "models:\nloras:\n"])
def test_an_empty_file_is_no_problem(text: str) -> None:
    parsed = parse(text, "p.yaml")
    assert (parsed.models, parsed.loras, parsed.problems) == ((), (), ())


def test_one_slug_in_two_files_names_both_and_the_first_wins() -> None:
    first = parse("loras:\n" + GOOD, "a.yaml")
    text = "\n# mine\nloras:\n" + GOOD.replace("path: loras/good", "path: loras/other")
    catalog, (problem,) = merge([first, parse(text, "b.yaml")])
    assert catalog.loras["good"].path == "loras/good.safetensors"
    assert (problem.file, problem.line, problem.field) == ("b.yaml", 4, "slug")
    assert "a.yaml:2" in problem.message


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text("loras:\n" + GOOD)
    (tmp_path / "a.JSON").write_text(json.dumps({"loras": [lora()]}))
    (tmp_path / "latin.yaml").write_bytes(b"loras: [\xff]")
    (tmp_path / ".hidden.yaml").write_text("nonsense: [")
    (tmp_path / "readme.txt").write_text("nonsense: [")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yaml").write_text("nonsense: [")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    missing = tmp_path / "missing"
    catalog, problems = load([tmp_path, tmp_path / "below" / "..", missing])
    assert list(catalog.loras) == ["ink", "good"]
    assert [Path(problem.file).name for problem in problems] == [
        "gone.yaml",
        "latin.yaml",
        "missing",
    ]
    assert {problem.line for problem in problems} == {None}


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_ten_thousand_loras_load_quickly(tmp_path: Path, suffix: str) -> None:
    entries = [
        lora(
            slug=f"lora-{n}",
            air=f"urn:air:sdxl:lora:civitai:{n}@{n}",
            settings={"strength": 0.7, "guidance_scale": 7.0},
            notes="Works best with simple compositions",
        )
        for n in range(10_000)
    ]
    dump = json.dumps({"loras": entries})
    if suffix == "yaml":
        dump = "loras:\n" + "".join(f"- {json.dumps(entry)}\n" for entry in entries)
    (tmp_path / f"many.{suffix}").write_text(dump)
    start = time.process_time()
    catalog, problems = load([tmp_path])
    spent = time.process_time() - start
    assert (len(catalog.loras), problems) == (10_000, ())
    assert spent < 10, f"{spent:.1f} s of processor time"


KEYS = st.sampled_from(
    ["models", "loras", "slug", "label", "settings", "strength", "path", "source", "<<"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS | st.text(), part, max_size=3),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.text(), st.sampled_from(["p.yaml", "p.json"]))
@example("a: \ud800", "p.yaml")
@example('{"\\ud800": 1}', "p.json")
@example('{"loras": [{"label": "\\ud800", "\\udfff": 1}]}', "p.json")
@example("\ufeffloras: []", "p.yaml")
@example("loras:\n- ? a\n", "p.yaml")
def test_any_text_parses_into_presets_or_problems(text: str, origin: str) -> None:
    _check_readable(text, origin)


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_any_value_parses_into_presets_or_problems(value: object, as_json: bool) -> None:
    whole = {"loras": [value, value], "models": value}
    text = json.dumps(whole) if as_json else yaml.safe_dump(whole, allow_unicode=True)
    _check_readable(text, "p.json" if as_json else "p.yaml")


def _check_readable(text: str, origin: str) -> None:
    parsed = parse(text, origin)
    for problem in parsed.problems:
        assert problem.way_out
        assert "\n" not in problem.message
        problem.describe().encode("utf-8")
        breaks = sum(text.count(each) for each in "\n\r\x85\u2028\u2029")  # as YAML has them
        assert problem.line is None or 1 <= problem.line <= breaks + 2


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(min_size=1), part),
        max_leaves=12,
    )
)
@example({"a": ["1e3", "010", "no", "~", "", "12e45", " x ", "a: b", "#", "0x1", "<<", "1.", "-"]})
def test_what_is_written_as_yaml_reads_back(value: object) -> None:
    located = read_yaml(write_yaml({"value": value}))
    assert located.faults == ()
    assert located.value == {"value": value}


@settings(deadline=None)
@given(st.text())
def test_a_derived_slug_is_a_slug_or_empty(label: str) -> None:
    slug = slug_of(label)
    if slug:
        parsed = parse(json.dumps({"loras": [lora(slug=slug)]}), "p.json")
        assert [preset.slug for preset in parsed.loras] == [slug]
