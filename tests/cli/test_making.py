"""``studio plan`` and ``studio generate``: what they ask for, say, and end with."""

import io
import re
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, TextIO

import pytest

from studio.architecture import TRAITS, Architecture, Mode
from studio.contract.plan import RunPlan
from studio.contract.request import SEED_LIMIT
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("tiny_studio")

ASK = ("--base", "tiny", "--mode", "base", "--prompt", "a rocket")
INK = ("--base", "tiny", "--mode", "lora_with_trigger", "--prompt", "a rocket", "--lora", "ink")
LONG = "a cat on the blue background " * 20


class Watched(io.TextIOBase):
    """Standard error with somebody at it, who acts once on the words they wait for."""

    def __init__(self, stream: TextIO, acts: dict[str, Callable[[], object]]) -> None:
        self._stream = stream
        self._acts = acts

    def write(self, text: str) -> int:
        self._stream.write(text)
        for words in [words for words in self._acts if words in text]:
            self._acts.pop(words)()
        return len(text)


def watch(acts: dict[str, Callable[[], object]]) -> redirect_stderr[Watched]:
    return redirect_stderr(Watched(sys.stderr, acts))


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def pngs(folder: Path) -> list[str]:
    return sorted(map(str, folder.rglob("*.png")))


def values(plan: dict[str, Any]) -> dict[str, tuple[object, str]]:
    """Every setting of a plan with who said it."""
    return {
        name: (setting["value"], setting["origin"])
        for name, setting in plan["settings"].items()
        if isinstance(setting, dict)
    }


def test_every_option_reaches_the_plan(cli: Cli) -> None:
    options = (
        *("plan", "--base", "tiny", "--mode", "lora", "--prompt", LONG),
        *("--negative-prompt", "ink", "--lora", "ink:0.85", "--lora", "wash", "--seed", 11),
        *("--steps", 4, "--guidance-scale", 2.5, "--clip-skip", 2, "--width", 128),
        *("--height", 96, "--count", 3, "--scheduler", "EulerDiscreteScheduler"),
        *("--prompt-encoder", "native", "--precision", "bfloat16", "--json"),
    )
    refused = cli(*options)
    assert refused.code == 2
    assert [item["code"] for item in refused.json["violations"]] == ["prompt_too_long"]
    answer = cli(*options, "--allow-cut")
    assert answer.code == 0, answer.err
    plan = answer.json
    assert plan["base"]["slug"] == "tiny"
    assert plan["mode"] == "lora"
    assert (plan["prompt"]["typed"], plan["prompt"]["negative_typed"]) == (LONG, "ink")
    assert {entry["side"]: entry["cut"] > 0 for entry in plan["prompt"]["ledger"]} == {
        "prompt": True,
        "negative": False,
    }
    assert [
        (use["slug"], use["strength"]["value"], use["strength"]["origin"]) for use in plan["loras"]
    ] == [("ink", 0.85, "user"), ("wash", 1.0, "convention")]
    assert values(plan) == {
        "steps": (4, "user"),
        "guidance_scale": (2.5, "user"),
        "clip_skip": (2, "user"),
        "width": (128, "user"),
        "height": (96, "user"),
        "scheduler": ("EulerDiscreteScheduler", "user"),
        "precision": ("bfloat16", "user"),
    }
    assert plan["prompt_encoder"] == "native"
    assert (plan["seed"], plan["count"]) == (11, 3)


def test_what_is_not_said_is_left_to_the_presets(cli: Cli) -> None:
    plan = cli("plan", *ASK, "--json").json
    assert values(plan) == {
        "steps": (2, "model"),
        "guidance_scale": (3.0, "model"),
        "clip_skip": (1, "convention"),
        "width": (64, "model"),
        "height": (64, "model"),
        "scheduler": ("DDIMScheduler", "model"),
        "precision": ("float32", "model"),
    }
    assert plan["loras"] == []
    assert plan["prompt_encoder"] == "compel"
    assert plan["count"] == 1


