"""Lists in sentences."""

from collections.abc import Sequence


def listed(items: Sequence[object], word: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    texts = [str(item) for item in items]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"
