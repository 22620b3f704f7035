"""The device and everything on it; importing this does not import torch."""

from studio.engine.engine import Engine
from studio.engine.job import EngineEvent, Generated, Interrupted, LocalJob, RunCancelled

__all__ = ["Engine", "EngineEvent", "Generated", "Interrupted", "LocalJob", "RunCancelled"]
