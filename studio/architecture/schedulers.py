"""The schedulers a run may name: diffusers' classes that its base can be sampled with.

An allow-list, because a name from a preset or a command line must never choose arbitrary
code. Each is built from the base's own scheduler configuration.
"""

SCHEDULER_NAMES = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LCMScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
"""For models that learned to predict noise (Stable Diffusion, SDXL)."""

FLOW_SCHEDULER_NAMES = ("FlowMatchEulerDiscreteScheduler",)
"""For models that learned straight paths (FLUX, Qwen-Image, Z-Image).

Their pipelines hand over ``sigmas`` and ``mu``, which FlowMatchHeun does not take; FlowMatchLCM
adds noise that no seed of the run controls.
"""

ALL_SCHEDULER_NAMES = (*SCHEDULER_NAMES, *FLOW_SCHEDULER_NAMES)

STEP_LIMITS = {"LCMScheduler": 50}
"""Most steps of a scheduler that has a limit: LCM was distilled over 50."""


def schedulers_for(flow_matching: bool) -> tuple[str, ...]:
    """The schedulers that fit a model, by how it was trained."""
    return FLOW_SCHEDULER_NAMES if flow_matching else SCHEDULER_NAMES
