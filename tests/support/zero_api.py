"""A stand-in for what only Hugging Face's machines have: the service that lends GPUs, and CUDA.

Everything else of ``spaces`` is the real package: the fork, its queues, pickling, the decorator.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

TITLES = {"quota": "ZeroGPU quota exceeded"}


class GpuService(ThreadingHTTPServer):
    """Lends GPU 0 to everybody, and writes down who asked for what.

    Attributes:
        said: one line a call in this file: its path and its parameters.
        answers: a file whose text says how it behaves: ``busy`` (the GPU is not free of its last
            task, so no fork is reused), ``quota`` (nothing is left), else it lends.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        folder.mkdir(parents=True, exist_ok=True)
        self.said, self.answers = folder / "said", folder / "answers"
        self.said.touch()
        self.answers.touch()
        (folder / "cgroup").write_text("0::/stub\n")
        self.environ = {
            "SPACES_ZERO_GPU": "true",
            "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{self.server_port}",
            "ZEROGPU_PROC_SELF_CGROUP_PATH": str(folder / "cgroup"),
            "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        }

    def calls(self, path: str) -> list[dict[str, str]]:
        """The parameters of each call of ``path`` so far."""
        lines = map(json.loads, self.said.read_text().splitlines())
        return [asked for called, asked in lines if called == path]


class _Answer(BaseHTTPRequestHandler):
    server: GpuService

    def do_POST(self) -> None:
        asked = urlsplit(self.path)
        with self.server.said.open("a") as said:
            said.write(json.dumps([asked.path, dict(parse_qsl(asked.query))]) + "\n")
        if asked.path != "/schedule":
            self._send(200, {})
        elif (how := self.server.answers.read_text()) == "quota":
            self._send(429, {"left": 3, "wait": 3600})
        else:
            idle = how != "busy"
            lent = {"idle": idle, "nvidiaIndex": 0, "nvidiaUUID": "GPU-stub", "allowToken": "t"}
            self._send(200, lent)

    def _send(self, status: int, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def gpu_service(folder: Path) -> Iterator[GpuService]:
    """The service while the block lasts; ``environ`` is for the process that shall use it."""
    service = GpuService(folder)
    thread = threading.Thread(target=service.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def import_spaces() -> None:
    """As a Space imports it, in a process with ``environ``; forks find no CUDA here, and the
    weights stay where they are."""
    assert os.environ["SPACES_ZERO_GPU"]
    import torch

    torch.version.cuda = "12.8"
    torch._C._cuda_init = torch.cuda._is_in_bad_fork = _nothing
    import spaces.zero

    spaces.zero.torch.init = spaces.zero.torch.move = _nothing


def _nothing(*_: object, **__: object) -> None:
    """There is no CUDA."""
