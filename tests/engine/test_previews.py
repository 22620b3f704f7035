"""What is shown of unfinished latents: where they are heading, in the base's own colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from studio.engine.base.folder import MAP, read_map
from studio.engine.run.decode import heading
from studio.errors import BaseRefused

SCHEDULERS = {
    "DDIMScheduler": {
        "prediction_type": "v_prediction",
        "clip_sample": False,
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    },
    "EulerDiscreteScheduler": {},
    "FlowMatchEulerDiscreteScheduler": {},
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_preview_sees_through_the_noise_from_the_second_step_on(name: str) -> None:
    """A denoiser that is always right leads straight to the picture it has in mind."""
    scheduler = getattr(diffusers, name)(**SCHEDULERS[name])
    scheduler.set_timesteps(8)
    source = torch.Generator().manual_seed(4)
    picture, noise = (torch.randn(1, 4, 8, 8, generator=source) for _ in range(2))
    flow = name.startswith("FlowMatch")
    start = scheduler.timesteps[:1]
    latents = (
        scheduler.scale_noise(picture, start, noise)
        if flow
        else scheduler.add_noise(picture, noise, start)
    )
    before: torch.Tensor | None = None
    for step, timestep in enumerate(scheduler.timesteps[:-1]):
        answer = noise - picture if flow else noise
        if name == "DDIMScheduler":
            answer = scheduler.get_velocity(picture, noise, timestep[None])
        after = scheduler.step(answer, timestep, latents, return_dict=False)[0]
        seen = heading(scheduler, timestep, before, after)
        if step == 0:
            assert seen is after
        else:
            assert (seen - picture).abs().max() < 0.01 * (after - picture).abs().max(), step
        before = latents = after


def test_other_solvers_are_shown_as_they_are() -> None:
    after = torch.ones(1, 4, 8, 8)
    scheduler = diffusers.DPMSolverMultistepScheduler()
    assert heading(scheduler, 500, torch.zeros(1, 4, 8, 8), after) is after


def test_a_base_may_bring_its_own_colours(tmp_path: Path) -> None:
    assert read_map(tmp_path) is None
    (tmp_path / MAP).write_text('{"latent_rgb": [[1, 0, 0], [0.25, 0.5, 0.75]]}')
    found = read_map(tmp_path)
    assert found is not None
    assert found.tolist() == [[1, 0, 0], [0.25, 0.5, 0.75]]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"latent_rgb": [[1, 2]]}', '{"latent_rgb": [[1, 2, NaN]]}']
)
def test_colours_that_cannot_be_read_are_refused(tmp_path: Path, text: Any) -> None:
    (tmp_path / MAP).write_text(text)
    with pytest.raises(BaseRefused, match=MAP):
        read_map(tmp_path)
