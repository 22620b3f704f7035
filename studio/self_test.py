"""Every kind of pipeline from plan to verified picture, on tiny bases in a temporary folder.

What it shows is that this installation (its libraries, its device) runs each class to the
letter: the picture of a base, the same with a LoRA, and the base again, equal to the bit.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from studio.architecture import TRAITS, Architecture, Mode, pipeline_traits
from studio.contract import Contract
from studio.errors import EngineError, StudioError
from studio.events import Failed, Finished
from studio.plan import RunPlan
from studio.receipt import RunRecord
from studio.request import GenerationRequest, LoraChoice, PromptEncoder, ReferenceImage
from studio.settings import Settings
from studio.workspace import Workspace

PROMPT = "a rocket on the blue background"
SIDE, STEPS, GUIDANCE = 32, 2, 3.0
_GUIDANCE = {"Flux2KleinPipeline": 1.0}
"""Its tiny base is the distilled one, which takes no guidance."""


class SelfTestRow(Contract):
    """What one pipeline class did.

    Attributes:
        modules: layers that carried the LoRA, all of its file's; 0 if it came not so far.
        problem: what went wrong; None if nothing did.
    """

    pipeline: str
    architecture: Architecture
    modules: int
    seconds: float
    problem: str | None

    @property
    def ok(self) -> bool:
        return self.problem is None


def self_test(settings: Settings) -> Iterator[SelfTestRow]:
    """Test each runnable pipeline class, one row each; nothing of the settings' folders is used.

    Raises:
        DeviceError: the configured device is not there.
    """
    with tempfile.TemporaryDirectory(prefix="studio-self-test-") as name:
        folder = Path(name)
        for pipeline, architecture in runnable_pipelines():
            yield _row(settings, folder / pipeline, pipeline, architecture)


def runnable_pipelines() -> Iterator[tuple[str, Architecture]]:
    """diffusers' classes that there are tiny bases of, by architecture; imports torch."""
    from studio.engine.tiny import TINY

    for architecture, traits in TRAITS.items():
        if traits.runnable and architecture is not Architecture.MINI:
            names = (each.name for each in traits.pipelines)
            yield from ((name, architecture) for name in names if name in TINY)


def _row(
    settings: Settings, folder: Path, pipeline: str, architecture: Architecture
) -> SelfTestRow:
    start = time.perf_counter()
    modules, problem = 0, None
    try:
        modules = _test(settings, folder, pipeline, architecture)
    except StudioError as error:
        problem = str(error)
    seconds = round(time.perf_counter() - start, 2)
    return SelfTestRow(
        pipeline=pipeline,
        architecture=architecture,
        modules=modules,
        seconds=seconds,
        problem=problem,
    )


def _test(settings: Settings, folder: Path, pipeline: str, architecture: Architecture) -> int:
    _build(folder, pipeline, architecture)
    own = replace(
        settings,
        model_base_path=folder,
        outputs=folder / "outputs",
        state=folder / "state",
        preset_dirs=(folder / "presets",),
    )
    with closing(Workspace.open(own)) as workspace:
        if workspace.problems:
            raise EngineError(workspace.problems[0].describe(), "Report it.")
        return _compare(workspace, pipeline)


def _build(folder: Path, pipeline: str, architecture: Architecture) -> None:
    """A base, a LoRA and their presets."""
    from studio.engine.tiny import build_tiny, save_tiny
    from studio.engine.tiny.lora import save_tiny_lora

    save_tiny(pipeline, folder / "base")
    save_tiny_lora(build_tiny(pipeline), folder / "lora.safetensors")
    common = {"base_architecture": architecture.value}
    model: dict[str, Any] = {
        "slug": "self-test-base", "label": "Tiny base", "path": "base", "pipeline": pipeline,
        "settings": {
            "steps": STEPS, "guidance_scale": _GUIDANCE.get(pipeline, GUIDANCE),
            "default_width": SIDE, "default_height": SIDE, "dtype": "float32",
        },
    }  # fmt: skip
    lora = {"slug": "self-test-lora", "label": "Tiny LoRA", "path": "lora.safetensors"}
    (folder / "presets").mkdir()
    presets = {"models": [model | common], "loras": [lora | common | {"trigger": "none"}]}
    (folder / "presets" / "tiny.json").write_text(json.dumps(presets), "utf-8")


def _compare(workspace: Workspace, pipeline: str) -> int:
    """Base, LoRA, base again; returns how many layers carried the LoRA."""
    modes = pipeline_traits(pipeline).modes
    edits = Mode.BASE not in modes
    references = (_reference(workspace),) if edits else ()
    plain = Mode.REFERENCE_EDIT if edits else Mode.BASE
    with_lora = Mode.REFERENCE_EDIT if edits else Mode.LORA
    before = _made(workspace, plain, (), references)
    changed = _made(workspace, with_lora, ("self-test-lora",), references)
    after = _made(workspace, plain, (), references)
    if before.receipt.image.pixels_sha256 != after.receipt.image.pixels_sha256:
        raise EngineError("The base's picture is another one after a LoRA.", "Report it.")
    if before.receipt.image.pixels_sha256 == changed.receipt.image.pixels_sha256:
        raise EngineError("The LoRA does not change the picture.", "Report it.")
    return sum(part.applied for lora in changed.receipt.loras for part in lora.components)


def _reference(workspace: Workspace) -> ReferenceImage:
    path = workspace.settings.model_base_path / "reference.png"
    Image.linear_gradient("L").convert("RGB").resize((2 * SIDE, 2 * SIDE)).save(path)
    return workspace.add_reference(path)


def _made(
    workspace: Workspace,
    mode: Mode,
    slugs: tuple[str, ...],
    references: tuple[ReferenceImage, ...],
) -> RunRecord:
    """Plan, generate, save, and verify what was saved."""
    plan = workspace.plan(
        GenerationRequest(
            base="self-test-base",
            mode=mode,
            prompt=PROMPT,
            prompt_encoder=PromptEncoder.NATIVE,
            loras=tuple(LoraChoice(slug=slug) for slug in slugs),
            references=references,
            seed=7,
        )
    )
    if not isinstance(plan, RunPlan):
        raise EngineError(" ".join(found.describe() for found in plan), "Report it.")
    *_, last = workspace.run(plan, workspace.open_session(), threading.Event())
    if isinstance(last, Failed):
        raise EngineError(last.message, last.way_out)
    assert isinstance(last, Finished)  # nobody cancels, so there is no third end
    verified = workspace.verify(last.path)
    if not verified.ok:
        raise EngineError("The saved picture does not verify.", "Report it.")
    return last.record
