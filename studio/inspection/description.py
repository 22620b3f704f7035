"""What is told of one weight file: the verdict with the file's identity, as one object."""

from typing import Any

from studio.contract.base import is_empty_hash
from studio.inspection.claims import hash_conflicts
from studio.inspection.header import parse
from studio.inspection.lora import LoraInspection, inspect


def describe(
    name: str,
    inspection: LoraInspection,
    *,
    size: int,
    sha256: str | None,
    autov3: str | None,
    sha256_from: str | None = "file",
) -> dict[str, Any]:
    """The object that ``studio inspect --json`` prints; docs/inspect.md lists its fields.

    Args:
        size: bytes of the whole file.
        sha256: of the whole file; None where nobody has read it or says it.
        autov3: None also where it would identify nothing.
        sha256_from: ``file`` where it was computed, ``publisher`` or ``browser`` where
            it is only said.
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


def describe_header(
    name: str, data: bytes, size: int, sha256: str | None, data_sha256: str | None
) -> dict[str, Any]:
    """The same from a file's first bytes and what somebody else computed.

    Args:
        data: at least the header; alphas that lie in tensors stay unknown, as ``notes`` say.
        data_sha256: of all bytes after the header.

    Raises:
        HeaderError: it is no safetensors file.
    """
    header = parse(data, size)
    inspection = inspect(header).disputed(hash_conflicts(header.metadata, data_sha256))
    known = data_sha256 is not None and not is_empty_hash(data_sha256)
    described = describe(
        name,
        inspection,
        size=size,
        sha256=sha256,
        autov3=data_sha256[:12] if known and data_sha256 else None,
        sha256_from="browser" if sha256 else None,
    )
    return described | {"notes": list(unread_alphas(inspection, "your browser does not send"))}


def unread_alphas(inspection: LoraInspection, why: str) -> tuple[str, ...]:
    """That alphas are unknown because the tensors that hold them were not read.

    Args:
        why: the end of "its tensors, which …".
    """
    if any(module.alpha_in_file and module.alpha is None for module in inspection.modules):
        return (f"Its alphas are among its tensors, which {why}.",)
    return ()
