"""A workspace around one tiny base of any pipeline class, with its own presets and files."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from studio.architecture import TRAITS, Architecture, Mode
from studio.contract.events import Event, Failed, Finished
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.contract.request import (
    GenerationRequest,
    LoraChoice,
    Overrides,
    PromptEncoder,
    ReferenceImage,
)
from studio.settings import Settings
from studio.workspace.workspace import Workspace

BASE = "tiny"
PROMPT = "a rocket on the blue background"


@dataclass(frozen=True, slots=True)
class Made:
    """A picture as the gallery keeps it."""

    path: Path
    record: RunRecord
    pixels: bytes


def architecture_of(pipeline: str) -> Architecture:
    """The family that a diffusers class runs; of SD's two, the real one."""
    found = [
        key
        for key, traits in TRAITS.items()
        if pipeline in (each.name for each in traits.pipelines) and key is not Architecture.MINI
    ]
    return found[0]


@dataclass(frozen=True, slots=True)
class TinyStudio:
    """An open workspace whose base ``tiny`` is a tiny pipeline."""

    workspace: Workspace
    pipeline: str
    base: Path

    @classmethod
    def open(
        cls,
        folder: Path,
        pipeline: str,
        base: Path,
        loras: Mapping[str, tuple[Path, str]] | None = None,
        **settings: Any,
    ) -> TinyStudio:
        """In the empty ``folder``.

        Args:
            base: of the tiny pipeline; it is copied.
            loras: slug → (file, trigger words or "").
            settings: of the model preset, beside two steps at 32 by 32 in float32.
        """
        models, presets = folder / "models", folder / "presets"
        shutil.copytree(base, models / "base")
        presets.mkdir()
        architecture = architecture_of(pipeline).value
        usual = {"steps": 2, "default_width": 32, "default_height": 32, "dtype": "float32"}
        entries = []
        for slug, (file, words) in (loras or {}).items():
            shutil.copy(file, models / f"{slug}.safetensors")
            entries.append(
                {
                    "slug": slug,
                    "label": slug.title(),
                    "base_architecture": architecture,
                    "path": f"{slug}.safetensors",
                    "prompt": words,
                    "trigger": "required" if words else "none",
                }
            )
        model = {
            "slug": BASE,
            "label": "Tiny",
            "path": "base",
            "pipeline": pipeline,
            "base_architecture": architecture,
            "settings": usual | settings,
        }
        presets.joinpath("tiny.json").write_text(json.dumps({"models": [model], "loras": entries}))
        workspace = Workspace.open(
            Settings(
                models, folder / "outputs", folder / "state", preset_dirs=(presets,), device="cpu"
            )
        )
        assert not workspace.problems, workspace.problems
        return cls(workspace, pipeline, models / "base")

    def request(
        self, *loras: tuple[str, float | None], mode: Mode = Mode.BASE, **changes: Any
    ) -> GenerationRequest:
        """Seed 7, encoded natively; ``changes`` to the request or to its ``Overrides``."""
        settings = {name: changes.pop(name) for name in Overrides.model_fields & changes.keys()}
        values: dict[str, Any] = {
            "base": BASE,
            "mode": mode,
            "prompt": PROMPT,
            "prompt_encoder": PromptEncoder.NATIVE,
            "seed": 7,
            "loras": tuple(LoraChoice(slug=slug, strength=value) for slug, value in loras),
            "settings": Overrides(**settings),
        }
        return GenerationRequest(**(values | changes))

    def reference(self, image: Image.Image) -> ReferenceImage:
        """Hand in a picture to edit."""
        path = self.base.parent / "reference.png"
        image.save(path)
        return self.workspace.add_reference(path)

    def plan(self, request: GenerationRequest) -> RunPlan:
        plan = self.workspace.plan(request)
        assert isinstance(plan, RunPlan), [item.describe() for item in plan]
        return plan

    def events(self, plan: RunPlan) -> list[Event]:
        """In a session of its own, whose LoRAs go with it."""
        session = self.workspace.open_session()
        try:
            return list(self.workspace.run(plan, session, threading.Event()))
        finally:
            self.workspace.close_session(session)

    def make(self, *loras: tuple[str, float], mode: Mode = Mode.BASE, **changes: Any) -> Made:
        """Plan, generate, save and verify one picture."""
        events = self.events(self.plan(self.request(*loras, mode=mode, **changes)))
        last = events[-1]
        assert not isinstance(last, Failed), last
        assert isinstance(last, Finished)
        assert self.workspace.verify(last.path).ok
        with Image.open(last.path) as image:
            return Made(last.path, last.record, image.convert("RGB").tobytes())
