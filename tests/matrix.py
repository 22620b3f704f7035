"""What docs/architectures.md calls supported, as data, every row of it run in ``tests/engine``.

``python -m tests.matrix --write docs/architectures.md`` writes the table between its markers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from studio.architecture import Mode, pipeline_traits
from tests.support.lora_formats import FORMATS
from tests.support.studios import architecture_of

START, END = "<!-- matrix: written by python -m tests.matrix -->", "<!-- end of matrix -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of base, run end to end with LoRAs.

    Attributes:
        pipeline: diffusers' class, and ``variant`` the tiny base of it (see ``TINY``).
        models: what people call such bases.
        parts: which components LoRAs change, in the pipeline's order.
        settings: of the base's preset.
    """

    pipeline: str
    variant: str | None
    models: str
    parts: tuple[str, ...]
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.pipeline if self.variant is None else f"{self.pipeline} ({self.variant})"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """As the form offers them."""
        known = pipeline_traits(self.pipeline).modes
        return tuple(mode for mode in Mode if mode in known)


_UNET = ("unet", "text_encoder")
_FLUX = ("transformer", "text_encoder")
_TRANSFORMER = ("transformer",)

ROWS: tuple[Row, ...] = (
    Row(
        "StableDiffusionPipeline",
        None,
        "Stable Diffusion 1.5 and its finetunes",
        _UNET,
        {"guidance_scale": 7.0},
    ),
    Row(
        "StableDiffusionXLPipeline",
        None,
        "SDXL, Pony, Illustrious and other finetunes",
        (*_UNET, "text_encoder_2"),
        {"guidance_scale": 5.0},
    ),
    Row("FluxPipeline", "dev", "FLUX.1 [dev], Krea", _FLUX, {"guidance_scale": 3.5}),
    Row("FluxPipeline", "schnell", "FLUX.1 [schnell]", _FLUX, {"guidance_scale": 0.0}),
    Row("FluxKontextPipeline", None, "FLUX.1 Kontext [dev]", _FLUX, {"guidance_scale": 2.5}),
    Row(
        "Flux2Pipeline",
        None,
        "FLUX.2 [dev]",
        _TRANSFORMER,
        {"guidance_scale": 4.0},
    ),
    Row(
        "Flux2KleinPipeline",
        "distilled",
        "FLUX.2 [klein] 4B and 9B",
        _TRANSFORMER,
        {"guidance_scale": 1.0},
    ),
    Row(
        "Flux2KleinPipeline",
        "base",
        "FLUX.2 [klein] base, not distilled",
        _TRANSFORMER,
        {"guidance_scale": 4.0},
    ),
    Row(
        "QwenImagePipeline",
        None,
        "Qwen-Image and Qwen-Image-2512",
        _TRANSFORMER,
        {"guidance_scale": 4.0},
    ),
    Row("ZImagePipeline", "turbo", "Z-Image-Turbo", _TRANSFORMER, {"guidance_scale": 1.0}),
    Row("ZImagePipeline", "base", "Z-Image", _TRANSFORMER, {"guidance_scale": 5.0}),
    Row(
        "StableDiffusion3Pipeline",
        None,
        "Stable Diffusion 3 and 3.5",
        ("transformer", "text_encoder", "text_encoder_2"),
        {"guidance_scale": 4.0},
    ),
)

FORMAT_ROWS = tuple({architecture_of(row.pipeline): row for row in reversed(ROWS)}.values())
"""The first row of each architecture, whose LoRAs are tried in every format."""

EDITS: tuple[Row, ...] = (
    Row(
        "QwenImageEditPipeline",
        None,
        "Qwen-Image-Edit",
        _TRANSFORMER,
        {"guidance_scale": 1.0},
    ),
    Row(
        "QwenImageEditPlusPipeline",
        None,
        "Qwen-Image-Edit-2509 and -2511",
        _TRANSFORMER,
        {"guidance_scale": 1.0},
    ),
)
"""Kinds of base that make no picture without a reference; ``test_edits`` runs every row."""


_SAYS = """\
On each of these, LoRAs in diffusers' own format are run in every mode, stacked, and at strength 0.
Of every format below, a LoRA goes from its file through plan, picture and verification in the mode
`lora`, on the architecture's first class, with each of its layers counted; on each architecture,
two formats are stacked, and one is run at strength 0."""
"""What ``test_matrix`` and ``test_edits`` do on every row, and ``test_matrix_formats`` on
``FORMAT_ROWS``."""


def table() -> str:
    """The page's table, in Markdown."""
    lines = ["| diffusers' class | Models | Modes | LoRAs change |", "|---|---|---|---|"]
    for row in (*ROWS, *EDITS):
        variant = "" if row.variant is None else f", {row.variant}"
        modes = ", ".join(f"`{mode.value}`" for mode in row.modes)
        parts = ", ".join(f"`{part}`" for part in row.parts)
        lines.append(f"| `{row.pipeline}`{variant} | {row.models} | {modes} | {parts} |")
    lines += ["", _SAYS, "", "| Architecture | First class | LoRA files |", "|---|---|---|"]
    for row in reversed(FORMAT_ROWS):
        architecture = architecture_of(row.pipeline)
        formats = " · ".join(FORMATS[architecture])
        lines.append(f"| `{architecture.value}` | `{row.pipeline}` | {formats} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """``text`` with today's table between the markers.

    Raises:
        ValueError: the markers are not there.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"there are no lines {START} and {END}")
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the table, or write it into a file.")
    parser.add_argument("--write", type=Path)
    path = parser.parse_args().write
    if path is None:
        print(table())
    else:
        path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
