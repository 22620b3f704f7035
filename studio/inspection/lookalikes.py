"""What a file that should be safetensors is instead, told from its first bytes."""

import re

LOOK = 64
"""Bytes worth reading; a file that has only zeros there has no content."""

_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE if text else re.NOFLAG), name)
    for pattern, text, name in (
        (rb"PK\x03\x04|PK\x05\x06", False, "a zip archive, such as torch.save writes (a pickle)"),
        (rb"\x80[\x02-\x05][\x8a\x95}\](c]", False, "a Python pickle"),
        (rb"version ", False, "a git-LFS pointer, not the file that it stands for"),
        (rb"\s*<!doctyp|\s*<html|\s*<head|\s*<\?xml", True, "a web page, not a model"),
        (rb'\s*[{\[]\s*["{\[}\]]', False, "JSON text, perhaps a server's error message"),
        (rb"GGUF", False, "a GGUF model"),
        (rb"\x93NUMPY", False, "a NumPy array"),
        (rb"\x89HDF\r\n", False, "an HDF5 file"),
        (rb"\x89PNG\r\n|\xff\xd8\xff|RIFF|GIF8", False, "a picture"),
        (rb"\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ", False, "a packed archive"),
    )
)


def looks_like(first: bytes) -> str | None:
    """What a file is that starts with ``first`` (eight bytes or more), or None.

    Ask only when the file is no valid safetensors: a length field may happen to spell one of
    these signatures.
    """
    start = first.removeprefix(b"\xef\xbb\xbf")
    if not start:
        return "empty"
    if not start[:LOOK].strip(b"\0"):
        return "full of zeros, as an interrupted download leaves it"
    return next((name for pattern, name in _SIGNATURES if pattern.match(start)), None)
