"""Ports of this machine for servers of the tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """One that nobody listens on.

    gradio looks upwards from 7860: two test processes that do so at once can take the same one.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
