"""What every value that crosses a file or a wire has in common.

Canonical JSON is UTF-8 with sorted keys, no white space and no NaN, so that equal values
have equal bytes, and the SHA-256 of those bytes is their fingerprint.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""SHA-256 of nothing, e3b0c44298fc…: some trainers write it into files, and it is no identity."""


class Contract(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def canonical_json(value: Any) -> str:
    """The one spelling of ``value`` (a JSON-ready object).

    Raises:
        ValueError: for NaN or infinity, which JSON cannot say.
        TypeError: for anything that is not JSON-ready.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def fingerprint(value: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def is_empty_hash(digits: str) -> bool:
    """Whether ``digits``, whole or the first eight and more, are the SHA-256 of nothing."""
    return len(digits) >= 8 and EMPTY_SHA256.startswith(digits.lower())
