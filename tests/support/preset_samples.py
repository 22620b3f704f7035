"""Preset entries that the tests change."""

from typing import Any

FLUX1_DEV: dict[str, Any] = {
    "slug": "flux1_dev",
    "label": "Flux.1 Dev",
    "path": "black-forest-labs/FLUX.1-dev",
    "pipeline": "FluxPipeline",
    "base_architecture": "flux1",
    "settings": {
        "steps": 28,
        "guidance_scale": 3.5,
        "default_width": 1024,
        "default_height": 1024,
        "max_pixels": 2097152,
        "dtype": "bfloat16",
        "supports_negative_prompt": False,
        "scheduler": "FlowMatchEulerDiscreteScheduler",
        "max_sequence_length": 512,
        "token_window": 512,
        "vram_usage": 24576,
    },
}
"""The example model of the guide's own schema page."""

GOOD = "  - label: Good\n    base_architecture: sdxl\n    path: loras/good.safetensors\n"


def lora(**fields: Any) -> dict[str, Any]:
    """A sound LoRA entry with ``fields`` changed; None takes one away."""
    entry = {
        "slug": "ink",
        "label": "Ink",
        "base_architecture": "sdxl",
        "path": "loras/ink.safetensors",
        "prompt": "inkstyle",
    } | fields
    return {key: value for key, value in entry.items() if value is not None}
