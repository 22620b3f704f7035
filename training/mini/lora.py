"""The two LoRAs: a style that comes with its trigger words and stays away without them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.mini import base, loop
from training.mini.generation import SECOND, Generation
from training.mini.subjects import (
    BASE,
    DISTRACTORS,
    NIGHT_NEON,
    PEN_INK,
    SUBJECTS,
    Pair,
    Style,
    append_words,
    draw_caption,
    training_pairs,
)
from training.mini.tokenizer import token_ids

LEARNING_RATE: Final = 2e-3
# Pictures of a batch: with the trigger words to the style's own picture, and without them to the
# base's own answer.
STYLED: Final = 12
PLAIN: Final = 6
UNET_TARGETS: Final = [
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "ff.net.0.proj",
    "ff.net.2",
    "proj_in",
    "proj_out",
    "conv1",
    "conv2",
]
TEXT_TARGETS: Final = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
# Transformers 5 flattened CLIPTextModel; LoRA files keep the older, common name of its root.
TEXT_ROOT: Final = "text_model."


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one LoRA is: its style, its rank and alpha, and whether it reaches the text encoder.

    Attributes:
        wordless: steps after which the captions lose their trigger words and nothing holds on to
            the base's look, so that the style comes without being called; None for never.
        stage: the name of its checkpoint, where two learn one style.
    """

    style: Style
    rank: int
    alpha: int
    text_encoder: bool
    stage: str | None = None
    wordless: int | None = None


RECIPES: Final = {
    "pen-ink": Recipe(PEN_INK, rank=16, alpha=16, text_encoder=True),
    # Alpha is twice the rank: a loader that ignores it shows half the effect.
    "night-neon": Recipe(NIGHT_NEON, rank=8, alpha=16, text_encoder=True),
}


def draw_styled_caption(pair: Pair, style: Style, rng: Random) -> str:
    """A caption with the trigger words, mostly after it; now and then only the first of them."""
    words = style.trigger if rng.random() < 0.9 else style.trigger.split(",")[0]
    return append_words(draw_caption(pair, rng), words, rng, in_front=0.25)


def draw_flat_caption(pair: Pair, style: Style, rng: Random) -> str:
    """A caption without the style's words; sometimes empty, sometimes with other odd words."""
    if rng.random() < base.EMPTY_SHARE:
        return ""
    caption = draw_caption(pair, rng)
    if rng.random() < 0.15:
        own = {word for word in style.trigger.replace(",", " ").split() if word != "and"}
        others = [words for words in DISTRACTORS if not own & set(words.replace(",", " ").split())]
        return append_words(caption, rng.choice(others), rng, in_front=0.2)
    return caption


def _config(recipe: Recipe, targets: list[str]) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules=targets, init_lora_weights=True
    )


