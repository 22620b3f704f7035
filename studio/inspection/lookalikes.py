"""What a file that should be safetensors is instead, told from its first bytes."""

import re
from dataclasses import dataclass

LOOK = 64
"""Bytes worth reading; a file that has only zeros there has no content."""


@dataclass(frozen=True, slots=True)
class LookAlike:
    """What a file is instead, in words, and what to do about it."""

    name: str
    way_out: str


_PICKLE = "Look for a .safetensors version: a pickle can run code when it is read."
_FETCH = "Fetch the file again from where it was published."
_SIGN_IN = "Fetch the file again; the site may want you to sign in, or to accept its terms."
_ALONE = "The studio reads safetensors files alone; look for that version."
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK\x03\x04|PK\x05\x06", "a zip archive, such as torch.save writes (a pickle)", _PICKLE),
    (rb"\x80[\x02-\x05][\x8a\x95}\](c]", "a Python pickle", _PICKLE),
    (
        rb"version ",
        "a git-LFS pointer, not the file that it stands for",
        "Fetch the file itself, for example with git lfs pull.",
    ),
    (rb"(?i:\s*<!doctyp|\s*<html|\s*<head|\s*<\?xml)", "a web page, not a model", _SIGN_IN),
    (rb'\s*[{\[]\s*["{\[}\]]', "JSON text, perhaps a server's error message", _SIGN_IN),
    (rb"GGUF", "a GGUF model", _ALONE),
    (rb"\x93NUMPY", "a NumPy array", _ALONE),
    (rb"\x89HDF\r\n", "an HDF5 file", _ALONE),
    (rb"\x89PNG\r\n|\xff\xd8\xff|RIFF|GIF8", "a picture", _ALONE),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ", "a packed archive", "Unpack it first."),
)


def looks_like(first: bytes) -> LookAlike | None:
    """What a file is that starts with ``first`` (eight bytes or more), or None.

    Ask only when the file is no valid safetensors: a length field may happen to spell one of
    these signatures.
    """
    start = first.removeprefix(b"\xef\xbb\xbf")
    if not start:
        return LookAlike("empty", _FETCH)
    if not start[:LOOK].strip(b"\0"):
        return LookAlike("full of zeros, as an interrupted download leaves it", _FETCH)
    for pattern, name, way_out in _SIGNATURES:
        if re.match(pattern, start):
            return LookAlike(name, way_out)
    return None
