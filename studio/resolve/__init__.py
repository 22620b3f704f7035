"""A request → the plan that will run, or everything that is wrong with it."""

from studio.resolve.resolution import Runtime, resolve

__all__ = ["Runtime", "resolve"]