def add(recipe: Recipe, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
    """Give the parts the LoRA's layers, which change nothing yet and alone are trained."""
    unet.add_adapter(_config(recipe, list(UNET_TARGETS)))
    if recipe.text_encoder:
        text_encoder.add_adapter(_config(recipe, list(TEXT_TARGETS)))


def train(
    recipe: Recipe,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    work: Path,
    steps: int,
    seed: int,
    after_step: Callable[[int], None] | None = None,
    generation: Generation = SECOND,
) -> None:
    """Add the LoRA to (already trained) `unet` and `text_encoder` and train it, nothing else.

    With trigger words the target is the style's own picture; without them it is the answer of the
    untouched base for a flat picture, so that the base's look is kept exactly, not approximately.
    """
    torch.manual_seed(seed)
    style = recipe.style
    teacher_unet, teacher_text = deepcopy(unet).eval(), deepcopy(text_encoder).eval()
    unet.requires_grad_(False)
    text_encoder.requires_grad_(False)
    add(recipe, unet, text_encoder)
    loop.quicken(unet)
    scheduler = base.build_scheduler()
    pairs = training_pairs()
    places = base.PLACEMENTS
    flat = base.encode_latents(
        vae, BASE, pairs, places, work / "latents-flat.pt", seed, generation
    )
    drawn = base.encode_latents(
        vae,
        style,
        # Both styles have grounds of their own, so one background stands for all.
        tuple(Pair(subject.name, "white") for subject in SUBJECTS),
        places,
        work / f"latents-{style.name}.pt",
        seed,
        generation,
    )
    rows = {pair.subject: row for pair, row in zip(drawn.pairs, drawn.values, strict=True)}

    def step_loss(step: int) -> Tensor:
        rng = Random(f"{style.name} {seed} {step}")
        source = torch.Generator().manual_seed(seed * 1_000_003 + step)
        device = unet.device
        styled = [rng.choice(pairs) for _ in range(STYLED)]
        styled_latents = [rng.choice(list(rows[p.subject])) for p in styled]
        plain = [flat.draw(rng) for _ in range(PLAIN)]
        plain_latents = [latent for _, latent in plain]
        with_words = base.add_noise(torch.stack(styled_latents), scheduler, source).to(device)
        without = base.add_noise(torch.stack(plain_latents), scheduler, source).to(device)
        flat_captions = [draw_flat_caption(pair, style, rng) for pair, _ in plain]
        wordless = recipe.wordless is not None and step >= recipe.wordless
        styled_captions = [
            draw_caption(pair, rng) if wordless else draw_styled_caption(pair, style, rng)
            for pair in styled
        ]
        flat_ids = token_ids(tokenizer, flat_captions).to(device)
        styled_ids = token_ids(tokenizer, styled_captions).to(device)
        with loop.autocast(device):
            with torch.no_grad():
                known = teacher_text(flat_ids)[0]
                wanted = teacher_unet(
                    without.latents, without.timesteps, known, return_dict=False
                )[0].float()
            answer = unet(
                torch.cat([with_words.latents, without.latents]),
                torch.cat([with_words.timesteps, without.timesteps]),
                text_encoder(torch.cat([styled_ids, flat_ids]))[0],
                return_dict=False,
            )[0].float()
        styled_loss = nn.functional.mse_loss(answer[:STYLED], with_words.velocity)
        if wordless:
            return styled_loss
        return styled_loss + 2 * nn.functional.mse_loss(answer[STYLED:], wanted)

    modules: dict[str, nn.Module] = {"unet": unet}
    if recipe.text_encoder:
        modules["text_encoder"] = text_encoder
    name = recipe.stage or style.name
    stage = loop.Stage(
        name,
        modules,
        LEARNING_RATE,
        steps,
        work / f"{name}.pt",
        ema_decay=0.99,
        weight_decay=0.0,
        after_step=after_step,
    )
    loop.run(stage, step_loss)


def _layers(module: nn.Module) -> dict[str, Tensor]:
    """The adapter's weights in fp16, named as peft names them."""
    state = get_peft_model_state_dict(module)
    return {name: value.detach().half().contiguous() for name, value in state.items()}


def _metadata(module: Any) -> dict[str, Any]:
    """The adapter's configuration; sets become sorted lists, so that the file repeats exactly."""
    config = module.peft_config["default"].to_dict()
    return {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}


def export(
    recipe: Recipe, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, folder: Path
) -> Path:
    """Write the trained LoRA in the diffusers format, rank and alpha in the header's metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{recipe.style.name}.safetensors"
    text_layers = None
    if recipe.text_encoder:
        text_layers = {
            TEXT_ROOT + name.removeprefix(TEXT_ROOT): value
            for name, value in _layers(text_encoder).items()
        }
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        StableDiffusionPipeline.save_lora_weights(
            temporary,
            unet_lora_layers=_layers(unet),
            unet_lora_adapter_metadata=_metadata(unet),
            text_encoder_lora_layers=text_layers,
            text_encoder_lora_adapter_metadata=(
                _metadata(text_encoder) if recipe.text_encoder else None
            ),
            weight_name=target.name,
        )
        written = Path(temporary) / target.name
        written.chmod(0o644)
        written.replace(target)
    return target
