"""Ray on this machine: a node of its own for local workers, or one that joins a cluster.

A node is a process of ours that runs ``ray start`` and ends when its standard input does, so that
it never outlives the studio, however that ends. Nothing is sent to Ray's makers, and there is no
dashboard.
"""

from __future__ import annotations

import importlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from studio.errors import WorkerError

NAMESPACE = "lora-studio"
PATIENCE = 300.0
"""Seconds in which Ray may start: on a busy machine each of its processes takes its time."""
STOPPING = 10.0
OBJECT_STORE = 512 * 2**20
"""Bytes of shared memory for pictures on their way."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_PROGRAM = """
import os, shutil, signal, sys, threading
def end():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait({stopping})
    shutil.rmtree({folder!r}, ignore_errors=True)
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
sys.argv = ["ray", *sys.argv[1:]]
from ray.scripts.scripts import main
try:
    main()
finally:
    if {folder!r}:
        shutil.rmtree({folder!r}, ignore_errors=True)
"""


def before_ray(local: bool) -> None:
    """What Ray reads when it is imported: that it keeps to itself, and for local workers a token
    of this process, without which nobody can use them. What the user set goes first.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if local:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        if "ray" in sys.modules:
            # It was imported before and has read its mode, which this makes it read anew.
            importlib.import_module("ray._raylet").Config.initialize("")


class RayNode:
    """A Ray node in a process of its own.

    Attributes:
        address: of the cluster's head, ``host:port``.
    """

    def __init__(self, process: subprocess.Popen[str], address: str, folder: Path) -> None:
        self.address = address
        self._process = process
        self._folder = folder

    @classmethod
    def for_local_workers(cls, cores: int) -> RayNode:
        """A cluster of this machine alone.

        Args:
            cores: that Ray may promise to workers.

        Raises:
            WorkerError: Ray does not start.
        """
        gcs, *agents = _free_ports(4)
        return cls._start(
            ["--head", f"--port={gcs}", "--include-dashboard=false", *_ports(agents)],
            cores,
            f":{gcs}",
        )

    @classmethod
    def joining(cls, address: str, cores: int) -> RayNode:
        """A node of this machine in the cluster at ``address``.

        Raises:
            WorkerError: Ray does not start, or there is no such cluster.
        """
        return cls._start([f"--address={address}", *_ports(_free_ports(3))], cores, address)

    @classmethod
    def _start(cls, arguments: list[str], cores: int, address: str) -> RayNode:
        # Not below STATE_DIR: the names of its sockets may have 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="studio-ray-"))
        command = [
            *(sys.executable, "-c", _PROGRAM.format(folder=str(folder), stopping=STOPPING)),
            *("start", "--block", "--disable-usage-stats", f"--num-cpus={cores}"),
            *(f"--temp-dir={folder}", f"--object-store-memory={OBJECT_STORE}"),
            *("--include-log-monitor=false", "--num-gpus=0", *arguments),
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = _until_ready(process)
        if said is not None:
            _end(process)
            raise WorkerError(
                f"Ray did not start: {said}",
                "Check that the address is right and the machine is not overloaded, and try "
                "again.",
            )
        if address.startswith(":"):
            address = f"{_own_address()}{address}"
        return cls(process, address, folder)

    @classmethod
    def connected(cls, address: str, cores: int) -> RayNode | None:
        """Connect to a cluster; by a node that is on this machine already (then None is
        returned), or by a new one.

        Raises:
            WorkerError: there is no such cluster.
        """
        try:
            connect(address)
        except (ConnectionError, RuntimeError, ValueError):
            node = cls.joining(address, cores)
            try:
                connect(address)
            except (ConnectionError, RuntimeError, ValueError) as error:
                node.close()
                raise WorkerError(
                    f"The Ray cluster at {address} cannot be used: {type(error).__name__}.",
                    "Check address and port, and that RAY_AUTH_TOKEN is the cluster's.",
                ) from error
            return node
        return None

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self, patience: float = STOPPING) -> bool:
        """End it and every process of it; whether it has ended."""
        return _end(self._process, patience)


def connect(address: str) -> None:
    """Make this process a user of the cluster at ``address``."""
    import ray

    ray.init(
        address=address,
        namespace=NAMESPACE,
        log_to_driver=False,
        configure_logging=False,
        include_dashboard=False,
    )


def _ports(agents: list[int]) -> list[str]:
    """Ports of Ray's own helpers: where they are given, a node does not wait for them."""
    grpc, listen, environment = agents
    return [
        f"--dashboard-agent-grpc-port={grpc}",
        f"--dashboard-agent-listen-port={listen}",
        f"--runtime-env-agent-port={environment}",
    ]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _own_address() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())


def _until_ready(process: subprocess.Popen[str]) -> str | None:
    """Wait until ``ray start`` says that it runs; else the last line that it said."""
    assert process.stdout is not None
    ready = threading.Event()
    lines: list[str] = []
    # Read to the end, so that it never waits for a full pipe.
    threading.Thread(target=_read, args=(process.stdout, lines, ready), daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    while not ready.wait(0.1):
        if process.poll() is not None:
            ready.wait(1.0)
            said = [line.strip() for line in lines if line.strip()]
            return said[-1] if said else f"it ended with {process.returncode}"
        if time.monotonic() > deadline:
            return f"it took more than {PATIENCE:.0f} seconds"
    return None


def _read(stream: IO[str], lines: list[str], ready: threading.Event) -> None:
    for line in stream:
        if not ready.is_set():
            lines.append(line)
        if "Ray runtime started" in line:
            ready.set()


def _end(process: subprocess.Popen[str], patience: float = STOPPING) -> bool:
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        return False
    return True
