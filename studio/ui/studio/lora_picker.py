"""Which LoRAs the picker offers: by architecture at once, then by theme and words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from studio.architecture import TRAITS, Architecture
from studio.presets import Catalog, LoraPreset

CAP = 50
"""Most LoRAs sent to the page; a library of 10,000 stays on the server."""


@dataclass(frozen=True, slots=True)
class LoraChoices:
    """The picker's offer and what it leaves out.

    Attributes:
        shown: the LoRAs offered, at most ``CAP``.
        matching: how many match theme and words and are not chosen yet, shown or not.
        narrowed: whether a theme or words were given.
        fitting: how many are made for the architecture.
        hidden: (label, number) of the other architectures' LoRAs, most first.
    """

    shown: tuple[LoraPreset, ...]
    matching: int
    fitting: int
    hidden: tuple[tuple[str, int], ...]
    narrowed: bool

    def describe(self) -> str:
        """One line: what fits, what matches, what is hidden and why."""
        said = [f"{self.fitting} fit" if self.fitting != 1 else "1 fits"]
        if self.narrowed:
            said.append(f"{self.matching} match" if self.matching != 1 else "1 matches")
        if self.matching > len(self.shown):
            said.append(f"{self.matching - len(self.shown)} more: narrow with words")
        count = sum(number for _, number in self.hidden)
        if count:
            families = ", ".join(f"{number} {label}" for label, number in self.hidden)
            said.append(f"{count} hidden: made for other architectures ({families})")
        return " · ".join(said)


def choose(
    catalog: Catalog,
    architecture: Architecture,
    theme: str = "",
    words: str = "",
    without: Iterable[str] = (),
) -> LoraChoices:
    """The LoRAs for ``architecture`` of ``theme`` (empty is all) that hold every word."""
    fitting = catalog.loras_for(architecture)
    wanted = words.lower().split()
    taken = frozenset(without)
    matching = [
        lora
        for lora in fitting
        if lora.slug not in taken
        and (not theme or lora.theme == theme)
        and holds_words(lora, wanted)
    ]
    counts = Counter(
        {
            TRAITS[other].label: len(catalog.loras_for(other))
            for other in Architecture
            if other is not architecture and catalog.loras_for(other)
        }
    )
    return LoraChoices(
        tuple(matching[:CAP]),
        len(matching),
        len(fitting),
        tuple(counts.most_common()),
        bool(theme or wanted),
    )


def holds_words(lora: LoraPreset, wanted: list[str]) -> bool:
    """Whether every word stands in the LoRA's label, slug, theme, trigger words or notes."""
    if not wanted:
        return True
    text = f"{lora.label} {lora.slug} {lora.theme or ''} {lora.prompt} {lora.notes}".lower()
    return all(word in text for word in wanted)


def themes(catalog: Catalog, architecture: Architecture) -> tuple[str, ...]:
    """The themes that LoRAs of ``architecture`` have, sorted."""
    return tuple(sorted({lora.theme for lora in catalog.loras_for(architecture) if lora.theme}))
