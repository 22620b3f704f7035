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


SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "LCMScheduler": "LCM",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
"""diffusers' class → A1111's and CivitAI's name. Names with a noise schedule behind them, such as
"DPM++ 2M Karras", are none of these: the same class samples otherwise with it."""

_OTHERS = {
    "euler_ancestral": "Euler a",
    "euler_a": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "uni_pc": "UniPC",
}
"""Names of ComfyUI and InvokeAI, where they are not A1111's in small letters."""


def scheduler_named(name: str, flow_matching: bool) -> str | None:
    """The class that ``name`` means for such a model: its own name, with or without
    ``Scheduler`` and in any case, or another tool's name for it; None where it is none."""
    wanted = " ".join(name.casefold().split())
    wanted = _OTHERS.get(wanted, wanted).casefold()
    for known in (*schedulers_for(flow_matching), *ALL_SCHEDULER_NAMES):
        short = known.removesuffix("Scheduler")
        if wanted in (known.casefold(), short.casefold(), SAMPLERS[known].casefold()):
            return known
    return None
