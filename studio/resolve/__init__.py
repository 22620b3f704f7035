"""A request → the plan that will run, or everything that is wrong with it."""

from studio.resolve.resolution import (
    BaseInPlace,
    Provisional,
    Runtime,
    provisional,
    resolve,
    resolve_base,
)

__all__ = ["BaseInPlace", "Provisional", "Runtime", "provisional", "resolve", "resolve_base"]
