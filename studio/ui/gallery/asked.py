"""What the browser says of the gallery: filters, order, page, and the picture that is open."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.architecture import Mode
from studio.comparison.review import ReviewState
from studio.gallery import Filter
from studio.ui.html.tags import address

ALL = ""
NEWEST, OLDEST = "newest", "oldest"
MINE, PUBLIC = "mine", "public"
FILTERS = ("base", "lora", "mode", "words", "standing", "by")
CHOICES = {
    "standing": [("All", ALL), *((each.label, each.value) for each in ReviewState)],
    "order": [("Newest first", NEWEST), ("Oldest first", OLDEST)],
    "whose": [("My pictures", MINE), ("Public gallery", PUBLIC)],
}
"""Filters whose choices are always the same; the first is what nobody need say."""
_PLACE = re.compile(r"[0-9]{1,19}")
_BEYOND_ALL = 2**63 - 1
"""The last place in the order of the gallery that SQLite takes."""


@dataclass(frozen=True, slots=True)
class GalleryInput:
    """What the browser sends with every event of the tab.

    Attributes:
        whose: the asking visitor's pictures, or those that visitors show to everybody.
        to: the page or the date that is typed.
        beyond: the place after which the page begins that is shown; None for the first one.
        opened: the picture that is shown, empty for the grid.
    """

    base: str = ALL
    lora: str = ALL
    mode: str = ALL
    words: str = ""
    standing: str = ALL
    by: str = ALL
    order: str = NEWEST
    to: str = ""
    beyond: int | None = None
    opened: str = ""
    whose: str = MINE

    @property
    def newest_first(self) -> bool:
        return self.order == NEWEST

    def visited(
        self, named: Mapping[str, str], offered: Mapping[str, Sequence[tuple[str, str]]]
    ) -> "GalleryInput":
        """The grid that an address names; a value that is not ``offered`` is none."""
        chosen: dict[str, Any] = {
            key: next((value for _, value in each if value == named.get(key)), each[0][1])
            for key, each in {**offered, **CHOICES}.items()
        }
        after = named.get("after", "")
        beyond = min(int(after), _BEYOND_ALL) if _PLACE.fullmatch(after) else None
        return replace(self, **chosen, words=named.get("words", ""), beyond=beyond, opened="")

    @property
    def filters(self) -> dict[str, str]:
        """What narrows the grid, by the names that addresses have; nothing that is not said."""
        return {name: said for name in FILTERS if (said := getattr(self, name))}

    def address(self, beyond: int | None) -> str:
        """What the page's address says of the grid."""
        return address(
            **self.filters,
            order="" if self.newest_first else self.order,
            whose="" if self.whose == MINE else self.whose,
            after="" if beyond is None else beyond,
        )

    @property
    def step(self) -> int:
        """From a place to the next one in the order."""
        return -1 if self.newest_first else 1

    @property
    def wanted(self) -> Filter:
        return Filter(
            base=self.base or None,
            lora=self.lora or None,
            mode=Mode(self.mode) if self.mode else None,
            words=self.words or "",
            standing=ReviewState(self.standing) if self.standing else None,
            by=self.by or None,
        )