def test_every_mode_is_planned_as_said(cli: Cli) -> None:
    for mode in TRAITS[Architecture.MINI].pipelines[0].modes:
        chosen = () if mode is Mode.BASE else ("--lora", "ink")
        plan = cli("plan", *ASK, "--mode", mode.value, *chosen, "--json").json
        assert plan["mode"] == mode.value
        assert [use["slug"] for use in plan["loras"]] == (["ink"] if mode.applies_loras else [])
        text = "".join(part["text"] for part in plan["prompt"]["parts"])
        assert ("phrsink" in text) == mode.takes_trigger_words
    refused = cli("plan", *ASK, "--mode", "reference_edit", "--json")
    assert refused.code == 2
    assert "mode" in [item["field"] for item in refused.json["violations"]]


def test_a_random_seed_is_drawn_and_shown(cli: Cli) -> None:
    first, second = (cli("plan", *ASK, "--json").json["seed"] for _ in range(2))
    assert 0 <= first < SEED_LIMIT
    assert first != second
    shown = re.search(r"^Seed +(\d+)$", cli("plan", *ASK).out, re.MULTILINE)
    assert shown
    assert int(shown[1]) not in (first, second)


def test_folders_are_those_that_were_said(cli: Cli, tmp_path: Path) -> None:
    for slug, file in (("mine", "ink"), ("theirs", "wash")):
        (tmp_path / slug).mkdir()
        (tmp_path / slug / "more.yaml").write_text(
            f"loras: [{{slug: {slug}, label: {slug}, base_architecture: mini, trigger: none,"
            f" path: {file}.safetensors}}]"
        )
    answer = cli(
        *("generate", *ASK, "--mode", "lora", "--lora", "mine", "--lora", "theirs"),
        *("--presets", "mine", "--presets", tmp_path / "theirs", "--output-dir", "out", "--json"),
    )
    assert answer.code == 0, answer.err
    assert pngs(tmp_path) == pngs(tmp_path / "out") == answer.json["images"]
    assert any((tmp_path / "out" / ".state").iterdir())
    assert not (tmp_path / "outputs").exists()


def test_a_chosen_state_folder_stays(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIR", "state")
    answer = cli("plan", *ASK, "--output-dir", "out")
    assert answer.code == 0, answer.err
    assert any((tmp_path / "state").iterdir())
    assert not (tmp_path / "out" / ".state").exists()


def test_a_plan_is_the_plan_with_its_fingerprint(cli: Cli) -> None:
    answer = cli("plan", *INK, "--seed", 7, "--json")
    assert answer.code == 0
    value = answer.json
    plan = RunPlan.model_validate({k: v for k, v in value.items() if k != "fingerprint"})
    assert plan.fingerprint == value["fingerprint"]
    assert plan.mode is Mode.LORA_WITH_TRIGGER
    assert plan.prompt.text == "a rocket, phrsink, pen and ink illustration"


def test_a_plan_for_people_says_all_that_matters(cli: Cli) -> None:
    answer = cli("plan", *INK, "--seed", 7, "--steps", 5)
    for text in (
        "LoRA with trigger",
        "Tiny (tiny)",
        "Ink (ink) at 0.7 [LoRA]",
        "5 [you]",
        "3.0 [model]",
    ):
        assert text in answer.out
    assert "a rocket, phrsink, pen and ink illustration" in answer.out
    assert "\x1b" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ((), "64 × 64 [model]"),
        (("--width", 96), "96 [you] × 64 [model]"),
        (("--width", 96, "--height", 128), "96 × 128 [you]"),
    ],
)
def test_each_side_has_its_own_origin(cli: Cli, said: tuple[object, ...], size: str) -> None:
    shown = cli("plan", *ASK, *said).out
    assert re.search(rf"^Size +{re.escape(size)}$", shown, re.MULTILINE)
    precision = r"^Precision +float32 \[model\]: The model's preset names it\.$"
    assert re.search(precision, shown, re.MULTILINE)


