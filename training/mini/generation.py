"""The two generations of Mini: what each is built of, and how long each stage trains.

The first one is shipped. The second one is the recipe under way: `--generation 2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


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
        latent_channels: of the eight-fold autoencoder.
        widths: its channels from the full size down.
        decoder_widths: what the decoder stage widens it to.
        attention: whether its middle has attention.
        edge_weight: of the autoencoder's loss; see `vae.edge_loss`.
        kl_weight: on the mean over latent values.
        graded_share: of the autoencoder's flat pictures, by day and by night.
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


FIRST: Final = Generation(
    latent_channels=4,
    widths=(16, 32, 64, 64),
    # From the full size down: wide where a drawing is known by heart, not where it is drawn.
    decoder_widths=(16, 32, 128, 128),
    attention=True,
    edge_weight=0.0,
    kl_weight=3e-4,
    graded_share=0.0,
    unet=UNetShape((64, 128, 128), (True, True, False), 8),
    steps={
        "vae": 20_000,
        "base": 40_000,
        "pen-ink": 6_000,
        "night-neon": 6_000,
        "decoder": 30_000,
    },
)
SECOND: Final = Generation(
    latent_channels=16,
    widths=(8, 24, 48, 96),
    decoder_widths=(8, 24, 96, 96),
    attention=False,
    edge_weight=1.0,
    kl_weight=1e-4,
    graded_share=0.15,
    unet=UNetShape((128, 192), (False, True), 4),
    steps={
        "vae": 40_000,
        "base": 60_000,
        "pen-ink": 6_000,
        "night-neon": 6_000,
        "day-night": 6_000,
        "trial": 750,
        "decoder": 20_000,
    },
)
GENERATIONS: Final = {1: FIRST, 2: SECOND}
SHIPPED: Final = 1
EXPORT: Final = "export"  # the last stage, which trains nothing
