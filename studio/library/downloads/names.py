"""Names that others chose, made safe for a disk. Pure."""

import re
import unicodedata

MAX_NAME = 180
"""Bytes; disks take 255, and a part's name and a version's number are added."""
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")


def safe_name(published: str, fallback: str) -> str:
    """A file name that ends in ``.safetensors``, from one that anybody may have chosen.

    Letters, digits, ``_ . -`` stay; everything else, folders too, becomes ``-``.
    """
    name = published.replace("\\", "/").rsplit("/", 1)[-1]
    stem = re.sub(r"(?i)\.safetensors$", "", name)
    plain = unicodedata.normalize("NFKC", stem)
    plain = _cut(re.sub(r"[^\w.-]+", "-", plain).strip(".-_ ")).strip(".-_ ")
    if not plain or _RESERVED.fullmatch(plain):
        plain = fallback
    return f"{plain}.safetensors"


def _cut(name: str) -> str:
    """As many whole characters as MAX_NAME bytes hold."""
    return name.encode("utf-8")[:MAX_NAME].decode("utf-8", "ignore")


def hub_name(repository: str, file: str) -> str:
    """A Hub file's name with its repository's: many are called the same."""
    stem = re.sub(r"(?i)\.safetensors$", "", file.rsplit("/", 1)[-1])
    folder = "-".join(file.split("/")[:-1])
    parts = [repository.split("/")[-1], folder, stem]
    generic = stem.lower() in ("pytorch_lora_weights", "lora", "model", "adapter_model")
    return "-".join(part for part in (parts[:-1] if generic else parts) if part)
