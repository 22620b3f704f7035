"""Time on a GPU that is lent by the second, as Hugging Face's ZeroGPU does."""

from collections.abc import Iterator
from dataclasses import dataclass

from studio.contract.base import in_time
from studio.contract.plan import Notice

ALLOWANCES = (
    ("a visitor who is not signed in", 120),
    ("a free account", 300),
    ("a PRO account", 2400),
)
"""Who has how many seconds a day, by Hugging Face's documentation of November 2026."""


@dataclass(frozen=True, slots=True)
class GpuTime:
    """What a run asks for.

    Attributes:
        seconds: as the service is asked for them.
        timed: whether earlier runs of the base tell; else it is what the service gives unasked.
    """

    seconds: int
    timed: bool


def gpu_notices(asked: GpuTime | None) -> Iterator[Notice]:
    """What the run costs its visitor, and for whom that is too much; nothing where it is None."""
    if asked is None:
        return
    why = "by the pace of earlier runs" if asked.timed else "for no run of this base was timed yet"
    text = f"Asks for {asked.seconds} s of your daily GPU time, {why}; it uses what it takes."
    yield Notice(code="gpu_time", field="base", text=text)
    short = [(who, daily) for who, daily in ALLOWANCES if daily < asked.seconds]
    enough = [(who, daily) for who, daily in ALLOWANCES if daily >= asked.seconds]
    if short:
        who, daily = short[-1]
        text = f"That is more than {who} has for a day ({in_time(daily)})."
        if enough:
            who, daily = enough[0]
            text += f" {who[0].upper()}{who[1:]} has {in_time(daily)}."
        else:
            text += " Choose fewer steps, fewer pictures or a smaller size."
        yield Notice(code="gpu_time_beyond", field="base", text=text)
