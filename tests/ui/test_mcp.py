"""The page as an MCP server, through the protocol's own client over HTTP."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from gradio.mcp import GradioMCPServer
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from studio.gallery.verification import examine
from studio.ui.mcp_server import keep_answers
from tests.ui.conftest import studio_at

TOOLS = {"plan", "generate", "compare", "inspect", "find_loras", "verify"}
ASKED = {
    "base": "mini",
    "mode": "lora_with_trigger",
    "prompt": "a rocket on a blue background",
    "loras": ["pen-ink-mini:0.8"],
    "settings": {"steps": 2},
    "seed": 74,
}


COMPARED = {
    "question": "four_arms",
    "base": "mini",
    "prompt": "a rocket",
    "loras": ["pen-ink-mini"],
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page for strangers, as a Space's is."""
    folder = tmp_path_factory.mktemp("studio")
    with studio_at(folder, {"MCP": "1", "PUBLIC": "1", "OUTPUTS": str(folder / "outputs")}) as at:
        yield at.rstrip("/")


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


Calls = list[tuple[str, dict[str, Any]]]


def asked(
    url: str,
    calls: Calls = (),  # type: ignore[assignment]
    told: list[str] | None = None,
) -> tuple[dict[str, Any], list[Any]]:
    """The tools by name, and what each call answers.

    Args:
        told: gets what the server says of the progress; without it nobody asks.
    """

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        assert told is not None
        told.append(message or "")

    async def ask() -> tuple[dict[str, Any], list[Any]]:
        async with (
            streamable_http_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            answers = []
            for name, arguments in calls:
                heard = None if told is None else hear
                result = await session.call_tool(name, arguments, progress_callback=heard)
                assert not result.isError, result.content
                (said,) = result.content
                assert isinstance(said, TextContent)
                answers.append(json.loads(said.text))
            return tools, answers

    # A browser that another file of this process left open runs a loop in this thread.
    with ThreadPoolExecutor(max_workers=1) as own:
        return own.submit(lambda: asyncio.run(ask())).result()


def test_each_argument_is_typed_and_described(url: str) -> None:
    tools, _ = asked(url)
    assert tools.keys() == TOOLS
    for tool in tools.values():
        assert tool.description
        for name, argument in tool.inputSchema["properties"].items():
            assert argument.get("description"), (tool.name, name)
            assert {"type", "anyOf", "enum"} & argument.keys(), (tool.name, name)
        assert "client" not in tool.inputSchema["properties"]
    assert set(tools["generate"].inputSchema["required"]) == {"base", "mode", "prompt"}
    assert "trigger_only" in tools["plan"].inputSchema["properties"]["mode"]["enum"]


def test_a_plan_its_pictures_and_what_they_are_worth(url: str, tmp_path: Path) -> None:
    _, (planned, refused, made, found, inspected) = asked(
        url,
        [
            ("plan", ASKED),
            ("plan", {**ASKED, "mode": "base", "prompt": " "}),
            ("generate", ASKED),
            ("find_loras", {"words": "ink", "base": "mini"}),
            ("inspect", {"lora": "pen-ink-mini"}),
        ],
    )
    assert {each["code"] for each in refused["violations"]} == {"prompt_empty", "lora_forbidden"}
    (link,) = made["images"]
    assert link.startswith(f"{url}/gradio_api/file=")
    picture = requests.get(link, timeout=60)
    assert picture.status_code == 200, link
    record = examine(picture.content).record
    assert record is not None
    assert record.plan.fingerprint == planned["fingerprint"]
    assert [each["slug"] for each in found["loras"]] == ["pen-ink-mini"]
    assert inspected["architecture"]
    assert str(tmp_path.parent) not in json.dumps(inspected)

    _, (verified, foreign, elsewhere) = asked(
        url,
        [
            ("verify", {"picture": link}),
            ("verify", {"picture": f"{url}/gradio_api/file=/etc/passwd"}),
            ("verify", {"picture": "https://example.com/x.png"}),
        ],
    )
    assert (verified["ok"], verified["fingerprint"]) == (True, planned["fingerprint"])
    assert foreign["error"]["code"] == elsewhere["error"]["code"] == "gallery"


def test_an_agent_is_told_how_far_its_pictures_are(url: str) -> None:
    told: list[str] = []
    _, (made,) = asked(url, [("generate", {**ASKED, "settings": {"steps": 30}})], told)
    assert len(made["images"]) == 1
    steps = [int(step) for each in told for step in re.findall(r"Step (\d+) of 30", each)]
    assert len(steps) > 1
    assert steps == sorted(steps)


def test_an_answer_that_gradio_loses_on_the_way_comes_all_the_same() -> None:
    keep_answers()
    keep_answers()

    class Job(Future[str]):
        async def __aiter__(self) -> AsyncIterator[object]:
            for message in list[object]():
                yield message

    job = Job()
    job.set_result("the answer")
    asked: Any = GradioMCPServer._execute_tool_with_progress(None, job, "token")  # type: ignore[arg-type]
    with ThreadPoolExecutor(max_workers=1) as own:
        assert own.submit(lambda: asyncio.run(asked)).result() == ["the answer"]


def test_a_comparison_has_links_to_each_picture(url: str) -> None:
    arms = {key: value for key, value in ASKED.items() if key != "mode"}
    told: list[str] = []
    _, (made,) = asked(url, [("compare", {**arms, "question": "base_against_lora"})], told)
    assert any(re.search(r"cell \d of \d", each) for each in told), told
    assert made["record"]["validity"]["verdict"]
    for link in (made["sheet"], *made["images"]):
        assert requests.head(link, timeout=60).status_code == 200


def test_a_public_page_fetches_nothing_for_an_agent(url: str) -> None:
    _, (answer,) = asked(url, [("generate", {**ASKED, "base": "sdxl-base", "loras": []})])
    assert "weights_missing" in {each["code"] for each in answer["violations"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("find_loras", {"words": 5}, "words"),
        ("find_loras", {"words": None}, "words"),
        ("find_loras", {"base": ["mini"]}, "base"),
        ("find_loras", {"limit": "many"}, "limit"),
        ("find_loras", {"limit": True}, "limit"),
        ("find_loras", {"limit": 2.5}, "limit"),
        ("inspect", {"lora": {"slug": "pen-ink-mini"}}, "lora"),
        ("verify", {"picture": 3}, "picture"),
        ("plan", {**ASKED, "loras": 7}, "loras"),
        ("plan", {**ASKED, "loras": [7]}, "loras"),
        ("plan", {**ASKED, "loras": "pen-ink-mini"}, "loras"),
        ("plan", {**ASKED, "settings": "steps"}, "settings"),
        ("plan", {**ASKED, "seed": [1]}, "seed"),
        ("plan", {**ASKED, "prompt": {}}, "prompt"),
        ("compare", {**COMPARED, "loras": 7}, "loras"),
        ("compare", {**COMPARED, "strengths": "high"}, "strengths"),
        ("compare", {**COMPARED, "against": 4}, "against"),
    ],
)
def test_an_argument_of_another_type_is_named(
    client: Client, tool: str, arguments: dict[str, Any], named: str
) -> None:
    """Agents' servers check types before; a program calls the endpoints themselves."""
    said = client.predict(**arguments, api_name=f"/tool_{tool}")
    answer = json.loads(said)
    assert "error" in answer or "violations" in answer
    assert named in said
    assert "unexpected" not in said


def test_the_json_endpoints_answer_as_before(url: str) -> None:
    client = Client(url, verbose=False)
    request = {**ASKED, "loras": [{"slug": "pen-ink-mini"}]}
    assert len(client.predict(request, api_name="/plan")["fingerprint"]) == 64
