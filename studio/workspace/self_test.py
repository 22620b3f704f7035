"""Every kind of pipeline from plan to verified picture, on tiny bases in a temporary folder.

What it shows is that this installation (its libraries, its device) runs each class to the
letter: the picture of a base, the same with a LoRA, with two of them, with one at strength 0
and with none again, the last two equal to the first to the bit. The LoRAs are in one file
format; that every other one is applied is for the tests to show.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from studio.architecture import TRAITS, Architecture, Mode, pipeline_traits
from studio.contract.base import Contract
from studio.contract.events import Failed, Finished
from studio.contract.plan import RunPlan
from studio.contract.receipt import RunRecord
from studio.contract.request import GenerationRequest, LoraChoice, PromptEncoder, ReferenceImage
from studio.errors import EngineError, StudioError
from studio.settings import Settings
from studio.workspace.workspace import Workspace

PROMPT = "a rocket on the blue background"
SIDE, STEPS, GUIDANCE = 32, 2, 3.0
LORAS = ("self-test-one", "self-test-two")
_GUIDANCE = {"Flux2KleinPipeline": 1.0}
"""Its tiny base is the distilled one, which takes no guidance."""


class SelfTestRow(Contract):
    """What one pipeline class did.

    Attributes:
        modules: layers that carried one LoRA, all of its file's; 0 if it came not so far.
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
    """A base, two LoRAs and their presets."""
    from studio.engine.tiny import build_tiny, save_tiny, save_tiny_lora

    save_tiny(pipeline, folder / "base")
    common = {"base_architecture": architecture.value}
    model: dict[str, Any] = {
        "slug": "self-test-base", "label": "Tiny base", "path": "base", "pipeline": pipeline,
        "settings": {
            "steps": STEPS, "guidance_scale": _GUIDANCE.get(pipeline, GUIDANCE),
            "default_width": SIDE, "default_height": SIDE, "dtype": "float32",
        },
    }  # fmt: skip
    loras = []
    for seed, slug in enumerate(LORAS, start=1):
        save_tiny_lora(build_tiny(pipeline), folder / f"{slug}.safetensors", seed)
        lora = {"slug": slug, "label": slug.capitalize(), "path": f"{slug}.safetensors"}
        loras.append(lora | common | {"trigger": "none"})
    (folder / "presets").mkdir()
    presets = {"models": [model | common], "loras": loras}
    (folder / "presets" / "tiny.json").write_text(json.dumps(presets), "utf-8")


def _compare(workspace: Workspace, pipeline: str) -> int:
    """One picture each of ``Pictures``, judged; returns how many layers carried the LoRA."""
    modes = pipeline_traits(pipeline).modes
    edits = Mode.BASE not in modes
    references = (_reference(workspace),) if edits else ()

    def made(*loras: tuple[str, float]) -> RunRecord:
        mode = Mode.REFERENCE_EDIT if edits else Mode.LORA if loras else Mode.BASE
        return _made(workspace, mode, loras, references)

    one, two = LORAS
    pictures = Pictures(
        before=made(),
        one=made((one, 1.0)),
        both=made((one, 1.0), (two, 1.0)),
        zero=made((one, 0.0)),
        after=made(),
    )
    problem = wrong(pictures)
    if problem:
        raise EngineError(problem, "Report it.")
    return sum(part.applied for lora in pictures.one.receipt.loras for part in lora.components)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is made of each class, in this order: the base, with one LoRA, with two, with one at
    strength 0, and the base again."""

    before: RunRecord
    one: RunRecord
    both: RunRecord
    zero: RunRecord
    after: RunRecord


def wrong(pictures: Pictures) -> str:
    """What the pictures show that should not be, in a sentence; empty if nothing."""
    base, one, both, zero, after = (
        record.receipt.image.pixels_sha256
        for record in (
            pictures.before,
            pictures.one,
            pictures.both,
            pictures.zero,
            pictures.after,
        )
    )
    if after != base:
        return "The base's picture is another one after a LoRA."
    if one == base:
        return "The LoRA does not change the picture."
    if both in (base, one):
        return "The second of two LoRAs does not change the picture."
    if zero != base:
        return "The LoRA at strength 0 does not give the base's picture."
    return ""


def _reference(workspace: Workspace) -> ReferenceImage:
    path = workspace.settings.model_base_path / "reference.png"
    Image.linear_gradient("L").convert("RGB").resize((2 * SIDE, 2 * SIDE)).save(path)
    return workspace.add_reference(path)


def _made(
    workspace: Workspace,
    mode: Mode,
    loras: tuple[tuple[str, float], ...],
    references: tuple[ReferenceImage, ...],
) -> RunRecord:
    """Plan, generate, save, and verify what was saved."""
    plan = workspace.plan(
        GenerationRequest(
            base="self-test-base",
            mode=mode,
            prompt=PROMPT,
            prompt_encoder=PromptEncoder.NATIVE,
            loras=tuple(LoraChoice(slug=slug, strength=strength) for slug, strength in loras),
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