@pytest.mark.parametrize(("said", "decoded"), [("0", "whole"), ("1", "whole, one by one")])
def test_offload_and_decoding_are_always_said(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, said: str, decoded: str
) -> None:
    monkeypatch.setenv("VAE_SLICING", said)
    shown = cli("plan", *ASK).out
    assert re.search(r"^Offload +none: The device computes in main memory", shown, re.MULTILINE)
    assert re.search(rf"^Decoding +{decoded}$", shown, re.MULTILINE)


def test_all_violations_at_once(cli: Cli, tmp_path: Path) -> None:
    wrong = ("--base", "tiny", "--mode", "base", "--lora", "ink", "--steps", 0, "--width", 100)
    for command in ("plan", "generate"):
        answer = cli(command, *wrong, "--prompt", "a rocket", "--json")
        assert answer.code == 2
        fields = [item["field"] for item in answer.json["violations"]]
        assert {"settings.steps", "settings.width"} <= set(fields)
        assert len(fields) >= 3
        for item in answer.json["violations"]:
            assert item["code"]
            assert item["found"]
            assert item["expected"]
            assert item["way_out"]
            assert item["way_out"] in " ".join(answer.err.split())
    assert pngs(tmp_path) == []


def test_violations_for_people(cli: Cli) -> None:
    answer = cli("generate", "--base", "nothing", "--mode", "base", "--prompt", "a rocket")
    assert answer.code == 2
    assert answer.out == ""
    assert "1 violation." in answer.err
    assert "There is no base 'nothing'" in answer.err


def test_generate_gives_every_record(cli: Cli, tmp_path: Path) -> None:
    agreed = cli("plan", *INK, "--seed", 7, "--count", 2, "--json").json
    answer = cli("generate", *INK, "--seed", 7, "--count", 2, "--json")
    assert answer.code == 0, answer.err
    value = answer.json
    assert sorted(value["images"]) == pngs(tmp_path / "outputs")
    assert len(value["images"]) == 2
    assert value["record"] == value["records"][0]
    assert [record["receipt"]["image"]["seed"] for record in value["records"]] == [7, 8]
    for record in value["records"]:
        (used,) = record["receipt"]["loras"]
        assert (used["slug"], used["strength"]) == ("ink", 0.7)
        assert record["plan"]["prompt"] == agreed["prompt"]
    assert "error" not in value
    assert "cancelled" not in value


def test_generate_for_people(cli: Cli, tmp_path: Path) -> None:
    answer = cli("generate", *INK, "--seed", 7)
    assert answer.code == 0, answer.err
    (path,) = pngs(tmp_path / "outputs")
    assert path in answer.out
    applied = re.search(r"ink at 0\.7: unet (\d+) of (\d+) modules", answer.out)
    assert applied
    assert int(applied[1]) == int(applied[2]) > 0
    assert re.search(r"Effect +\d+\.\d% of what the base gives at its layers", answer.out)
    assert "proven: no weight of it was written since it was last measured" in answer.out
    assert "Loading Tiny" in answer.err
    assert "Loading Tiny" not in answer.out


def test_a_failure_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_BUDGET_GB", "0.000001")
    answer = cli("generate", *ASK, "--json")
    assert answer.code == 1
    value = answer.json
    assert (value["images"], value["record"], value["records"]) == ([], None, [])
    assert value["error"]["code"] == "out_of_memory"
    assert "the budget is" in value["error"]["message"]
    assert "MEMORY_BUDGET_GB" in value["error"]["way_out"]
    people = cli("generate", *ASK)
    assert people.code == 1
    for answered in (answer, people):
        assert f"Failed: {value['error']['message']}" in answered.err
        assert value["error"]["way_out"] in answered.err
        assert "Traceback" not in answered.err
    assert pngs(tmp_path) == []


