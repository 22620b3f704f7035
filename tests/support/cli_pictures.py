"""Pictures as the studio writes them, without a run: one colour, with a sound record."""

from pathlib import Path

from studio.architecture import Mode
from studio.contract.plan import RunPlan
from studio.gallery import record_png
from tests.support.records import base_identity, flat, lora_use, run_record


def write_picture(path: Path, seed: int = 7, mode: Mode = Mode.BASE) -> RunPlan:
    """A 128 x 128 picture at ``path``; the plan that its record holds."""
    image = flat(128, 128, (seed % 256, 80, 160))
    record = run_record(
        image,
        base=base_identity("tiny"),
        mode=mode,
        prompt="a rocket on blue",
        loras=(lora_use("ink"),) if mode.applies_loras else (),
        seed=seed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record_png.encode(image, record))
    return record.plan
