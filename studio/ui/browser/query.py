"""What a reader asks of the LoRAs: words, filters, an order and a page."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from studio.architecture import Architecture


class LoraSubset(StrEnum):
    """What is left in; empty is everything."""

    ALL = ""
    PRESENT = "present"
    MISSING = "missing"
    FAVOURITES = "favourites"
    USED = "used"


class LoraOrder(StrEnum):
    """What stands first, of what is on disk and then of the rest."""

    NAME = ""
    RECENT = "recent"
    MOST = "most"
    NEW = "new"


class LoraQuery(BaseModel):
    """What the reader asks to see; empty texts ask for everything.

    Attributes:
        architecture: the LoRAs of one; empty is all.
        folder: below MODEL_BASE_PATH; what lies deeper is in it too.
        page: from 0.
    """

    model_config = ConfigDict(frozen=True)
    architecture: Architecture | None = None
    words: str = Field(default="", max_length=500)
    folder: str = Field(default="", max_length=2000)
    theme: str = Field(default="", max_length=200)
    tag: str = Field(default="", max_length=200)
    only: LoraSubset = LoraSubset.ALL
    order: LoraOrder = LoraOrder.NAME
    page: int = Field(default=0, ge=0)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The words, folded as what they are looked for in."""
        return tuple(self.words.casefold().split())

    @property
    def narrows(self) -> bool:
        """Whether anything but the architecture is asked for."""
        return any((self.words.strip(), self.folder, self.theme, self.tag, self.only))
