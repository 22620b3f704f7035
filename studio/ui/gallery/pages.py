"""The grid of the Gallery tab: its pages, its filters, and what is done with many at once."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import gradio as gr

from studio.comparison.review import Judgement, ReviewState
from studio.errors import GalleryError
from studio.gallery import Facet, Facets, Filter, Gallery, Item, Picture, StoredComparison
from studio.gallery.row import place_at
from studio.ui.gallery import files
from studio.ui.gallery.asked import PUBLIC, GalleryInput
from studio.ui.gallery.layout import GalleryParts
from studio.ui.gallery.review import ReviewEvents, named
from studio.ui.html import format
from studio.ui.html import gallery as grid
from studio.ui.html.tags import EMPTY, Html, div
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.reviewing import MAX_SCORES
from studio.workspace.workspace import Workspace

PAGE = 48
"""Pictures on one page of the grid."""
COUNTED = 20 * PAGE
"""Items up to which what is searched for is counted."""
FACETS = 100
"""Most entries of a filter list; words find the rest."""


class GalleryPages:
    """Handlers over the workspace's gallery; each returns what changes.

    Args:
        review: keeps decisions and scores.
    """

    def __init__(self, workspace: Workspace, parts: GalleryParts, review: ReviewEvents) -> None:
        self._workspace = workspace
        self._parts = parts
        self._review = review

    @property
    def _gallery(self) -> Gallery:
        return self._workspace.gallery

    def enter(self, asked: GalleryInput) -> Updates:
        """The tab is shown: the filters' choices and, unless a picture is open, the newest."""
        try:
            facets = self._gallery.facets()
        except GalleryError as error:
            return self.trouble(error)
        updates: Updates = {
            getattr(self._parts, key): gr.Dropdown(choices=each)
            for key, each in self.offered(facets).items()
        }
        if len(facets.reviewers) > 1:
            updates[self._parts.agreed] = grid.agreed(self._gallery.agreement())
        return updates if asked.opened else updates | self.first(asked)

    def first(self, asked: GalleryInput) -> Updates:
        return self.page(asked, None)

    def next(self, asked: GalleryInput) -> Updates:
        try:
            shown = self.items(asked, PAGE, asked.beyond)
        except GalleryError as error:
            return self.trouble(error)
        return self.page(asked, shown[-1].place) if shown else unchanged()

    def previous(self, asked: GalleryInput) -> Updates:
        """The page that ends where the one that is shown begins."""
        try:
            shown = self.items(asked, 1, asked.beyond)
            start = shown[0].place if shown else asked.beyond
            before = [] if start is None else self.items(asked, PAGE + 1, start, back=True)
        except GalleryError as error:
            return self.trouble(error)
        return self.page(asked, before[PAGE].place if len(before) > PAGE else None)

    def go(self, asked: GalleryInput) -> Updates:
        """To the page or the date that is typed."""
        text, hint = asked.to.strip(), self._parts.to_hint
        try:
            if text.isascii() and text.isdecimal() and len(text) < 8:
                number = max(int(text) - 1, 0) * PAGE
                beyond = self._before(asked, number) if number else None
                if number and beyond is None:
                    return {hint: grid.said(f"There is no page {text}.", bad=True)}
            elif text:
                beyond = self._beyond_date(asked, date.fromisoformat(text))
            else:
                beyond = None
            return self.page(asked, beyond) | {hint: EMPTY}
        except GalleryError as error:
            return self.trouble(error)
        except (ValueError, OverflowError, OSError):
            line = f"“{text[:40]}” is no page and no date. Type a number, or a date as 2026-11-29."
            return {hint: grid.said(line, bad=True)}

    def _before(self, asked: GalleryInput, number: int) -> int | None:
        """The place after which the item of this number is the next one."""
        shelf = self._gallery.comparisons
        return shelf.place_of(asked.wanted, number - 1, asked.newest_first)

    @staticmethod
    def _beyond_date(asked: GalleryInput, day: date) -> int:
        """The place after which come the items of a day of this machine's calendar."""
        last = day + timedelta(days=1) if asked.newest_first else day
        return place_at(datetime.combine(last, time.min).astimezone())

    def page(self, asked: GalleryInput, beyond: int | None) -> Updates:
        """The page after a place; one more item is asked for, to know of others."""
        parts, wanted, shelf = self._parts, asked.wanted, self._gallery.comparisons
        try:
            found = self.items(asked, PAGE + 1, beyond)
            total = shelf.count(wanted, most=COUNTED)
            before = 0
            if beyond is not None:
                most = None if wanted == Filter() else COUNTED
                before = shelf.count(wanted, beyond + asked.step, not asked.newest_first, most)
            marks = self._gallery.standings([each.place for each in found[:PAGE]])
            thumbs = [self._thumb(each, marks.get(each.place)) for each in found[:PAGE]]
        except GalleryError as error:
            return self.trouble(error)
        empty = grid.nothing(filtered=wanted != Filter())
        return {
            parts.grid: div(
                "ls-shelf",
                grid.grid(thumbs) if thumbs else empty,
                data_address=asked.address(beyond),
            ),
            parts.links: files.links(asked, self._workspace.visitors.a_pass()),
            parts.count: grid.counted(before, len(thumbs), total, PAGE, COUNTED),
            parts.newer: gr.Button(visible=before > 0),
            parts.older: gr.Button(visible=len(found) > PAGE),
            parts.beyond: beyond,
        }

    def items(
        self, asked: GalleryInput, limit: int, beyond: int | None, back: bool = False
    ) -> list[Item]:
        """Pictures and comparisons; what was made for a comparison is shown in it."""
        newest_first = asked.newest_first != back
        return self._gallery.comparisons.items(asked.wanted, limit, beyond, newest_first)

    def trouble(self, error: GalleryError) -> Updates:
        """In the grid's place: why it cannot be shown."""
        return {self._parts.grid: grid.said(str(error), bad=True)}

    def _thumb(self, item: Item, standing: ReviewState | None) -> Html:
        """An item of the grid; one that cannot be shown says so, and the others stay."""
        try:
            if isinstance(item, StoredComparison):
                return grid.comparison(item, self._gallery.thumbnail(item))
            return self._picture_thumb(item, standing)
        except GalleryError as error:
            return grid.broken(item.name, str(error))

    def _picture_thumb(self, picture: Picture, standing: ReviewState | None) -> Html:
        labels = [
            preset.label if (preset := self._workspace.catalog.loras.get(slug)) else slug
            for slug in picture.loras
        ]
        return grid.thumbnail(
            picture.name,
            self._gallery.thumbnail(picture),
            picture.prompt,
            picture.mode.label,
            picture.base_label,
            labels,
            picture.seed,
            standing,
        )

    def where(self, asked: GalleryInput) -> int | None:
        try:
            here = self._gallery.place(asked.opened) if asked.opened else None
            shown = self.items(asked, PAGE, asked.beyond)
            if here is None or not shown:
                return asked.beyond
            first, last = sorted((shown[0].place, shown[-1].place))
            if first <= here <= last:
                return asked.beyond
            before = self._gallery.comparisons.count(asked.wanted, here, not asked.newest_first)
            number = before // PAGE * PAGE
            return self._before(asked, number) if number else None
        except GalleryError:
            return None  # the page itself says it

    @staticmethod
    def offered(facets: Facets) -> dict[str, list[tuple[str, str]]]:
        """Filter → its choices."""
        return {
            "base": _choices(facets.bases),
            "lora": _choices(facets.loras),
            "mode": _choices(facets.modes),
            "by": [("Everybody", ""), *((name, name) for name in facets.reviewers)],
        }

    def decide(
        self, asked: GalleryInput, key: str, names: Sequence[str], reviewer: str | None
    ) -> Updates:
        """Approve or reject the ticked pictures of the page, each by itself."""
        refused = []
        if asked.whose == PUBLIC:
            line = "Decisions are made on pictures of your own."
            return {self._parts.to_hint: grid.said(line, bad=True)}
        try:
            by = named(reviewer or "")
            for name in names[:PAGE]:
                try:
                    self._review.reviewing.decide(name, Judgement(key), "", by)
                except GalleryError as error:
                    refused.append(error.message)
        except (GalleryError, ValueError) as error:
            return {self._parts.to_hint: grid.said(str(error), bad=True)}
        done = format.plural(len(names) - len(refused), "picture")
        line = " ".join((f"{done} decided on as {by}.", *refused[:3]))
        return self.page(asked, asked.beyond) | {
            self._parts.to_hint: grid.said(line, bad=bool(refused))
        }

    def take_scores(self, path: str) -> Updates:
        """Keep a critic's scores from an uploaded file, which is not kept."""
        place, parts = Path(path), self._parts
        try:
            if place.stat().st_size > MAX_SCORES:
                raise GalleryError(f"The file has more than {MAX_SCORES} bytes.", "Split it.")
            done = self._review.reviewing.take_scores(place.read_text(encoding="utf-8"))
        except (GalleryError, OSError, UnicodeDecodeError) as error:
            return {parts.imported: grid.said(f"Nothing is taken. {error}", bad=True)}
        finally:
            place.unlink(missing_ok=True)
        refused = [f"Line {each.line}: {each.reason}." for each in done.refused[:5]]
        line = f"{format.plural(done.taken, 'score')} taken, {len(done.refused)} lines refused."
        said = grid.said(" ".join((line, *refused)), bad=bool(done.refused))
        return {parts.imported: said}


def _choices(facets: Sequence[Facet]) -> list[tuple[str, str]]:
    shown = [(f"{facet.label} ({facet.count})", facet.value) for facet in facets[:FACETS]]
    return [("All", ""), *shown]
