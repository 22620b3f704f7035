"""A tiny base and LoRA files as the pure core sees them: shapes and inspections, no disk."""

from pathlib import Path

from studio.contract.base import FileIdentity
from studio.inspection import inspect
from studio.inspection.header import SafetensorsHeader
from studio.inspection.tensor_info import TensorInfo
from studio.resolve.inventory import LoraWeights

CROSS_ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
BASE_SHAPES = {
    "unet": {
        f"{CROSS_ATTENTION}.to_k.weight": (64, 128),
        f"{CROSS_ATTENTION}.to_q.weight": (64, 64),
    },
    "text_encoder": {},
}
RANK = 4


def lora_weights(sha256: str, width: int = 128) -> LoraWeights:
    """A diffusers-format LoRA on the cross-attention, whose key reads ``width`` features."""
    shapes = {}
    for name, features in (("to_k", width), ("to_q", 64)):
        shapes[f"unet.{CROSS_ATTENTION}.{name}.lora_A.weight"] = (RANK, features)
        shapes[f"unet.{CROSS_ATTENTION}.{name}.lora_B.weight"] = (64, RANK)
    tensors, position = {}, 0
    for key, shape in shapes.items():
        end = position + 4 * shape[0] * shape[1]
        tensors[key] = TensorInfo(dtype="F32", shape=shape, start=position, end=end)
        position = end
    header = SafetensorsHeader(tensors=tensors, metadata={}, size=100)
    file = FileIdentity(name="lora.safetensors", sha256=sha256, size=position + 108)
    return LoraWeights(path=Path("lora.safetensors"), file=file, inspection=inspect(header))
