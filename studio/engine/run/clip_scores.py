"""How a CLIP model of the user's own reads pictures and prompts: unit vectors to be compared.

On the CPU and in float32, whatever the pictures were made on: it takes no memory from a base, and
the same pictures give the same numbers everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from studio.comparison.numbers import ClipIdentity, ClipReading, Vector
from studio.errors import WeightsError

if TYPE_CHECKING:
    from PIL.Image import Image

NEEDED = ("config.json", "preprocessor_config.json", "model.safetensors")
_WAY_OUT = (
    "Set CLIP_MODEL to a folder that holds a CLIP model as transformers saves it, with its "
    "tokenizer and preprocessor and its weights in model.safetensors, or leave it empty."
)


class ClipModel:
    """A CLIP model in memory."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            WeightsError: the folder holds no whole CLIP model.
        """
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if missing:
            raise WeightsError(f"The CLIP model has no {missing[0]}.", _WAY_OUT, folder)
        from transformers import AutoTokenizer, CLIPImageProcessorPil
        from transformers import CLIPModel as Model

        try:
            self._model, told = Model.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._pixels = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, LookupError) as error:
            text = f"The CLIP model cannot be loaded: {str(error)[:200]}"
            raise WeightsError(text, _WAY_OUT, folder) from error
        if told["missing_keys"]:
            names = ", ".join(sorted(told["missing_keys"])[:3])
            raise WeightsError(f"The CLIP model's weights lack {names}.", _WAY_OUT, folder)
        self._model.eval()
        sha256 = _sha256(folder / "model.safetensors")
        self.identity = ClipIdentity(name=folder.name, sha256=sha256)

    @torch.no_grad()
    def read(self, images: Sequence[Image], texts: Sequence[str]) -> ClipReading:
        """Pictures (RGB, any size) and texts as the model's vectors."""
        fit = [text for text in dict.fromkeys(texts) if self._fits(text)]
        # The model reads both sides in one call, and neither sees the other.
        words = self._tokenizer(fit or [""], padding=True, return_tensors="pt")
        pixels = self._pixels(images=list(images), return_tensors="pt").pixel_values
        read = self._model(pixel_values=pixels, **words)
        known = dict(zip(fit, _vectors(read.text_embeds), strict=False))
        said = tuple(known.get(text) for text in texts)
        return ClipReading(self.identity, _vectors(read.image_embeds), said)

    def _fits(self, text: str) -> bool:
        window = int(self._model.config.text_config.max_position_embeddings)
        return len(self._tokenizer(text).input_ids) <= window


def _vectors(embeddings: torch.Tensor) -> tuple[Vector, ...]:
    unit = torch.nn.functional.normalize(embeddings.double(), dim=-1)
    return tuple(tuple(row) for row in unit.tolist())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
