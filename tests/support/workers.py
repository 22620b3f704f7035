"""Real workers, as tests look at them."""

from __future__ import annotations

from studio.backends.cluster.backend import ClusterBackend
from studio.workspace.workspace import Workspace


def backend_of(workspace: Workspace) -> ClusterBackend:
    backend = workspace._backend
    assert isinstance(backend, ClusterBackend)
    return backend


def pids(workspace: Workspace) -> dict[str, int]:
    """Name → process of the workers that are there, on this machine."""
    remotes = backend_of(workspace).crew.remotes.values()
    return {each.name: each.hello.pid for each in remotes if each.hello is not None}
