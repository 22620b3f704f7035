"""The studio from nothing to a picture, as a Hugging Face Space installs and starts it.

``python benchmarks/fresh_space.py`` makes a virtual environment of the Python it runs under in a
temporary folder, installs ``pre-requirements.txt`` and ``requirements.txt`` into it, starts
``app.py`` with a CPU Space's variables and asks for a picture of Mini. It fetches some gigabytes
and takes its time, so ``make test`` leaves it out. ``--environment FOLDER`` uses one that is
there.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 1200.0
"""Seconds for the first picture: the first import of everything is most of it."""
ASK = """
import sys
from gradio_client import Client
request = {"base": "mini", "mode": "base", "prompt": "a rocket on a blue background", "seed": 7}
made = Client(sys.argv[1], verbose=False).predict(request, api_name="/generate")
assert made.get("images"), made
print(made["records"][0]["receipt"]["hardware"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, help="a virtual environment that is there")
    given = parser.parse_args().environment
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        environment = given or installed(work / "environment")
        python = environment.absolute() / "bin" / "python"
        start = time.monotonic()
        log = work / "log"
        with log.open("wb") as output:
            url, page = started(python, work, output)
        try:
            told = subprocess.run(
                [python, "-c", ASK, wait_for(url, page, log)],
                check=True,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        finally:
            page.terminate()
            page.wait(60)
        print(f"Python {sys.version.split()[0]}, {told.stdout.strip()}")
        print(f"first picture after {time.monotonic() - start:.0f} s")


def installed(place: Path) -> Path:
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    for name in ("pre-requirements.txt", "requirements.txt"):
        command = [place / "bin" / "python", "-m", "pip", "install", "-q", "-r", ROOT / name]
        subprocess.run(command, check=True)
    print(f"installed after {time.monotonic() - start:.0f} s")
    return place


def started(python: Path, work: Path, output) -> tuple[str, subprocess.Popen]:
    """The page's address and its process, with what a CPU Space sets and nothing else."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "PATH": os.defpath,
        "HOME": str(work),
        "SPACE_ID": "somebody/lora-studio",
        "SPACE_HOST": "somebody-lora-studio.hf.space",
        "ACCELERATOR": "none",
        "CPU_CORES": "2",
        "MEMORY": "16Gi",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "PORT": str(port),
        "OUTPUTS": str(work / "bucket"),
        "INDEX_DIR": str(work / "index"),
    }
    command = [python, ROOT / "app.py"]
    page = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
    return f"http://127.0.0.1:{port}/", page


def wait_for(url: str, page: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    while time.monotonic() < deadline:
        if page.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return url
        time.sleep(0.5)
    raise SystemExit(log.read_text())


if __name__ == "__main__":
    main()
