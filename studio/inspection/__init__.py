"""What a weight file is, told from its safetensors header, and whether it fits a base."""

from studio.inspection.lora import (
    LoraInspection,
    inspect,
)

__all__ = [
    "LoraInspection",
    "inspect",
]
