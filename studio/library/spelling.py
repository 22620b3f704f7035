"""Other spellings of a file's name: in another case, or in another of Unicode's forms."""

import os
from pathlib import Path
from unicodedata import normalize

_FORMS = ("NFC", "NFD")


def spellings(name: str) -> tuple[str, ...]:
    """``name`` and the same characters in Unicode's other forms: macOS writes an accent as a
    character of its own."""
    if name.isascii():
        return (name,)
    return tuple(dict.fromkeys((name, *(normalize(form, name) for form in _FORMS))))  # type: ignore[arg-type]


def near(path: Path) -> Path | None:
    """What is there under the same name but for case and Unicode form; None where nothing is, or
    more than one."""
    parts: list[str] = []
    while not path.exists():
        if path.parent == path:
            return None
        parts.insert(0, path.name)
        path = path.parent
    try:
        for part in parts:
            alike = [name for name in os.listdir(path) if _plain(name) == _plain(part)]  # noqa: PTH208
            if len(alike) != 1:
                return None
            path /= alike[0]
    except OSError:
        return None
    return path if parts else None


def _plain(name: str) -> str:
    return normalize("NFC", name).casefold()
