"""What gradio's MCP server leaves to do: no answer gets lost, each call has a session of its own,
and links lead back under the name that the agent asked."""

import secrets
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import gradio as gr
from gradio.context import LocalContext


def keep_answers() -> None:
    """gradio's client hands its messages to the server's loop through a queue that is not made for
    two threads, and now and then the last of them, the answer, is lost on the way to an agent that
    asked for progress (6.31). The job still has it."""
    from gradio.mcp import GradioMCPServer  # needs the package mcp

    told = GradioMCPServer._execute_tool_with_progress
    if told.__name__ == _answered_anyway.__name__:
        return

    async def answered(self: Any, job: Any, progress_token: str | int) -> Any:
        return await _answered_anyway(told(self, job, progress_token), job)

    answered.__name__ = _answered_anyway.__name__
    GradioMCPServer._execute_tool_with_progress = answered


async def _answered_anyway(telling: Awaitable[Any], job: Any) -> Any:
    """What ``telling`` gives, else the job's result."""
    try:
        return await telling
    except UnboundLocalError:
        return [await anyio.to_thread.run_sync(job.result)]


@contextmanager
def alone(client: gr.Request) -> Iterator[None]:
    """Each call is a visitor of its own: gradio's server puts the calls of all agents into one
    session, by which a public page would take them for one visitor."""
    own = gr.Request(client.request, client.username, secrets.token_urlsafe(24), **client.kwargs)
    token = LocalContext.request.set(own)
    try:
        yield
    finally:
        LocalContext.request.reset(token)


def root_of(client: gr.Request) -> str:
    """The address under which the agent knows the page, without a slash at the end."""
    headers = client.headers
    host = headers.get("x-forwarded-host") or headers.get("host", "")
    scheme = headers.get("x-forwarded-proto", "http").partition(",")[0].strip()
    return f"{scheme}://{host.partition(',')[0].strip()}"
