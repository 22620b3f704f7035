"""Valid plans, receipts, records and images, as the engine makes them; and strategies."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from studio.architecture import Architecture, Mode
from studio.contract.base import SCHEMA, FileIdentity, canonical_json
from studio.contract.origin import FloatSetting, IntSetting, Origin, TextSetting
from studio.contract.plan import BaseIdentity, Library, LoraUse, PlanSettings, RunPlan, TriggerUse
from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt, Side, TokenLedger
from studio.contract.receipt import (
    BaseProof,
    ComponentReceipt,
    EncodingReceipt,
    ImageReceipt,
    LoraReceipt,
    PartReceipt,
    Receipt,
    RunRecord,
    Timings,
)
from studio.contract.request import SEED_LIMIT, PromptEncoder
from studio.gallery import record_png
from studio.imaging import png
from studio.imaging.png import pixels_sha256

# Time limits per example say something about the machine's other work, nothing about ours.
hypothesis_settings.register_profile("studio", deadline=None)
hypothesis_settings.load_profile("studio")

START = datetime(2026, 11, 22, 15, 30, 12, tzinfo=UTC)
BASE_SHA256 = "ba5e" * 16
MODULES = {"unet": 32, "text_encoder": 6}


def noise(width: int = 32, height: int = 32, seed: int = 0) -> Image.Image:
    """An RGB image of seeded noise."""
    return Image.frombytes(
        "RGB", (width, height), random.Random(seed).randbytes(3 * width * height)
    )


def flat(
    width: int = 32, height: int = 32, color: tuple[int, int, int] = (9, 80, 200)
) -> Image.Image:
    """An RGB image of one colour."""
    return Image.new("RGB", (width, height), color)


def resolved(prompt: str, negative: str = "") -> ResolvedPrompt:
    """``prompt`` and ``negative`` as typed and as resolved, one token per word."""
    return ResolvedPrompt(
        typed=prompt,
        negative_typed=negative,
        parts=(PromptPart(text=prompt, kind=PartKind.TYPED),) if prompt else (),
        negative_parts=(PromptPart(text=negative, kind=PartKind.TYPED),) if negative else (),
        ledger=tuple(
            TokenLedger(
                encoder="text_encoder", side=side, used=len(text.split()), limit=None, cut=0
            )
            for side, text in ((Side.PROMPT, prompt), (Side.NEGATIVE, negative))
        ),
    )


def lora_use(slug: str, strength: float = 0.8, source: str = "embedded") -> LoraUse:
    return LoraUse(
        slug=slug,
        label=slug.replace("-", " ").title(),
        architecture=Architecture.MINI,
        source=source,
        sha256=lora_sha256(slug),
        size=123_456,
        strength=FloatSetting(value=strength, origin=Origin.LORA, slug=slug),
        modules=MODULES,
    )


def lora_sha256(slug: str) -> str:
    return random.Random(slug).randbytes(32).hex()


def base_identity(slug: str = "mini", source: str = "embedded") -> BaseIdentity:
    return BaseIdentity(
        slug=slug,
        label=slug.title(),
        architecture=Architecture.MINI,
        pipeline="StableDiffusionPipeline",
        source=source,
        revision=None,
        sha256=BASE_SHA256,
        files=(
            FileIdentity(name="unet/diffusion_pytorch_model.safetensors", sha256="1" * 64, size=8),
            FileIdentity(name="vae/diffusion_pytorch_model.safetensors", sha256="2" * 64, size=9),
        ),
    )


def plan_settings(
    width: int = 32,
    height: int = 32,
    steps: int = 20,
    guidance_scale: float = 7.0,
    clip_skip: int | None = 1,
    scheduler: str = "EulerAncestralDiscreteScheduler",
) -> PlanSettings:
    model = {"origin": Origin.MODEL, "slug": "mini"}
    return PlanSettings(
        steps=IntSetting(value=steps, **model),
        guidance_scale=FloatSetting(value=guidance_scale, **model),
        clip_skip=None if clip_skip is None else IntSetting(value=clip_skip, **model),
        width=IntSetting(value=width, **model),
        height=IntSetting(value=height, **model),
        scheduler=TextSetting(value=scheduler, **model),
        dtype="float32",
    )


def run_plan(
    prompt: str = "a rocket on a blue background, phrsink",
    negative: str = "blurry",
    loras: tuple[LoraUse, ...] = (lora_use("pen-ink-mini"),),
    mode: Mode | None = None,
    **changes: Any,
) -> RunPlan:
    """A plan that resolve could have made; ``changes`` replace its fields."""
    fields: dict[str, Any] = {
        "base": base_identity(),
        "mode": mode or (Mode.LORA_WITH_TRIGGER if loras else Mode.BASE),
        "loras": loras,
        "triggers": tuple(
            TriggerUse(slug=use.slug, label=use.label, words=("phrsink",), present=True)
            for use in loras
        ),
        "prompt": resolved(prompt, negative),
        "prompt_encoder": PromptEncoder.COMPEL,
        "settings": plan_settings(),
        "seed": 42,
        "count": 1,
        "libraries": (
            Library(name="diffusers", version="0.42.0"),
            Library(name="lora-studio", version="0.1.0"),
        ),
        "notices": (),
    }
    return RunPlan(**(fields | changes))


def run_receipt(
    plan: RunPlan, image: Image.Image, index: int = 0, at: datetime = START, **changes: Any
) -> Receipt:
    """What an engine that did exactly what ``plan`` says reports; ``changes`` replace fields."""
    settings = plan.settings
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "started_at": at.isoformat(),
        "finished_at": (at + timedelta(seconds=2)).isoformat(),
        "device": "cpu",
        "dtype": settings.dtype,
        "base_sha256": plan.base.sha256,
        "scheduler": settings.scheduler.value,
        "steps": settings.steps.value,
        "guidance_scale": settings.guidance_scale.value,
        "clip_skip": None if settings.clip_skip is None else settings.clip_skip.value,
        "loras": tuple(lora_receipt(use) for use in plan.loras),
        "effect": 0.25 if plan.loras else None,
        "base_proof": BaseProof(loaded="ab" * 32, now="ab" * 32),
        "encoding": tuple(
            EncodingReceipt(encoder=entry.encoder, side=entry.side.value, tokens=entry.used)
            for entry in plan.prompt.ledger
        ),
        "warnings": (),
        "timings": Timings(load=0, loras=0.1, encode=0.01, denoise=1.5, decode=0.1, total=1.71),
        "image": ImageReceipt(
            index=index,
            seed=plan.seed + index,
            width=image.width,
            height=image.height,
            noise_sha256=noise_sha256(plan.seed + index),
            pixels_sha256=pixels_sha256(image),
        ),
    }
    return Receipt(**(fields | changes))


def noise_sha256(seed: int) -> str:
    return random.Random(f"noise {seed}").randbytes(32).hex()


def lora_receipt(use: LoraUse) -> LoraReceipt:
    scale = use.strength.value * 0.5
    return LoraReceipt(
        slug=use.slug,
        sha256=use.sha256,
        strength=use.strength.value,
        resident=False,
        components=tuple(
            ComponentReceipt(
                component=name, targeted=count, applied=count, scale_min=scale, scale_max=scale
            )
            for name, count in use.modules.items()
        ),
        parts=tuple(
            PartReceipt(
                part=each.part,
                strength=each.strength.value,
                applied=each.modules,
                scale_min=each.strength.value,
                scale_max=each.strength.value,
            )
            for each in use.parts
        ),
    )


def run_record(image: Image.Image | None = None, at: datetime = START, **plan: Any) -> RunRecord:
    """A record of ``image`` (flat colour if None); ``plan`` as for ``run_plan``."""
    image = image or flat()
    plan.setdefault("settings", plan_settings(width=image.width, height=image.height))
    made = run_plan(**plan)
    return RunRecord.of(made, run_receipt(made, image, at=at))


TRAPS = (
    *("\n", "\n\n", "\r\n", "\t", "\0", "\x0b", "\u2028", "\\", "\\n", '"', "'", ",", ":", ", "),
    *("Steps: 20", "\nSteps: 9, Sampler: x, Seed: 1", "Negative prompt:", "negative prompt: x"),
    *(
        "\nNegative prompt: y\n",
        "<lora:x:1>",
        " <lora:pen-ink-mini:0.8>",
        "<LoRA : x:1>",
        "< lora:",
    ),
    *(
        'Prompt JSON: "z"',
        "Hashes: {}",
        "Civitai resources: [{}]",
        "Template: t",
        "{",
        "}",
        "[",
        "]",
    ),
    *("(word:1.3)", "word++", "(a b)1.2", "<b>bold</b>", "日本", "🚀", " ", "\u3000", "e\u0301"),
)
"""Stretches of a prompt that readers take for something else."""

prompts = st.lists(
    st.one_of(
        st.sampled_from(TRAPS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    ),
    max_size=6,
).map("".join)
"""Prompts as people and adversaries type them, ending and beginning with anything."""

slugs = st.from_regex(r"[a-z0-9]{1,8}(?:[-_.][a-z0-9]{1,6}){0,2}", fullmatch=True)
strengths = st.floats(min_value=0, max_value=2, allow_nan=False)
seeds = st.integers(min_value=0, max_value=SEED_LIMIT - 1)


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Records with any prompts, LoRAs, settings and seed, of a 32 x 32 image."""
    chosen = draw(st.lists(slugs, max_size=4, unique=True))
    uses = tuple(lora_use(slug, draw(strengths)) for slug in sorted(chosen))
    settings = plan_settings(
        steps=draw(st.integers(1, 200)),
        guidance_scale=draw(st.floats(min_value=0, max_value=50)),
        clip_skip=draw(st.none() | st.integers(1, 12)),
    )
    return run_record(
        prompt=draw(prompts),
        negative=draw(prompts),
        loras=uses,
        seed=draw(seeds),
        settings=settings,
    )


def newer_picture(*, spoiled: bool = False) -> bytes:
    """A PNG file as a later release could write it; ``spoiled`` is edited since."""
    data = record_png.encode(flat(), run_record())
    texts = png.texts(png.chunks(data))
    record = json.loads(texts[record_png.RECORD_KEY])
    record["schema_version"] = SCHEMA + 1
    record["receipt"]["watts"] = 300
    text = canonical_json(record)
    sha256 = record_png.sha256_of_text(text)
    said = text.replace("300", "301") if spoiled else text
    return png.with_texts(
        data, {**texts, record_png.RECORD_KEY: said, record_png.HASH_KEY: sha256}
    )
