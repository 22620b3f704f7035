"""The text encoder's first lessons: which subject and which ground a caption names.

A denoiser that begins beside a text encoder that knows nothing learns to draw anything before it
learns to listen. Stable Diffusion's begins with CLIP's, which has read before; so does this one.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import loop
from training.mini.base import draw_base_caption
from training.mini.subjects import BACKGROUNDS, SUBJECTS, training_pairs
from training.mini.tokenizer import token_ids

CHECKPOINT: Final = "text.pt"
BATCH: Final = 32
LEARNING_RATE: Final = 1e-3
_SUBJECTS: Final = {each.name: number for number, each in enumerate(SUBJECTS)}
_GROUNDS: Final = {name: number for number, name in enumerate(BACKGROUNDS)}


def train(
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    work: Path,
    steps: int,
    seed: int,
) -> None:
    """Train the text encoder until one linear layer reads both off the mean of its states.

    The mean, because that is what attention that looks nowhere in particular sees first.
    """
    heads = _heads(text_encoder).to(text_encoder.device)
    pairs = training_pairs()

    def step_loss(step: int) -> Tensor:
        rng = Random(f"text {seed} {step}")
        named = [(pair, draw_base_caption(pair, rng)) for pair in rng.choices(pairs, k=BATCH)]
        told = [(pair, caption) for pair, caption in named if caption]
        ids = token_ids(tokenizer, [caption for _, caption in told]).to(text_encoder.device)
        with loop.autocast(text_encoder.device):
            mean = text_encoder(ids)[0].mean(dim=1)
        wanted = (
            [_SUBJECTS[pair.subject] for pair, _ in told],
            [_GROUNDS[pair.background] for pair, _ in told],
        )
        losses = [
            nn.functional.cross_entropy(head(mean.float()), torch.tensor(places).to(mean.device))
            for head, places in zip(heads, wanted, strict=True)
        ]
        return torch.stack(losses).sum()

    modules: dict[str, nn.Module] = {"text_encoder": text_encoder, "heads": heads}
    loop.run(loop.Stage("text", modules, LEARNING_RATE, steps, work / CHECKPOINT), step_loss)


def adopt(checkpoint: Path, text_encoder: CLIPTextModel) -> None:
    """Give the text encoder what it learnt here."""
    modules = {"text_encoder": text_encoder, "heads": _heads(text_encoder)}
    loop.adopt_average(checkpoint, modules)


def _heads(text_encoder: CLIPTextModel) -> nn.ModuleList:
    """One linear layer for the subject, one for the ground."""
    width = text_encoder.config.hidden_size
    return nn.ModuleList(nn.Linear(width, len(kinds)) for kinds in (_SUBJECTS, _GROUNDS))
