"""What a saved tiny pipeline lacks to look like a published one: the names of its processors.

They are saved as the halves that the engine builds (``processors``); published folders name
the whole classes, and have the files of both halves.
"""

from __future__ import annotations

import json
from pathlib import Path

_PROCESSORS = {
    "Flux2Pipeline": ("tokenizer", "PixtralProcessor"),
    "QwenImageEditPipeline": ("processor", "Qwen2VLProcessor"),
    "QwenImageEditPlusPipeline": ("processor", "Qwen2VLProcessor"),
}


def name_processors(folder: Path, pipeline: str) -> None:
    """Rewrite the saved ``pipeline`` in ``folder`` where it has a processor."""
    if pipeline not in _PROCESSORS:
        return
    component, processor = _PROCESSORS[pipeline]
    index = folder / "model_index.json"
    fields = json.loads(index.read_text(encoding="utf-8"))
    fields[component] = ["transformers", processor]
    index.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if processor == "PixtralProcessor":
        _add_pictures(folder / component)


def _add_pictures(folder: Path) -> None:
    from transformers import PixtralImageProcessorPil

    PixtralImageProcessorPil(patch_size={"height": 14, "width": 14}).save_pretrained(folder)
    fields = {
        "processor_class": "PixtralProcessor",
        "patch_size": 14,
        "spatial_merge_size": 2,
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    }
    text = json.dumps(fields, indent=2) + "\n"
    (folder / "processor_config.json").write_text(text, encoding="utf-8")
