"""The schedulers a run may name: diffusers' classes that SD-style bases run with.

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

FLOW_SCHEDULER_NAMES = ("FlowMatchEulerDiscreteScheduler",)

STEP_LIMITS = {"LCMScheduler": 50}
"""Most steps of a scheduler that has a limit: LCM was distilled over 50."""