def test_a_failure_keeps_what_was_finished(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIR", "state")  # only the pictures' folder is lost
    outputs = tmp_path / "outputs"

    def lose_the_folder() -> None:
        outputs.rename(tmp_path / "elsewhere")
        outputs.write_text("no folder any more")

    with watch({"Image 2 of 2": lose_the_folder}):
        answer = cli("generate", *ASK, "--count", 2, "--json")
    assert answer.code == 1
    assert answer.json["error"]["code"] == "gallery"
    assert answer.json["error"]["message"] in answer.err
    assert answer.json["error"]["way_out"] in answer.err
    (kept,) = (Path(image) for image in answer.json["images"])
    assert [str(tmp_path / "elsewhere" / kept.relative_to(outputs))] == pngs(tmp_path)
    assert answer.json["record"]["receipt"]["image"]["index"] == 0
    assert "Traceback" not in answer.err


def test_ctrl_c_cancels_cleanly(cli: Cli, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with watch({"Image 1 of 1": ctrl_c}):
        answer = cli("generate", *ASK, "--steps", 150, "--json")
    assert answer.code == 130
    assert answer.json["cancelled"] is True
    assert answer.json["images"] == []
    assert answer.json["record"] is None
    assert "Cancelled." in answer.err
    assert "Traceback" not in answer.err
    assert signal.getsignal(signal.SIGINT) is before
    assert pngs(tmp_path) == []


def test_a_second_ctrl_c_stops_at_once(cli: Cli, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with watch({"Image 1 of 1": ctrl_c, "Ctrl-C again stops at once": ctrl_c}):
        answer = cli("generate", *ASK, "--steps", 150)
    assert answer.code == 130
    assert "Cancelled." not in answer.err
    assert "Traceback" not in answer.err
    assert signal.getsignal(signal.SIGINT) is before
    # Only a process that is the command's own may be ended; this one is not.
    assert not any(isinstance(each, threading.Timer) for each in threading.enumerate())
    assert pngs(tmp_path) == []


def test_the_log_is_on_standard_error_when_asked_for(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "stranger.png").write_bytes(b"no picture")
    quiet = cli("generate", *ASK, "--seed", 7, "--json")
    verbose = cli("--verbose", "generate", *ASK, "--seed", 7, "--json")
    assert '"stage": "load"' not in quiet.err
    assert "stranger.png" in quiet.err
    assert '"stage": "load"' in verbose.err
    pixels = [
        answer.json["record"]["receipt"]["image"]["pixels_sha256"] for answer in (quiet, verbose)
    ]
    assert pixels[0] == pixels[1]


def test_a_setting_that_cannot_be_read_is_a_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "eighty")
    answer = cli("plan", *ASK, "--json")
    assert answer.code == 1
    assert answer.json["error"]["code"] == "settings"
    assert "PORT" in answer.json["error"]["message"]
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--base", "tiny", "--prompt", "a rocket"),
        ("plan", "--mode", "base", "--prompt", "a rocket"),
        ("plan", *ASK, "--mode", "magic"),
        ("plan", *ASK, "--lora", "ink:strong"),
        ("plan", *ASK, "--lora", "ink:nan"),
        ("plan", *ASK, "--lora", "ink:0.8:0.2"),
        ("plan", *ASK, "--lora", "ink:"),
        ("plan", *ASK, "--lora", ":0.5"),
        ("plan", *ASK, "--prompt", "half a character \udcff"),
        ("plan", *ASK, "--guidance-scale", "inf"),
        ("plan", *ASK, "--steps", "2.5"),
        ("plan", *ASK, "--presets", "no-such-folder"),
        ("plan", *ASK, "--no-such-option"),
        ("no-such-command",),
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_wrong_command_line_is_no_violation(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    answer = cli(*arguments, *as_json)
    assert answer.code == 64
    assert answer.out == ""
    assert answer.err
    assert list(tmp_path.iterdir()) == []  # no workspace was opened


def test_a_missing_mode_names_the_modes(cli: Cli) -> None:
    answer = cli("plan", "--base", "tiny", "--prompt", "a rocket")
    assert "--mode" in answer.err
    for mode in Mode:
        assert mode.value in answer.err
