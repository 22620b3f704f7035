"""A workspace whose runs are scripted: what the command line makes of every kind of event."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from studio.architecture import Architecture
from studio.events import Event, Finished, Loading, Progress, Queued
from studio.inventory import BaseWeights, FileIdentity, Inventory
from studio.plan import Library, RunPlan
from studio.presets import Catalog, LoraPreset, LoraSettings, ModelPreset, ModelSettings
from studio.receipt import (
    BaseProof,
    ComponentReceipt,
    EncodingReceipt,
    ImageReceipt,
    LoraReceipt,
    Receipt,
    RunRecord,
    Timings,
)
from studio.request import GenerationRequest
from studio.resolve import Runtime, resolve
from studio.settings import Settings
from studio.violations import Violation
from tests.world import BASE_SHAPES, lora_weights

TINY = ModelPreset(
    slug="tiny",
    label="Tiny",
    path="tiny",
    pipeline="StableDiffusionPipeline",
    base_architecture=Architecture.MINI,
    settings=ModelSettings(
        steps=2,
        guidance_scale=3.0,
        default_width=128,
        default_height=128,
        max_pixels=65536,
        dtype="float32",
        supports_negative_prompt=True,
        scheduler="DDIMScheduler",
    ),
)
INK = LoraPreset(
    slug="ink",
    label="Ink",
    base_architecture=Architecture.MINI,
    path="ink.safetensors",
    prompt="phrsink, pen and ink illustration",
    settings=LoraSettings(strength=0.7),
    trigger="required",
)
CATALOG = Catalog((TINY,), (INK,))
HASH = "b" * 64
Script = Callable[[RunPlan, threading.Event], Iterator[Event]]


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


class StandIn:
    """Resolves for real; ``script`` says what its runs do. Remembers what it was given."""

    def __init__(self) -> None:
        self.catalog = CATALOG
        self.problems = ()
        self.script: Script = succeed
        self.settings: Settings | None = None
        self.requests: list[GenerationRequest] = []
        self.open_sessions: set[str] = set()
        self.closed = False

    def at(self, settings: Settings) -> Self:
        self.settings = settings
        return self

    def plan(self, request: GenerationRequest) -> RunPlan | tuple[Violation, ...]:
        self.requests.append(request)
        base = BaseWeights(
            path=Path("tiny"),
            files=(FileIdentity(name="unet/x", sha256="a" * 64, size=1),),
            shapes=BASE_SHAPES,
        )
        inventory = Inventory(
            bases={"tiny": base},
            loras={"ink": lora_weights(HASH)},
            expected_at={"tiny": Path("tiny"), "ink": Path("ink.safetensors")},
        )
        libraries = (Library(name="diffusers", version="0.42.1"),)
        return resolve(
            request, CATALOG, inventory, Runtime(libraries, {"tiny": {"text_encoder": words}})
        )

    def open_session(self) -> str:
        self.open_sessions.add("session")
        return "session"

    def close_session(self, session: str) -> None:
        self.open_sessions.remove(session)

    def run(self, plan: RunPlan, session: str, cancel: threading.Event) -> Iterator[Event]:
        assert session in self.open_sessions
        print("a library prints to standard output")
        return self.script(plan, cancel)

    def close(self) -> None:
        self.closed = True


def steps(plan: RunPlan, index: int) -> Iterator[Event]:
    """Everything of image ``index`` before it is saved."""
    total = plan.settings.steps.value
    yield Queued("run", 1)
    yield Loading("run", "Loading Tiny")
    for step in range(1, total + 1):
        yield Progress("run", index, plan.count, step, total, None)


def finished(plan: RunPlan, index: int) -> Finished:
    return Finished("run", index, plan.count, Path(f"/pictures/{index}.png"), record(plan, index))


def succeed(plan: RunPlan, _cancel: threading.Event) -> Iterator[Event]:
    for index in range(plan.count):
        yield from steps(plan, index)
        yield finished(plan, index)


def record(plan: RunPlan, index: int, pixels_sha256: str = "d" * 64) -> RunRecord:
    """The record of a run that did what ``plan`` says."""
    loras = tuple(
        LoraReceipt(
            slug=use.slug,
            sha256=use.sha256,
            strength=use.strength.value,
            resident=False,
            components=tuple(
                ComponentReceipt(
                    component=name, targeted=n, applied=n, scale_min=0.7, scale_max=0.7
                )
                for name, n in use.modules.items()
            ),
        )
        for use in plan.loras
    )
    receipt = Receipt(
        run_id="run",
        started_at="2026-01-31T10:00:00+00:00",
        finished_at="2026-01-31T10:00:01+00:00",
        device="cpu",
        dtype=plan.settings.dtype,
        base_sha256=plan.base.sha256,
        scheduler=plan.settings.scheduler.value,
        steps=plan.settings.steps.value,
        guidance_scale=plan.settings.guidance_scale.value,
        clip_skip=plan.settings.clip_skip.value if plan.settings.clip_skip else None,
        loras=loras,
        effect=0.12 if loras else None,
        base_proof=BaseProof(loaded="c" * 64, now="c" * 64),
        encoding=tuple(
            EncodingReceipt(encoder=entry.encoder, side=entry.side.value, tokens=entry.used)
            for entry in plan.prompt.ledger
        ),
        warnings=(),
        timings=Timings(load=0, loras=0, encode=0, denoise=1, decode=0, total=1),
        image=ImageReceipt(
            index=index, seed=plan.seed + index, width=128, height=128, pixels_sha256=pixels_sha256
        ),
    )
    return RunRecord.of(plan, receipt)
