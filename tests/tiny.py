"""A tiny, real StableDiffusionPipeline with random weights, and LoRA files for it.

Everything is built by diffusers, transformers and peft themselves, saved in their own
layouts and seeded, so that tests exercise the libraries and not a picture of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = ("rocket", "blue", "background", "cat", "ink", "a", "on", "the")
UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1")
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
Tensors = dict[str, Tensor]


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in byte order (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]


def build_tokenizer() -> CLIPTokenizer:
    """Whole words for WORDS, bytes for anything else."""
    letters = byte_alphabet()
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        tail = f"{word[-1]}</w>"
        for letter in reversed(word[:-1]):
            merges.append((letter, tail))
            tail = letter + tail
    merges = list(dict.fromkeys(merges))
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def build_pipeline(seed: int = 0, width: int = 32) -> StableDiffusionPipeline:
    """SD1.5's structure; ``width`` is the UNet's first and the text encoder's width."""
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            projection_dim=width,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(width, width),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_base(folder: Path, seed: int = 0, width: int = 32) -> Path:
    """Save a tiny base in diffusers layout; returns its folder."""
    build_pipeline(seed, width).save_pretrained(folder, safe_serialization=True)
    return folder


def _component_layers(
    model: torch.nn.Module, targets: tuple[str, ...], rank: int, alpha: float, spread: float
) -> tuple[Tensors, dict[str, object]]:
    """Random LoRA weights for ``model`` in peft's naming, and peft's own metadata."""
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))
    model.add_adapter(config, "made")
    state = {
        key: torch.randn_like(value) * spread
        for key, value in get_peft_model_state_dict(model, adapter_name="made").items()
    }
    fields = config.to_dict()
    fields = {
        key: list(value) if isinstance(value, set) else value for key, value in fields.items()
    }
    return state, fields


def make_lora(
    base: Path,
    path: Path,
    *,
    rank: int = 4,
    alpha: float | None = None,
    text_encoder: bool = False,
    seed: int = 1,
    spread: float = 0.25,
) -> Path:
    """A LoRA in the diffusers format; with ``alpha`` its header says so, as diffusers does."""
    torch.manual_seed(seed)
    pipe = StableDiffusionPipeline.from_pretrained(base, local_files_only=True)
    layers, metadata = {}, {}
    models = {"unet": (pipe.unet, UNET_TARGETS)}
    if text_encoder:
        models["text_encoder"] = (pipe.text_encoder, TEXT_TARGETS)
    for component, (model, targets) in models.items():
        state, fields = _component_layers(model, targets, rank, alpha or rank, spread)
        layers[component], metadata[component] = state, fields
    StableDiffusionPipeline.save_lora_weights(
        path.parent,
        unet_lora_layers=layers["unet"],
        text_encoder_lora_layers=layers.get("text_encoder"),
        weight_name=path.name,
        unet_lora_adapter_metadata=metadata["unet"] if alpha is not None else None,
        text_encoder_lora_adapter_metadata=metadata.get("text_encoder")
        if alpha is not None
        else None,
    )
    return path


def to_kohya(source: Path, path: Path, alpha: float | Callable[[str], float | None] = 2.0) -> Path:
    """``source`` (diffusers format) rewritten as kohya's ``lora_unet_``/``lora_te_`` names.

    ``alpha`` is one number, or a function of the flattened module name; None writes none.
    """
    tensors: Tensors = {}
    for key, value in load_file(source).items():
        component, _, rest = key.partition(".")
        module, _, side = rest.rpartition(".lora_")
        if component == "text_encoder" and not module.startswith("text_model."):
            module = f"text_model.{module}"
        prefix = "lora_unet" if component == "unet" else "lora_te"
        name = f"{prefix}_{module.replace('.', '_')}"
        tensors[f"{name}.lora_{'down' if side.startswith('A') else 'up'}.weight"] = value
        number = alpha(name) if callable(alpha) else alpha
        if number is not None:
            tensors[f"{name}.alpha"] = torch.tensor(float(number))
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def rewrite(source: Path, path: Path, change: Callable[[Tensors], Mapping[str, Tensor]]) -> Path:
    """A copy of ``source`` whose tensors went through ``change``; the header's text is kept."""
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    save_file(dict(change(load_file(source))), path, metadata=metadata)
    return path


def with_metadata(source: Path, path: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A copy of ``source`` whose diffusers adapter metadata went through ``change``."""
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        fields = json.loads(file.metadata()["lora_adapter_metadata"])
    change(fields)
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(fields)}
    save_file(load_file(source), path, metadata=metadata)
    return path
