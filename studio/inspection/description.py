"""What is told of one weight file: the verdict with the file's identity, as one object."""

from typing import Any

from studio.inspection.lora import LoraInspection


def describe(
    name: str,
    inspection: LoraInspection,
    *,
    size: int,
    sha256: str | None,
    autov3: str | None,
    sha256_from: str | None = "file",
) -> dict[str, Any]:
    """The object that ``studio inspect --json`` prints; the README lists its fields.

    Args:
        size: bytes of the whole file.
        sha256: of the whole file; None where nobody has read it or says it.
        autov3: None also where it would identify nothing.
        sha256_from: ``file`` where it was computed, ``publisher`` where it is only said.
    """
    return {
        "file": name,
        **inspection.model_dump(mode="json"),
        "size": size,
        "sha256": sha256,
        "sha256_from": sha256_from,
        "autov2": sha256[:10] if sha256 else None,
        "autov3": autov3,
    }
