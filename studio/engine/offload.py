"""Where the weights lie of a pipeline that does not keep them on the device."""

from __future__ import annotations

from torch import Tensor, nn


def kept_weights(module: nn.Module, name: str) -> Tensor:
    """A weight that is on torch's meta device between calls, where its hook keeps it.

    Raises:
        KeyError: no hook keeps it.
    """
    hook = getattr(module, "_hf_hook", None)
    if hook is None or hook.weights_map is None:
        raise KeyError(name)
    kept: Tensor = hook.weights_map[name]
    return kept
