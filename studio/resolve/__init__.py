"""A request → the plan that will run, or everything that is wrong with it."""

from studio.resolve.resolution import Provisional, Runtime, provisional, resolve

__all__ = ["Provisional", "Runtime", "provisional", "resolve"]
