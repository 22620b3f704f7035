"""What one visitor of a public page may have at once, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VisitorLimits:
    """Nothing of it holds where the page is its owner's alone.

    Attributes:
        runs: runs, comparisons and replays that run or wait.
        work: of one run: megapixels times steps times pictures.
        cells: of one comparison, without its controls.
        upload: bytes that are sent in a quarter of an hour.
        loras: of their own that are here at once, or came in that time; 0 for none.
        lora: bytes of the largest of them.
        guest_hours: after which the pictures of whoever is not signed in go.
        member_items: pictures and comparisons of whoever is; beyond them the oldest go.
    """

    runs: int = 3
    work: int = 150
    cells: int = 24
    upload: int = 256 * 10**6
    loras: int = 3
    lora: int = 256 * 10**6
    guest_hours: int = 24
    member_items: int = 1000


def work_of(width: int, height: int, steps: int, count: int) -> float:
    """Megapixels times steps times pictures."""
    return width * height * steps * count / 1e6
