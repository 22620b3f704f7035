"""gradio, imported without the editors' stubs that it writes anew at every start.

For each component gradio parses the file of its class, twice, to write a ``.pyi`` beside it: a
third of what its import costs, and written into the installation. It leaves out a class whose file
Python cannot name, and this names none of gradio's own while gradio is imported.
"""

import inspect
from typing import Any

_named = inspect.getfile


def _unnamed(object: Any) -> str:
    """``inspect.getfile``, but for gradio's own classes.

    Raises:
        OSError: for them, which gradio takes for a class without a file.
    """
    if isinstance(object, type) and object.__module__.startswith("gradio."):
        raise OSError(f"{object.__qualname__} needs no stub")
    return _named(object)


inspect.getfile = _unnamed
try:
    import gradio
finally:
    inspect.getfile = _named

__all__ = ["gradio"]
