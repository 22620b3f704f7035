"""Run plans for the tiny base, as resolve would make them."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import CLIPTokenizer

from studio.architecture import Architecture, Mode
from studio.contract.base import FileIdentity, fingerprint
from studio.contract.origin import FloatSetting, IntSetting, Origin, TextSetting
from studio.contract.plan import BaseIdentity, LoraUse, PlanSettings, RunPlan
from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt, Side, TokenLedger
from studio.contract.request import PromptEncoder
from studio.engine import Engine, EngineEvent, Generated, LocalJob


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def base_identity(folder: Path, slug: str = "tiny") -> BaseIdentity:
    files = tuple(
        FileIdentity(
            name=str(file.relative_to(folder)), sha256=file_sha256(file), size=file.stat().st_size
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    )
    return BaseIdentity(
        slug=slug,
        label=slug.title(),
        architecture=Architecture.MINI,
        pipeline="StableDiffusionPipeline",
        source="local",
        revision=None,
        sha256=fingerprint([file.model_dump() for file in files]),
        files=files,
    )


def lora_use(path: Path, strength: float = 1.0) -> LoraUse:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
    modules: Counter[str] = Counter()
    for name in names:
        if name.endswith((".lora_A.weight", "down.weight")):
            text = name.startswith(("text_encoder", "lora_te"))
            modules["text_encoder" if text else "unet"] += 1
    return LoraUse(
        slug=path.stem,
        label=path.stem,
        architecture=Architecture.MINI,
        source="local",
        sha256=file_sha256(path),
        size=path.stat().st_size,
        strength=FloatSetting(value=strength, origin=Origin.USER),
        modules=dict(modules),
    )


def _prompt(folder: Path, text: str, negative: str) -> ResolvedPrompt:
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    ledger = tuple(
        TokenLedger(
            encoder="text_encoder",
            side=side,
            used=len(tokenizer(words).input_ids) - 2,
            limit=75,
            cut=0,
        )
        for side, words in ((Side.PROMPT, text), (Side.NEGATIVE, negative))
    )
    return ResolvedPrompt(
        typed=text,
        negative_typed=negative,
        parts=(PromptPart(text=text, kind=PartKind.TYPED),),
        negative_parts=(PromptPart(text=negative, kind=PartKind.TYPED),) if negative else (),
        ledger=ledger,
    )


def make_plan(
    folder: Path,
    *loras: tuple[Path, float],
    prompt: str = "a rocket on the blue background",
    negative: str = "",
    encoder: PromptEncoder = PromptEncoder.NATIVE,
    **changed: Any,
) -> RunPlan:
    """``changed``: seed, count, steps, guidance, clip_skip, width, height, scheduler, dtype."""
    value = {
        "seed": 7, "count": 1, "steps": 2, "guidance": 4.0, "clip_skip": 1, "width": 32,
        "height": 32, "scheduler": "DDIMScheduler", "dtype": "float32",
    } | changed  # fmt: skip
    origin = Origin.USER
    uses = sorted((lora_use(path, strength) for path, strength in loras), key=lambda u: u.slug)
    return RunPlan(
        base=base_identity(folder, folder.name),
        mode=Mode.LORA if loras else Mode.BASE,
        loras=tuple(uses),
        triggers=(),
        prompt=_prompt(folder, prompt, negative),
        prompt_encoder=encoder,
        settings=PlanSettings(
            steps=IntSetting(value=value["steps"], origin=origin),
            guidance_scale=FloatSetting(value=value["guidance"], origin=origin),
            clip_skip=IntSetting(value=value["clip_skip"], origin=origin),
            width=IntSetting(value=value["width"], origin=origin),
            height=IntSetting(value=value["height"], origin=origin),
            scheduler=TextSetting(value=value["scheduler"], origin=origin),
            dtype=value["dtype"],
        ),
        seed=value["seed"],
        count=value["count"],
        libraries=(),
        notices=(),
    )


def make_job(
    folder: Path, *loras: tuple[Path, float], session: str = "s", run_id: str = "r", **changed: Any
) -> LocalJob:
    plan = make_plan(folder, *loras, **changed)
    return LocalJob(run_id, session, plan, folder, {path.stem: path for path, _ in loras})


def events_of(
    engine: Engine, job: LocalJob, cancel: threading.Event | None = None
) -> list[EngineEvent]:
    """Run a job to its end; what it said."""
    events: list[EngineEvent] = []
    engine.run(job, cancel or threading.Event(), events.append)
    return events


def pictures(
    engine: Engine, job: LocalJob, cancel: threading.Event | None = None
) -> list[Generated]:
    """Run a job to its end; its pictures."""
    return [event for event in events_of(engine, job, cancel) if isinstance(event, Generated)]


def pixels_of(engine: Engine, job: LocalJob) -> bytes:
    """RGB bytes of a job's first picture."""
    return pictures(engine, job)[0].image.tobytes()


def pixels(engine: Engine, folder: Path, *loras: tuple[Path, float], **changed: Any) -> bytes:
    """RGB bytes of the first picture of a job for the tiny base."""
    return pixels_of(engine, make_job(folder, *loras, **changed))
