"""Work on what strangers wrote, in a process of its own with bounds for memory and time."""

import os
import subprocess
import sys

from studio.errors import StudioError


class TooMuch(StudioError):
    """The process ended without an answer: it met a bound, or what it worked on broke it."""

    code = "too_much"


def apart(function: str, data: bytes, memory: int, seconds: int) -> bytes:
    """What ``function`` writes to its standard output, given ``data`` on its standard input.

    Its environment has what Python needs to find the studio, and no key. Windows bounds the
    clock's time alone.

    Args:
        function: ``module:name``, of a function without arguments.
        memory: bytes of address space.
        seconds: of its own time; it gets twice as many of the clock's.

    Raises:
        TooMuch: it gave no answer.
    """
    module, _, name = function.partition(":")
    program = (
        f"from {__name__} import _bound; _bound({memory}, {seconds}); "
        f"from {module} import {name}; {name}()"
    )
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=data,
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            timeout=2 * seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise TooMuch("It took too long.", "Give another one.") from error
    if done.returncode != 0 or not done.stdout:
        raise TooMuch("It needs too much memory or time.", "Give another one.")
    return done.stdout


def _bound(memory: int, seconds: int) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
