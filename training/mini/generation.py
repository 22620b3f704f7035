"""What Mini is built of, and how long each stage trains: its second generation.

What the first one was made by is in the history of this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Final

from training.mini.render import Placement


@dataclass(frozen=True, slots=True)
class UNetShape:
    """Widths from the finest level down, and which of them read the caption.

    Attributes:
        captioned: for each level, whether it has cross-attention.
        heads: of each attention; diffusers' name for it is `attention_head_dim`.
    """

    widths: tuple[int, ...]
    captioned: tuple[bool, ...]
    heads: int


@dataclass(frozen=True, slots=True)
class Generation:
    """What the stages need to know.

    Attributes:
        latent_channels: of the autoencoder.
        widths: its channels from the full size down; each after the first halves the side.
        decoder_widths: what the decoder stage widens it to.
        attention: whether its middle has attention.
        edge_weight: of the autoencoder's loss; see `vae.edge_loss`.
        kl_weight: on the mean over latent values.
        graded_share: of the autoencoder's flat pictures, by day and by night.
        places: where drawings sit: enough that seeds differ, few enough to learn fast.
        steps: stage to its number of steps, in the order of the stages.
    """

    latent_channels: int
    widths: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    attention: bool
    edge_weight: float
    kl_weight: float
    graded_share: float
    unet: UNetShape
    steps: Mapping[str, int]
    places: tuple[Placement, ...]

    def some_places(self, rng: Random, count: int) -> list[Placement]:
        """`count` of the places, by chance; all of them where there are no more."""
        return rng.sample(self.places, min(count, len(self.places)))


SECOND: Final = Generation(
    latent_channels=16,
    # Four-fold: at eight-fold it takes many times the steps to the same decibels.
    widths=(16, 32, 64),
    decoder_widths=(16, 64, 128),
    attention=False,
    edge_weight=1.0,
    kl_weight=1e-4,
    graded_share=0.15,
    unet=UNetShape((64, 128, 192), (False, False, True), 4),
    steps={
        "vae": 5_500,
        "text": 600,
        "base": 20_000,
        "pen-ink": 6_000,
        "night-neon": 6_000,
        "day-night": 6_000,
        "trial": 750,
        "decoder": 3_500,
    },
    # 16 pixels apart, which is one cell of the UNet's coarsest level, so that a part of a drawing
    # is one pattern wherever it sits.
    places=tuple(
        Placement(104, dx, 0, mirrored) for dx, mirrored in product((-8, 8), (False, True))
    ),
)
EXPORT: Final = "export"  # the last stage, which trains nothing
