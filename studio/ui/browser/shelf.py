"""Which LoRAs a reader finds: words over all of them, filters, an order, a page at a time.

Everything that is looked into stands in memory, made once for each state of the library.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from studio.architecture import TRAITS, Architecture
from studio.gallery import UseCount
from studio.library.catalogue import Holding
from studio.presets import Catalog, LoraPreset
from studio.ui.browser.query import LoraOrder, LoraQuery, LoraSubset

PAGE = 48
"""LoRAs on one page."""
UNFIT = 6
"""LoRAs of other architectures, and files that cannot be used, that are named at most."""
CHOICES = 200
"""Longest list of folders, themes or tags; words find the rest."""
EMBEDDED = "built in"
"""The folder of what comes with the studio."""


@dataclass(frozen=True, slots=True)
class LoraFacts:
    """What changes while the library stays as it is.

    Attributes:
        present: slug → whether the weights are on disk.
        uses: slug → how often pictures of the gallery were made with it, and when last.
    """

    present: Mapping[str, bool]
    uses: Mapping[str, UseCount]
    favourites: frozenset[str]


@dataclass(frozen=True, slots=True)
class LoraCard:
    """A LoRA as it is looked for.

    Attributes:
        text: everything that words may stand in, folded.
        changed: modification time of its file in nanoseconds; 0 where it is not known.
    """

    preset: LoraPreset
    text: str
    name: str
    folder: str
    tags: tuple[str, ...]
    changed: int

    @property
    def slug(self) -> str:
        return self.preset.slug


@dataclass(frozen=True, slots=True)
class LoraPage:
    """A page of what there is.

    Attributes:
        cards: those shown.
        count: how many agree with everything that was asked.
        fitting: how many there are for the architecture.
        page: the page shown, which may be an earlier one than was asked for.
        unfit: (name, why not) of others that the words find, some of them.
        unfit_count: how many of those there are.
    """

    cards: tuple[LoraCard, ...]
    count: int
    fitting: int
    page: int
    unfit: tuple[tuple[str, str], ...]
    unfit_count: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.count // PAGE))


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """What the filters offer, each list sorted."""

    folders: tuple[str, ...]
    themes: tuple[str, ...]
    tags: tuple[str, ...]


class LoraShelf:
    """Every LoRA of one state of the library, by name.

    Args:
        holdings: the files of the library, with what others say of them.
    """

    def __init__(self, catalog: Catalog, holdings: Sequence[Holding]) -> None:
        self._holdings = holdings
        self._choices: dict[Architecture | None, FilterChoices] = {}
        held = {slug: each for each in holdings for slug in _slugs_of(each)}
        cards = [_card(lora, held.get(slug)) for slug, lora in catalog.loras.items()]
        self.cards = tuple(sorted(cards, key=lambda card: (_in_order(card.name), card.slug)))
        self._fitting = {
            family: tuple(c for c in self.cards if c.preset.base_architecture is family)
            for family in Architecture
        }

    def fitting(self, architecture: Architecture | None) -> tuple[LoraCard, ...]:
        return self.cards if architecture is None else self._fitting[architecture]

    def choices(self, architecture: Architecture | None) -> FilterChoices:
        """What the LoRAs of an architecture can be narrowed by."""
        kept = self._choices.get(architecture)
        if kept is None:
            kept = self._choices[architecture] = self._made_choices(architecture)
        return kept

    def _made_choices(self, architecture: Architecture | None) -> FilterChoices:
        cards = self.fitting(architecture)
        folders = {part for card in cards for part in _and_above(card.folder)}
        tags = Counter(tag for card in cards for tag in card.tags)
        return FilterChoices(
            tuple(sorted(folders)[:CHOICES]),
            tuple(sorted({c.preset.theme for c in cards if c.preset.theme})[:CHOICES]),
            tuple(sorted(tag for tag, _ in tags.most_common(CHOICES))),
        )

    def find(self, query: LoraQuery, known: LoraFacts) -> LoraPage:
        """What is on disk first; where words are given, what has them in its name."""
        wanted, found = query.wanted, self.all_found(query, known)
        for key in _keys(query.order, wanted, known):  # the last counts most: sorting is stable
            found.sort(key=key)
        page = min(query.page, max(0, (len(found) - 1) // PAGE))
        unfit = list(self._unfit(query.architecture, wanted)) if wanted else []
        return LoraPage(
            tuple(found[page * PAGE : (page + 1) * PAGE]),
            len(found),
            len(self.fitting(query.architecture)),
            page,
            tuple(unfit[:UNFIT]),
            len(unfit),
        )

    def all_found(self, query: LoraQuery, known: LoraFacts) -> list[LoraCard]:
        """Of every page, by name."""
        wanted, agrees = query.wanted, _agreeing(query, known)
        fitting = self.fitting(query.architecture)
        return [card for card in fitting if holds(card.text, wanted) and agrees(card)]

    def hidden(self, architecture: Architecture) -> tuple[tuple[str, int], ...]:
        """(label, number) of the other architectures' LoRAs, most first."""
        counts = Counter(
            {
                TRAITS[other].label: len(cards)
                for other, cards in self._fitting.items()
                if other is not architecture and cards
            }
        )
        return tuple(counts.most_common())

    def _unfit(
        self, architecture: Architecture | None, wanted: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        for card in self.cards if architecture is not None else ():
            family = card.preset.base_architecture
            if family is not architecture and holds(card.text, wanted):
                yield card.preset.label, f"made for {TRAITS[family].label}."
        for path, folded, reason in self._refused:
            if holds(folded, wanted):
                yield path, reason

    @cached_property
    def _refused(self) -> tuple[tuple[str, str, str], ...]:
        """(path, the same folded, reason) of every file that cannot be used."""
        return tuple(
            (each.held.path, each.held.path.casefold(), each.entry.reason)
            for each in self._holdings
            if each.entry is not None and each.entry.preset is None and not each.presets
        )


def holds(text: str, wanted: Iterable[str]) -> bool:
    """Whether every folded word stands in a folded text."""
    return all(word in text for word in wanted)


def _slugs_of(holding: Holding) -> tuple[str, ...]:
    entry = holding.entry
    return (*holding.presets, entry.slug) if entry is not None else holding.presets


def _card(lora: LoraPreset, holding: Holding | None) -> LoraCard:
    source = lora.source
    path = lora.path or ""
    embedded = source is not None and source.embedded is not None
    said = () if holding is None else holding.held.said
    theirs = [part for each in said for part in (each.label, each.prompt, each.notes)]
    tags = tuple(dict.fromkeys(tag for each in said for tag in each.tags))
    own = (lora.label, lora.slug, lora.theme or "", lora.prompt, lora.notes, path)
    return LoraCard(
        preset=lora,
        text="\n".join((*own, *theirs, *tags)).casefold(),
        name=lora.label.casefold(),
        folder=EMBEDDED if embedded else path.rpartition("/")[0],
        tags=tags,
        changed=0 if holding is None else holding.held.stamp[1],
    )


def _in_order(name: str) -> str:
    """Numbers count as numbers: 2 stands before 10."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), name)


def _and_above(folder: str) -> Iterator[str]:
    """The folder, and those that it lies in."""
    parts = folder.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1) if folder)


def _agreeing(query: LoraQuery, known: LoraFacts) -> Callable[[LoraCard], bool]:
    kept: dict[LoraSubset, Callable[[str], bool]] = {
        LoraSubset.PRESENT: lambda slug: known.present.get(slug, False),
        LoraSubset.MISSING: lambda slug: not known.present.get(slug, False),
        LoraSubset.FAVOURITES: lambda slug: slug in known.favourites,
        LoraSubset.USED: lambda slug: slug in known.uses,
    }
    only, below = kept.get(query.only), f"{query.folder}/"

    def agrees(card: LoraCard) -> bool:
        return (
            (not query.folder or f"{card.folder}/".startswith(below))
            and query.theme in ("", card.preset.theme)
            and (not query.tag or query.tag in card.tags)
            and (only is None or only(card.slug))
        )

    return agrees


def _keys(
    order: LoraOrder, wanted: Sequence[str], known: LoraFacts
) -> Iterator[Callable[[LoraCard], bool | float]]:
    match order:
        case LoraOrder.RECENT:
            yield lambda card: -known.uses[card.slug].last if card.slug in known.uses else 0
        case LoraOrder.MOST:
            yield lambda card: -known.uses[card.slug].count if card.slug in known.uses else 0
        case LoraOrder.NEW:
            yield lambda card: -card.changed
    if wanted and order is LoraOrder.NAME:
        yield lambda card: not holds(card.name, wanted)
    yield lambda card: not known.present.get(card.slug, False)
