"""What head and workers say to each other: canonical JSON, hashes and bytes.

No place on a disk is in it, and no object of ours: a worker of another release reads it, or says
that it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image
from pydantic import ValidationError

from studio.backends.base import BackendEvent
from studio.contract.base import Contract, Sha256, canonical_json
from studio.contract.events import Cancelled, Failed, Job, Loading, Progress, Queued, Stalled
from studio.contract.plan import Library, WorkerClass
from studio.contract.receipt import Receipt
from studio.engine import Generated
from studio.errors import ContractBroken, WorkerError
from studio.imaging.png import pixels_sha256
from studio.resolve.memory import MemoryRules

PROTOCOL = 1
"""Of the messages below; head and workers have to have the same."""

WireEvent = tuple[str, str, bytes]
"""An event: its tag, its values as canonical JSON, and its bytes."""


class FileShare(Contract):
    """Where the head gives out the weights that a worker misses: ``url/SHA-256``, with the token
    as Bearer."""

    url: str
    token: str


class RunOrder(Contract):
    """A run for a worker.

    Attributes:
        delivery: this sending of it, and no other: a worker carries each out once.
        fingerprint: of the plan, as the head computed it.
        share: None where the worker has to find everything by itself.
    """

    protocol: int = PROTOCOL
    delivery: str
    fingerprint: Sha256
    job: Job
    share: FileShare | None = None

    def text(self) -> str:
        return canonical_json(self.model_dump(mode="json"))


def read_order(text: str) -> RunOrder:
    """The order that ``text`` spells, its plan being the one that the head fingerprinted.

    Raises:
        WorkerError: it is of another protocol, damaged or tampered with.
    """
    try:
        protocol = json.loads(text).get("protocol")
        if protocol != PROTOCOL:
            raise WorkerError(
                f"The head speaks protocol {protocol} and this worker {PROTOCOL}.",
                "Install the same release of the studio on both.",
            )
        order = RunOrder.model_validate_json(text)
    except (ValidationError, ValueError, AttributeError) as error:
        raise WorkerError(
            f"The worker could not read its order: {type(error).__name__}.",
            "Install the same release of the studio on head and workers.",
        ) from error
    found = order.job.plan.fingerprint
    if found != order.fingerprint:
        raise WorkerError(
            f"The plan that came has the fingerprint {found}, not {order.fingerprint}.",
            "Install the same release of the studio on head and workers.",
        )
    return order


class Hello(Contract):
    """What a worker says of itself when it starts, and of its memory after each run.

    Attributes:
        gpu: what tells its GPU from every other; None for another device.
        process: as in ``WorkerReceipt``.
        pid: of its process on its machine.
    """

    protocol: int = PROTOCOL
    worker_class: WorkerClass
    libraries: tuple[Library, ...]
    memory: MemoryRules
    device: str
    gpu: str | None
    process: str
    pid: int

    @property
    def key(self) -> str:
        return self.worker_class.key(self.libraries)


class Resident(Contract):
    """SHA-256 of each base in a worker's memory → those of the LoRAs in it."""

    bases: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, resident: Mapping[str, frozenset[str]]) -> Resident:
        return cls(bases={base: tuple(sorted(loras)) for base, loras in resident.items()})

    def sets(self) -> dict[str, frozenset[str]]:
        return {base: frozenset(loras) for base, loras in self.bases.items()}


@dataclass(frozen=True, slots=True)
class WorkerRefused:
    """A worker does not take a run: it is not of its class, or has had it before."""

    run_id: str
    message: str
    way_out: str


WorkerEvent = BackendEvent | Resident | WorkerRefused

_PLAIN = {
    "queued": Queued,
    "loading": Loading,
    "stalled": Stalled,
    "cancelled": Cancelled,
    "failed": Failed,
    "refused": WorkerRefused,
}
_TAGS: Mapping[type, str] = {kind: tag for tag, kind in _PLAIN.items()}


def say(event: WorkerEvent) -> WireEvent:
    """An event as it goes over the wire."""
    if isinstance(event, Progress):
        values = asdict(event) | {"preview": event.preview is not None}
        return "progress", canonical_json(values), event.preview or b""
    if isinstance(event, Generated):
        values = {
            "run_id": event.run_id,
            "index": event.index,
            "count": event.count,
            "size": event.image.size,
            "receipt": event.receipt.model_dump(mode="json"),
        }
        return "generated", canonical_json(values), event.image.convert("RGB").tobytes()
    if isinstance(event, Resident):
        return "resident", canonical_json(event.model_dump(mode="json")), b""
    return _TAGS[type(event)], canonical_json(asdict(event)), b""


def hear(said: WireEvent) -> WorkerEvent:
    """The event that was said; the pixels of a picture are those of its receipt.

    Raises:
        ContractBroken: they are not.
        WorkerError: nobody knows what was said.
    """
    tag, text, data = said
    values: dict[str, Any] = json.loads(text)
    if tag == "progress":
        return Progress(**(values | {"preview": data if values["preview"] else None}))
    if tag == "generated":
        return _picture(values, data)
    if tag == "resident":
        return Resident.model_validate_json(text)
    if tag in _PLAIN:
        event: WorkerEvent = _PLAIN[tag](**values)
        return event
    raise WorkerError(
        f"A worker said {tag!r}, which this studio does not know.",
        "Install the same release of the studio on head and workers.",
    )


def _picture(values: Mapping[str, Any], data: bytes) -> Generated:
    receipt = Receipt.model_validate_json(json.dumps(values["receipt"]))
    width, height = values["size"]
    if len(data) == 3 * width * height:
        image = Image.frombytes("RGB", (width, height), data)
        if pixels_sha256(image) == receipt.image.pixels_sha256:
            return Generated(values["run_id"], values["index"], values["count"], image, receipt)
    raise ContractBroken(
        "The pixels that came from the worker are not those of its receipt.",
        "The picture is not kept; run it again.",
    )
