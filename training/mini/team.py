"""Two single-threaded processes that train as one: each takes half of every batch.

On a busy machine two threads inside one operation wait for one another at every layer; two
processes wait once a step. Without `run_team` everything here stands for a team of one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's place, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes files and log lines."""
    return rank() == 0


def share(batch: int) -> int:
    """How much of a batch falls to each process."""
    if batch % size():
        raise ValueError(f"a batch of {batch} cannot be shared by {size()} processes")
    return batch // size()


def draw_number(step: int) -> int:
    """The number that seeds this process's part of a step's batch; never used twice."""
    return step * size() + rank()


def meet() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def agree(value: float) -> float:
    """The first process's value, in all of them."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return float(shared)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes, in one exchange."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if len(gradients) != len(parameters):
        raise RuntimeError("a parameter got no gradient, so the processes cannot be averaged")
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def _member(place: int, count: int, meeting: str, work: Callable[[], None]) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=place, world_size=count)
    work()
    dist.destroy_process_group()


def run_team(count: int, work: Callable[[], None]) -> None:
    """Run `work` (a picklable function) in `count` processes, or here when one is enough."""
    if count == 1:
        work()
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        spawn(_member, args=(count, meeting, work), nprocs=count)  # type: ignore[no-untyped-call]
