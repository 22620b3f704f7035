"""The three named endpoints through gradio's own client; the example of docs/api.md as written."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from gradio_client import Client
from PIL import Image

from studio.contract.events import Stalled
from studio.contract.receipt import RunRecord
from studio.ui.json_answers import run_progress
from tests.ui.conftest import PATIENCE, ROOT, Server

REQUEST = {
    "base": "mini",
    "mode": "lora_with_trigger",
    "prompt": "a rocket on a blue background",
    "loras": [{"slug": "pen-ink-mini"}],
    "settings": {"steps": 2},
    "seed": 74,
}


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server.url, verbose=False, download_files=tmp_path_factory.mktemp("fetched"))


def test_a_plan_or_every_violation(client: Client) -> None:
    answer = client.predict(REQUEST, api_name="/plan")
    assert answer["plan"]["seed"] == 74
    assert len(answer["fingerprint"]) == 64
    refused = client.predict({**REQUEST, "mode": "base", "prompt": " "}, api_name="/plan")
    assert {item["code"] for item in refused["violations"]} == {"prompt_empty", "lora_forbidden"}
    assert all(item["way_out"] for item in refused["violations"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"mode": "base"}, "base: Field required"),
        ({**REQUEST, "magic": 1}, "magic: Extra inputs"),
        ([], "not a JSON object"),
        ({**REQUEST, "seed": 3.7}, "seed: "),
        ({**REQUEST, "seed": True}, "seed: a number is expected"),
        ({**REQUEST, "settings": {"steps": 2.5}}, "settings.steps: "),
        ({**REQUEST, "settings": {"steps": True}}, "settings.steps: a number is expected"),
        (
            {**REQUEST, "loras": [{"slug": "pen-ink-mini", "strength": False}]},
            "loras.0.strength: a number is expected",
        ),
    ],
)
def test_a_request_that_is_none_is_said_so(client: Client, request_: object, said: str) -> None:
    answer = client.predict(request_, api_name="/plan")
    assert answer["error"]["code"] == "request"
    assert said in answer["error"]["message"]


def test_a_path_instead_of_a_hash_is_refused_and_touches_nothing(
    client: Client, tmp_path: Path
) -> None:
    victim = tmp_path / "victim.png"
    victim.write_bytes(b"mine")
    os.utime(victim, (10**9, 10**9))
    for name in (str(victim.with_suffix("")), "../../victim", "x" * 5000, "a\0b"):
        edited = {"sha256": name, "width": 8, "height": 8}
        answer = client.predict({**REQUEST, "references": [edited]}, api_name="/plan")
        assert answer["error"]["code"] == "request"
        assert "references.0.sha256" in answer["error"]["message"]
    assert victim.stat().st_mtime == 10**9


def test_a_comparison_of_countless_seeds_is_refused(client: Client) -> None:
    many = {**REQUEST, "count": 10**11}
    answer = client.predict("seeds_strengths", many, api_name="/compare")
    assert "too_many_cells" in {item["code"] for item in answer["violations"]}
    wrong = client.predict("strengths", REQUEST, 3, api_name="/compare")
    assert "not a list of numbers" in wrong["error"]["message"]


@pytest.mark.parametrize("hold", [None, "maybe", "false"])
def test_what_is_no_yes_or_no_is_never_kept_as_one(client: Client, hold: object) -> None:
    answer = client.predict("base_against_lora", REQUEST, hold=hold, api_name="/compare")
    assert answer["error"]["code"] == "request"
    assert "hold: Input should be a valid boolean" in answer["error"]["message"]


def test_a_number_larger_than_any_strength_is_refused(client: Client) -> None:
    answer = client.predict("strengths", REQUEST, [10**400, 1], api_name="/compare")
    (refused,) = answer["violations"]
    assert (refused["code"], refused["name"]) == ("axis_value_refused", "strength")


def test_an_axis_that_is_none_is_not_taken_for_no_axis(client: Client) -> None:
    columns = {"name": "guidance", "values": [1.0, 3.0]}
    answer = client.predict("grid", REQUEST, rows={}, columns=columns, api_name="/compare")
    assert "name: Field required" in answer["error"]["message"]


def test_a_picture_comes_with_its_record(client: Client) -> None:
    answer = client.predict(REQUEST, api_name="/generate")
    (image,) = answer["images"]
    path = Path(image if isinstance(image, str) else image["path"])
    with Image.open(path) as picture:
        record = RunRecord.model_validate_json(picture.info["lora-studio"])
    assert record.model_dump(mode="json") == answer["records"][0]


def test_progress_comes_until_the_answer(client: Client) -> None:
    job = client.submit({**REQUEST, "settings": {"steps": 3}, "seed": 75}, api_name="/generate")
    job.result()
    *said, answer = job.outputs()
    assert answer["records"][0]["receipt"]["steps"] == 3
    assert all(set(each) == {"progress"} for each in said)
    steps = [each["progress"] for each in said if "step" in each["progress"]]
    assert steps[-1] == {"image": 1, "images": 1, "step": 3, "steps": 3}


def test_a_stage_that_does_not_move_is_told() -> None:
    assert run_progress(Stalled("r", "Reading the prompt", 30)) == {
        "stage": "Reading the prompt",
        "stalled": 30,
    }


def test_a_comparison_tells_of_each_cell(client: Client) -> None:
    request = {**REQUEST, "seed": 76}
    job = client.submit("strengths", request, [0.5, 1.0], api_name="/compare")
    job.result()
    *said, answer = job.outputs()
    assert answer["record"]["validity"]["verdict"] == "valid"
    made = [each["progress"] for each in said if "picture" in each["progress"]]
    assert [each["cell"] for each in made] == sorted(each["cell"] for each in made)
    assert {each["cells"] for each in made} == {len(made)}
    again = client.predict("strengths", request, [0.5, 1.0], fresh=True, api_name="/compare")
    assert not any(cell["reused"] for cell in again["record"]["cells"])


def test_an_option_that_is_no_choice_is_said_so(client: Client) -> None:
    answer = client.predict("base_against_lora", REQUEST, fresh="maybe", api_name="/compare")
    assert answer["error"]["message"] == "fresh is 'maybe', and must be true or false."


LONG = {**REQUEST, "settings": {"steps": 200}}


def test_a_client_that_cancels_ends_its_run(client: Client, server: Server) -> None:
    before = len(server.pictures())
    job = client.submit(LONG, api_name="/generate")
    wait_until(lambda: any("step" in each["progress"] for each in job.outputs()))
    job.cancel()
    client.predict({**REQUEST, "seed": 77}, api_name="/generate")  # its turn comes afterwards
    assert len(server.pictures()) == before + 1


def test_a_client_that_leaves_ends_its_run(client: Client, server: Server) -> None:
    """One that speaks HTTP itself, and closes the stream of its answer."""
    before = len(server.pictures())
    call = f"{server.url}gradio_api/call/generate"
    event = requests.post(call, json={"data": [LONG]}, timeout=60).json()["event_id"]
    with requests.get(f"{call}/{event}", stream=True, timeout=60) as stream:
        assert any(b'"step"' in line for line in stream.iter_lines())
    client.predict({**REQUEST, "seed": 78}, api_name="/generate")
    assert len(server.pictures()) == before + 1


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def test_the_pages_example_runs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, but for the address and the steps."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    example, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "http://127.0.0.1:7860" in example
    example = example.replace("http://127.0.0.1:7860", server.url)
    example = example.replace('"seed": 7', '"seed": 7, "settings": {"steps": 2}')
    names: dict[str, object] = {}
    exec(example, names)
    compared = names["compared"]
    assert isinstance(compared, dict)
    assert compared["record"]["validity"]["verdict"] == "valid"
    assert len(compared["images"]) == 3
