"""``studio plan`` and ``studio generate``: what they ask for, say, and end with."""

import logging
import signal
import threading
from collections.abc import Iterator

import pytest

from studio.architecture import Mode
from studio.events import Cancelled, Event, Failed
from studio.plan import RunPlan
from studio.request import SEED_LIMIT, LoraChoice, Overrides, PromptEncoder
from tests.cli.conftest import Cli
from tests.cli.stand_in import StandIn, finished, steps

pytestmark = pytest.mark.usefixtures("stand_in")

ASK = ("--base", "tiny", "--mode", "base", "--prompt", "a rocket")
INK = ("--base", "tiny", "--mode", "lora_with_trigger", "--prompt", "a rocket", "--lora", "ink")


def test_every_option_reaches_the_request(cli: Cli, stand_in: StandIn) -> None:
    cli(
        *("plan", "--base", "tiny", "--mode", "trigger_only", "--prompt", "a cat"),
        *("--negative-prompt", "blur", "--lora", "ink:0.85", "--lora", "other", "--seed", 11),
        *("--steps", 4, "--guidance-scale", 2.5, "--clip-skip", 2, "--width", 64),
        *("--height", 96, "--count", 3, "--scheduler", "EulerDiscreteScheduler"),
        *("--prompt-encoder", "native", "--allow-cut"),
    )
    (request,) = stand_in.requests
    assert request.base == "tiny"
    assert request.mode is Mode.TRIGGER_ONLY
    assert (request.prompt, request.negative_prompt) == ("a cat", "blur")
    assert request.loras == (LoraChoice(slug="ink", strength=0.85), LoraChoice(slug="other"))
    assert request.settings == Overrides(
        steps=4,
        guidance_scale=2.5,
        clip_skip=2,
        width=64,
        height=96,
        scheduler="EulerDiscreteScheduler",
    )
    assert request.prompt_encoder is PromptEncoder.NATIVE
    assert request.allow_cut
    assert (request.seed, request.count) == (11, 3)


def test_what_is_not_said_is_left_open(cli: Cli, stand_in: StandIn) -> None:
    cli("plan", *ASK)
    (request,) = stand_in.requests
    assert request.settings == Overrides()
    assert request.loras == ()
    assert request.count == 1
    assert not request.allow_cut


def test_a_random_seed_is_drawn_and_shown(cli: Cli, stand_in: StandIn) -> None:
    answer = cli("plan", *ASK)
    again = cli("plan", *ASK, "--json")
    first, second = stand_in.requests
    assert 0 <= first.seed < SEED_LIMIT
    assert first.seed != second.seed
    assert str(first.seed) in answer.out
    assert again.json["seed"] == second.seed


