"""Pictures as the studio writes them, without a run: one colour, with a sound record."""

import hashlib
from pathlib import Path

from PIL import Image

from studio.architecture import Mode
from studio.gallery import picture
from studio.plan import RunPlan
from studio.request import GenerationRequest, LoraChoice
from tests.cli.stand_in import StandIn, record


def write_picture(path: Path, seed: int = 7, mode: Mode = Mode.BASE) -> RunPlan:
    """A 128 x 128 picture at ``path``; the plan that its record holds."""
    loras = (LoraChoice(slug="ink"),) if mode.applies_loras else ()
    request = GenerationRequest(
        base="tiny", mode=mode, prompt="a rocket on blue", loras=loras, seed=seed
    )
    plan = StandIn().plan(request)
    assert isinstance(plan, RunPlan), plan
    image = Image.new("RGB", (128, 128), (seed % 256, 80, 160))
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.encode(image, record(plan, 0, pixels)))
    return plan
