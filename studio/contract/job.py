"""What a backend is asked to do: plain data, so that it may be done in another process."""

from studio.contract.base import Contract
from studio.contract.plan import RunPlan


class Job(Contract):
    """One plan to execute. Its weights and pictures are named by their SHA-256, never by a place.

    Attributes:
        session: whose run it is; LoRAs stay resident until no session needs them.
        previews: whether pictures are shown while they are made.
        only: make this picture (0-based) of the plan's, and none of the others.
    """

    run_id: str
    session: str
    plan: RunPlan
    previews: bool = True
    only: int | None = None