def test_folders_reach_the_settings(cli: Cli, stand_in: StandIn, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    monkeypatch.setenv("PRESETS", "theirs")
    cli("plan", *ASK, "--presets", "mine", "--presets", tmp_path / "theirs", "--output-dir", "out")
    assert stand_in.settings is not None
    assert stand_in.settings.preset_dirs[1:] == (tmp_path / "mine", tmp_path / "theirs")
    assert stand_in.settings.outputs == tmp_path / "out"
    assert stand_in.settings.state == tmp_path / "outputs" / ".state"


def test_a_plan_is_the_plan_with_its_fingerprint(cli: Cli, stand_in: StandIn) -> None:
    answer = cli("plan", *INK, "--seed", 7, "--json")
    assert answer.code == 0
    value = answer.json
    plan = RunPlan.model_validate({k: v for k, v in value.items() if k != "fingerprint"})
    assert plan.fingerprint == value["fingerprint"]
    assert plan.mode is Mode.LORA_WITH_TRIGGER
    assert plan.prompt.text == "a rocket, phrsink, pen and ink illustration"
    assert stand_in.closed


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


def test_all_violations_at_once(cli: Cli, stand_in: StandIn) -> None:
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
    assert stand_in.open_sessions == set()


def test_violations_for_people(cli: Cli) -> None:
    answer = cli("generate", "--base", "nothing", "--mode", "base", "--prompt", "a rocket")
    assert answer.code == 2
    assert answer.out == ""
    assert "1 violation." in answer.err
    assert "There is no base 'nothing'" in answer.err


def test_generate_gives_every_record(cli: Cli, stand_in: StandIn) -> None:
    answer = cli("generate", *INK, "--seed", 7, "--count", 2, "--json")
    assert answer.code == 0
    value = answer.json
    assert value["images"] == ["/pictures/0.png", "/pictures/1.png"]
    assert value["record"] == value["records"][0]
    assert [record["receipt"]["image"]["seed"] for record in value["records"]] == [7, 8]
    assert "error" not in value
    assert stand_in.closed
    assert stand_in.open_sessions == set()


def test_library_noise_stays_off_standard_output(cli: Cli) -> None:
    for arguments in ((), ("--json",)):
        answer = cli("generate", *INK, *arguments)
        assert "a library prints" not in answer.out
        assert "a library prints" in answer.err


def test_generate_for_people(cli: Cli) -> None:
    answer = cli("generate", *INK, "--seed", 7)
    assert answer.code == 0
    assert "/pictures/0.png" in answer.out
    assert "2 of 2 modules" in answer.out
    assert "12.0%" in answer.out
    assert "proven" in answer.out
    assert "Loading Tiny" in answer.err
    assert "Loading Tiny" not in answer.out


def break_after_one(plan: RunPlan, _cancel: threading.Event) -> Iterator[Event]:
    yield finished(plan, 0)
    yield Failed("run", "out_of_memory", "There was no room.", "Choose a smaller size.")


def test_a_failure_keeps_what_was_finished(cli: Cli, stand_in: StandIn) -> None:
    stand_in.script = break_after_one
    answer = cli("generate", *ASK, "--count", 2, "--json")
    assert answer.code == 1
    assert answer.json["error"] == {
        "code": "out_of_memory",
        "message": "There was no room.",
        "way_out": "Choose a smaller size.",
    }
    assert answer.json["images"] == ["/pictures/0.png"]
    assert "Traceback" not in answer.err
    assert stand_in.open_sessions == set()


def test_a_failure_for_people(cli: Cli, stand_in: StandIn) -> None:
    stand_in.script = break_after_one
    answer = cli("generate", *ASK)
    assert answer.code == 1
    assert "Failed: There was no room." in answer.err
    assert "Choose a smaller size." in answer.err
    assert "/pictures/0.png" in answer.out


def interrupted(plan: RunPlan, cancel: threading.Event) -> Iterator[Event]:
    yield from steps(plan, 0)
    signal.raise_signal(signal.SIGINT)
    assert cancel.is_set()
    yield Cancelled("run")


def test_ctrl_c_cancels_cleanly(cli: Cli, stand_in: StandIn) -> None:
    stand_in.script = interrupted
    before = signal.getsignal(signal.SIGINT)
    answer = cli("generate", *ASK, "--json")
    assert answer.code == 130
    assert answer.json["cancelled"] is True
    assert answer.json["images"] == []
    assert answer.json["record"] is None
    assert "Cancelled." in answer.err
    assert signal.getsignal(signal.SIGINT) is before
    assert stand_in.open_sessions == set()
    assert stand_in.closed


def stubborn(plan: RunPlan, _cancel: threading.Event) -> Iterator[Event]:
    signal.raise_signal(signal.SIGINT)
    yield from steps(plan, 0)
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("the second Ctrl-C ends the run at once")


def test_a_second_ctrl_c_stops_at_once(cli: Cli, stand_in: StandIn) -> None:
    stand_in.script = stubborn
    answer = cli("generate", *ASK)
    assert answer.code == 130
    assert "Traceback" not in answer.err
    assert stand_in.open_sessions == set()
    assert stand_in.closed


def talk(plan: RunPlan, _cancel: threading.Event) -> Iterator[Event]:
    logging.getLogger("studio.worker").info('{"stage": "load"}')
    logging.getLogger("studio.gallery").warning("something is odd")
    yield finished(plan, 0)


def test_the_log_is_on_standard_error_when_asked_for(cli: Cli, stand_in: StandIn) -> None:
    stand_in.script = talk
    quiet = cli("generate", *ASK, "--json")
    verbose = cli("--verbose", "generate", *ASK, "--json")
    assert '{"stage": "load"}' not in quiet.err
    assert "something is odd" in quiet.err
    assert '{"stage": "load"}' in verbose.err
    assert quiet.json["images"] == verbose.json["images"]


def test_a_setting_that_cannot_be_read_is_a_failure(cli: Cli, monkeypatch) -> None:
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
    cli: Cli, stand_in: StandIn, arguments: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    answer = cli(*arguments, *as_json)
    assert answer.code == 64
    assert answer.out == ""
    assert answer.err
    assert stand_in.requests == []


def test_a_missing_mode_names_the_modes(cli: Cli) -> None:
    answer = cli("plan", "--base", "tiny", "--prompt", "a rocket")
    assert "--mode" in answer.err
    for mode in Mode:
        assert mode.value in answer.err
