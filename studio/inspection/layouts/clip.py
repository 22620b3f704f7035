"""CLIP text encoders as the first diffusers LoRAs named their attention."""

import re
from collections.abc import Iterator

from studio.inspection.layouts.layout import Alias, Shapes
from studio.inspection.slot import Slot

_ATTENTION = re.compile(r"\.self_attn\.(q|k|v|out)_proj\Z")


def old_attention(modules: Shapes) -> Iterator[Alias]:
    """``self_attn.to_q`` beside ``self_attn.q_proj``, and so on."""
    for name in modules:
        match = _ATTENTION.search(name)
        if match:
            yield f"{name[: match.start()]}.self_attn.to_{match[1]}", (Slot(name),)
