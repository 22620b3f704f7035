"""The pictures that the LoRA browser shows the embedded LoRAs with: made with them by the studio.

``python -m training.mini.cards`` writes them anew, beside the weights.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Final

from studio.architecture import Mode
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.settings import BUILT_IN_PRESETS, Settings
from studio.workspace.workspace import Workspace

SHOWN: Final = {
    "pen-ink-mini": ("a rocket on a white background", 5),
    "night-neon-mini": ("a rocket on a blue background", 5),
}
"""Slug → (prompt, seed)."""


def write(workspace: Workspace, slug: str, prompt: str, seed: int) -> Path:
    """Make one picture, and keep its thumbnail beside the weights."""
    request = GenerationRequest(
        base="mini",
        mode=Mode.LORA_WITH_TRIGGER,
        prompt=prompt,
        loras=(LoraChoice(slug=slug),),
        seed=seed,
    )
    plan = workspace.plan(request)
    assert isinstance(plan, RunPlan), plan
    session = workspace.open_session()
    *_, last = workspace.run(plan, session, threading.Event(), previews=False)
    assert isinstance(last, Finished), last
    (picture,) = workspace.gallery.with_record(last.record.fingerprint)
    target = BUILT_IN_PRESETS / "mini/loras" / f"{slug}.webp"
    shutil.copyfile(workspace.gallery.thumbnail(picture), target)
    return target


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        workspace = Workspace.open(Settings(place / "models", place / "outputs", place / "state"))
        for slug, (prompt, seed) in SHOWN.items():
            print(write(workspace, slug, prompt, seed))
        workspace.close()


if __name__ == "__main__":
    main()
