"""Amounts of bytes and of time, as people read them."""


def in_bytes(amount: int | None, decimals: int = 2) -> str:
    """ "218 MB", "6.94 GB" with so many ``decimals``; "an unknown amount" for None."""
    if amount is None:
        return "an unknown amount"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= size:
            value = amount / size
            return f"{value:.{decimals}f} {unit}" if unit == "GB" else f"{value:.3g} {unit}"
    return "1 byte" if amount == 1 else f"{amount} bytes"


def in_time(seconds: float) -> str:
    """What is left or guessed: "14 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
