"""Draws the training pictures: Fluent emoji on plain grounds, in three styles, 128x128 RGB.

Ink and neon are drawn along the lines where the flat drawing's colours meet, so that every style
shows the same drawing. The drawings are fetched once with `npm pack` into a cache folder (they are
MIT-licensed).
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image, ImageFilter, ImageOps

from training.mini.subjects import BACKGROUNDS, BASE, NIGHT_NEON, PEN_INK, SUBJECTS, Pair, Style

Pixels = npt.NDArray[np.uint8]

SIZE: Final = 128
CACHE: Final = Path(__file__).resolve().parents[1] / "cache"
PACKAGE: Final = "@iconify-json/fluent-emoji-flat@1.2.6"
PAPER: Final = (246, 239, 222)
INK: Final = (28, 26, 30)
NAVY: Final = (11, 13, 34)
# What a picture by night is multiplied by and raised to, and what one by day fades to.
NIGHT_TINT: Final = (0.36, 0.42, 0.66)
NIGHT_GLOW: Final = (8, 10, 30)
DAYLIGHT: Final = (255, 255, 255)  # anything else would make a white ground darker by day
DAY_SHARE: Final = 0.5
# A neon tube runs from magenta (left) to cyan (right).
NEON_LEFT: Final = (255, 40, 190)
NEON_RIGHT: Final = (30, 225, 255)
# Drawings are rendered larger and shrunk, so that edges are smooth at any size.
_OVERSAMPLE: Final = 3
# How much of the range a colour or the opacity changes by, from one pixel to the next, on a line.
_LINE_STEP: Final = 0.08
# What lines are thickened to, in pixels of the larger rendering; odd.
_INK_WIDTH: Final = 5
_TUBE_WIDTH: Final = 7


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the drawing sits: its side in pixels, the shift of its middle, in pixels, and whether
    it is seen in a mirror."""

    side: int
    dx: int
    dy: int
    mirrored: bool = False


CENTRED: Final = Placement(side=104, dx=0, dy=0)


def fetch(folder: Path = CACHE) -> Path:
    """The path of the set's icons.json, fetched with npm when it is not in the cache yet."""
    target = folder / "flat" / "icons.json"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", PACKAGE],
        cwd=target.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    tarball = target.parent / packed.stdout.split()[-1]
    with tarfile.open(tarball) as archive:
        member = archive.extractfile("package/icons.json")
        if member is None:
            raise FileNotFoundError(f"{PACKAGE} has no package/icons.json")
        target.write_bytes(member.read())
    return target


@cache
def _icons() -> dict[str, str]:
    """Icon name -> SVG body (drawn in a 32x32 view box)."""
    data = json.loads(fetch().read_text(encoding="utf-8"))
    return {name: icon["body"] for name, icon in data["icons"].items()}


@cache
def _large(subject: str, side: int, mirrored: bool) -> Image.Image:
    """One drawing as RGBA, larger than `side` pixels by `_OVERSAMPLE`."""
    body = _icons()[next(s.icon for s in SUBJECTS if s.name == subject)]
    large = side * _OVERSAMPLE
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" '
        f'width="{large}" height="{large}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    return ImageOps.mirror(image) if mirrored else image


@cache
def _glyph(subject: str, side: int, mirrored: bool) -> Image.Image:
    """One drawing as RGBA, `side` pixels wide and high."""
    return _large(subject, side, mirrored).resize((side, side), Image.Resampling.LANCZOS)


@cache
def _outline(subject: str, at: Placement, width: int) -> Image.Image:
    """(128, 128) greys: the lines where the drawing's colours meet, `width` pixels of the larger
    rendering wide and some more."""
    large = Image.new("RGBA", (SIZE * _OVERSAMPLE, SIZE * _OVERSAMPLE))
    corner = (SIZE - at.side) // 2
    where = ((corner + at.dx) * _OVERSAMPLE, (corner + at.dy) * _OVERSAMPLE)
    large.paste(_large(subject, at.side, at.mirrored), where)
    values = np.asarray(large, dtype=np.float32) / 255
    values = np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=2)
    steps = [
        np.abs(values - np.roll(values, shift, axis=(0, 1))).max(axis=2)
        for shift in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]
    lines = Image.fromarray((np.maximum.reduce(steps) > _LINE_STEP).astype(np.uint8) * 255)
    thick = lines.filter(ImageFilter.MaxFilter(width))
    return thick.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _paste(ground: tuple[int, int, int], glyph: Image.Image, at: Placement) -> Image.Image:
    canvas = Image.new("RGB", (SIZE, SIZE), ground)
    corner = (SIZE - at.side) // 2
    canvas.paste(glyph, (corner + at.dx, corner + at.dy), glyph)
    return canvas


@cache
def _neon_colours() -> Pixels:
    """(128, 128, 3): the tube colour at each pixel."""
    share = np.linspace(0.0, 1.0, SIZE)[None, :, None]
    row = (1 - share) * np.array(NEON_LEFT) + share * np.array(NEON_RIGHT)
    return np.broadcast_to(row, (SIZE, SIZE, 3)).astype(np.uint8)


def _neon(subject: str, at: Placement) -> Image.Image:
    """The drawing's lines as glowing tubes on a near-black ground."""
    mask = _outline(subject, at, _TUBE_WIDTH)
    inside = mask.filter(ImageFilter.GaussianBlur(2.0))
    glow = (
        np.asarray(mask.filter(ImageFilter.GaussianBlur(5.0)), dtype=np.float32)[..., None] / 255
    )
    tube = np.asarray(mask, dtype=np.float32)[..., None] / 255
    # A tube is brightest in its middle: the blurred mask is a cheap distance to the edge.
    core = tube * np.clip(np.asarray(inside, dtype=np.float32)[..., None] / 255 - 0.55, 0, 1)
    colour = _neon_colours().astype(np.float32)
    light = np.array(NAVY, dtype=np.float32) + 0.5 * glow * colour
    light = light * (1 - tube) + tube * colour
    light = light + core * 0.4 * (255 - light)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def render(pair: Pair, style: Style, at: Placement) -> Image.Image:
    """The 128x128 picture of a pair in a style; ink and neon have grounds of their own."""
    if style == BASE:
        ground = BACKGROUNDS[pair.background]
        return _paste(ground, _glyph(pair.subject, at.side, at.mirrored), at)
    if style == PEN_INK:
        canvas = Image.new("RGB", (SIZE, SIZE), PAPER)
        canvas.paste(INK, (0, 0), _outline(pair.subject, at, _INK_WIDTH))
        return canvas
    if style == NIGHT_NEON:
        return _neon(pair.subject, at)
    raise ValueError(f"no drawing for the style {style.name!r}")


def grade(image: Image.Image, night: float) -> Image.Image:
    """The picture by night at 1, by day at -1, and in between; as it is at 0."""
    pixels = np.asarray(image, dtype=np.float32)
    if night < 0:
        wanted = pixels + DAY_SHARE * (np.array(DAYLIGHT, dtype=np.float32) - pixels)
    else:
        wanted = pixels * np.array(NIGHT_TINT, dtype=np.float32) + NIGHT_GLOW
    mixed = pixels + abs(night) * (wanted - pixels)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def contact_sheet(images: list[Image.Image], columns: int) -> Image.Image:
    """The images row by row on one white sheet with a gap of four pixels."""
    rows = -(-len(images) // columns)
    cell = SIZE + 4
    sheet = Image.new("RGB", (columns * cell + 4, rows * cell + 4), "white")
    for index, image in enumerate(images):
        sheet.paste(image, (4 + index % columns * cell, 4 + index // columns * cell))
    return sheet
