"""Run plans and LoRAs for the tiny flow-matching bases, as resolve and trainers make them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file

from studio.architecture import TRAITS, Architecture, Mode
from studio.contract.origin import FloatSetting, IntSetting, Origin, TextSetting
from studio.contract.plan import LoraUse, PlanSettings, RunPlan
from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt, Side, TokenLedger
from studio.contract.request import PromptEncoder, ReferenceImage
from studio.engine import LocalJob
from studio.engine.tiny import build_tiny, save_tiny
from studio.imaging.references import reference_sha256
from studio.library.folder import components_of
from studio.library.tokens import load_counter
from tests.support.plans import base_identity, file_sha256

PROMPT = "a rocket on the blue background"
# The attention's projections, as most trainers choose them, and one more kind of layer.
TARGETS = {
    "Qwen": ["to_q", "to_k", "to_v", "to_out.0", "img_mlp.net.2"],
    "ZImage": ["to_q", "to_k", "to_v", "to_out.0", "feed_forward.w1"],
    "Flux2": ["to_q", "to_k", "to_v", "to_out.0", "to_qkv_mlp_proj", "ff.linear_in"],
}


def save_flow_base(folder: Path, pipeline: str, variant: str | None = None) -> Path:
    """A tiny base of class ``pipeline`` in ``folder``."""
    torch.set_num_threads(1)
    return save_tiny(pipeline, folder / f"{pipeline}-{variant or 'usual'}", variant=variant)


def save_flow_lora(path: Path, pipeline: str, seed: int = 1, spread: float = 0.5) -> Path:
    """A LoRA of rank 4 for the tiny transformer, in diffusers' own format."""
    built = build_tiny(pipeline)
    targets = next(names for start, names in TARGETS.items() if pipeline.startswith(start))
    built.transformer.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets), "made")
    torch.manual_seed(seed)
    state = {
        key: torch.randn_like(value) * spread
        for key, value in get_peft_model_state_dict(built.transformer, adapter_name="made").items()
    }
    type(built).save_lora_weights(
        path.parent, transformer_lora_layers=state, weight_name=path.name
    )
    return path


def reference(width: int = 96, height: int = 64) -> Image.Image:
    """A picture with something on it, repeatable."""
    noise = torch.randint(
        0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    )
    return Image.fromarray(noise.numpy(), "RGB")


def flow_plan(
    folder: Path,
    *loras: tuple[Path, float],
    pictures: tuple[Image.Image, ...] = (),
    prompt: str = PROMPT,
    negative: str = "",
    **changed: Any,
) -> RunPlan:
    """``changed``: seed, count, steps, guidance, width, height, scheduler, dtype, length."""
    value = {
        "seed": 7, "count": 1, "steps": 2, "guidance": 1.0, "width": 48, "height": 32,
        "scheduler": "FlowMatchEulerDiscreteScheduler", "dtype": "float32", "length": 512,
    } | changed  # fmt: skip
    pipeline = folder.name.partition("-")[0]
    identity = base_identity(folder, folder.name.lower())
    architecture = next(
        key for key, traits in TRAITS.items() if pipeline in {p.name for p in traits.pipelines}
    )
    whole = lambda name: IntSetting(value=value[name], origin=Origin.USER)  # noqa: E731
    mode = Mode.REFERENCE_EDIT if pictures else Mode.LORA if loras else Mode.BASE
    return RunPlan(
        base=identity.model_copy(update={"architecture": architecture, "pipeline": pipeline}),
        mode=mode,
        loras=tuple(sorted((_use(*lora, architecture) for lora in loras), key=lambda u: u.slug)),
        references=tuple(
            ReferenceImage(sha256=reference_sha256(each), width=each.width, height=each.height)
            for each in pictures
        ),
        triggers=(),
        prompt=_prompt(folder, prompt, negative),
        prompt_encoder=PromptEncoder.NATIVE,
        settings=PlanSettings(
            steps=whole("steps"),
            guidance_scale=FloatSetting(value=value["guidance"], origin=Origin.USER),
            clip_skip=None,
            width=whole("width"),
            height=whole("height"),
            scheduler=TextSetting(value=value["scheduler"], origin=Origin.USER),
            max_sequence_length=whole("length"),
            dtype=value["dtype"],
        ),
        seed=value["seed"],
        count=value["count"],
        libraries=(),
        notices=(),
    )


def flow_job(
    folder: Path,
    *loras: tuple[Path, float],
    pictures: tuple[Image.Image, ...] = (),
    **changed: Any,
) -> LocalJob:
    """A job with the reference pictures written beside the base."""
    plan = flow_plan(folder, *loras, pictures=pictures, **changed)
    paths = {}
    for named, picture in zip(plan.references, pictures, strict=True):
        paths[named.sha256] = folder.parent / f"{named.sha256}.png"
        picture.save(paths[named.sha256])
    return LocalJob("r", "s", plan, folder, {path.stem: path for path, _ in loras}, paths)


def _use(path: Path, strength: float, architecture: Architecture) -> LoraUse:
    modules = Counter(
        name.partition(".")[0] for name in load_file(path) if name.endswith(".lora_A.weight")
    )
    return LoraUse(
        slug=path.stem,
        label=path.stem,
        architecture=architecture,
        source="local",
        sha256=file_sha256(path),
        size=path.stat().st_size,
        strength=FloatSetting(value=strength, origin=Origin.USER),
        modules=dict(modules),
    )


def _prompt(folder: Path, text: str, negative: str) -> ResolvedPrompt:
    count = load_counter(folder / "tokenizer", components_of(folder)["tokenizer"])
    ledger = tuple(
        TokenLedger(encoder="text_encoder", side=side, used=len(count(words)), limit=500, cut=0)
        for side, words in ((Side.PROMPT, text), (Side.NEGATIVE, negative))
    )
    return ResolvedPrompt(
        typed=text,
        negative_typed=negative,
        parts=(PromptPart(text=text, kind=PartKind.TYPED),),
        negative_parts=(PromptPart(text=negative, kind=PartKind.TYPED),) if negative else (),
        ledger=ledger,
    )
