"""Your folder as a whole: looked at now, identified, compared, made presets of."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from studio.errors import StudioError
from studio.library.chores import Adopted, Chore, Chores, adopt
from studio.library.identify import Identified
from studio.library.known_files import news, side_by_side
from studio.library.twins import Group, Twins
from studio.ui.browser.shelf import LoraShelf
from studio.ui.html import format
from studio.ui.html.bar import bar
from studio.ui.html.tags import EMPTY, Html, div, join, link, tag
from studio.ui.models import filter
from studio.ui.models.filter import PresetFilter
from studio.ui.studio.live import Updates
from studio.workspace.workspace import Workspace

EVERY = 1.5
"""Seconds between two looks at the library; one that finds nothing new changes nothing."""
MOST = 50
"""Entries of a list that are shown."""


@dataclass(frozen=True, slots=True)
class LibraryPanel:
    """``seen`` and ``changes`` say what the page shows of the work, and of the list."""

    status: gr.HTML
    report: gr.HTML
    rescan: gr.Button
    identify: gr.Button
    compare: gr.Button
    adopt: gr.Button
    stop: gr.Button
    seen: gr.State
    changes: gr.State
    timer: gr.Timer

    def shown(self) -> list[Any]:
        names = (each.name for each in fields(self) if each.name != "timer")
        return [getattr(self, name) for name in names]


def build(public: bool) -> LibraryPanel:
    """Lay it out inside the current column.

    Args:
        public: strangers can open the page: they may look, and start nothing.
    """
    with gr.Accordion("Your folder", open=False, elem_id="library", elem_classes="ls-settings"):
        status = gr.HTML("", apply_default_css=False, elem_id="library-status")
        with gr.Row(visible=not public, elem_classes="ls-tight"):
            rescan = gr.Button("Rescan now", size="sm", min_width=90)
            identify = gr.Button("Ask CivitAI what they are", size="sm", min_width=150)
            compare = gr.Button("Find duplicates", size="sm", min_width=110)
            adopt = gr.Button("Make presets of all that match", size="sm", min_width=170)
            stop = gr.Button("Stop", size="sm", min_width=60, interactive=False)
        report = gr.HTML("", apply_default_css=False, elem_id="library-report")
    states = gr.State(""), gr.State(0), gr.Timer(EVERY)
    return LibraryPanel(status, report, rescan, identify, compare, adopt, stop, *states)


class LibraryEvents:
    """Handlers of the panel.

    Args:
        shelf: the library's LoRAs as they are searched now.
    """

    def __init__(
        self,
        workspace: Workspace,
        panel: LibraryPanel,
        shelf: Callable[[], LoraShelf],
        may_change: bool,
    ) -> None:
        self._workspace = workspace
        self._shelf = shelf
        self._panel = panel
        self._may_change = may_change

    @property
    def _chores(self) -> Chores:
        return self._workspace.chores

    def look(self, seen: str) -> Updates:
        """What is new since ``seen``; nothing where nothing is."""
        now = self._now()
        if now == seen:
            return {self._panel.seen: gr.skip()}
        chore = self._chores.standing
        going = chore is not None and chore.is_going
        free = gr.Button(interactive=not going)
        panel = self._panel
        return {
            panel.seen: now,
            panel.status: self._status(),
            panel.report: report(chore) if chore is not None else EMPTY,
            panel.identify: free,
            panel.compare: free,
            panel.adopt: free,
            panel.stop: gr.Button(interactive=going),
        }

    def rescan(self) -> Updates:
        if self._may_change:
            self._workspace.stock.catalogue.look_soon()
        return self.look("")

    def identify(self) -> Updates:
        stock = self._workspace.stock
        return self._begin(
            "Asking CivitAI",
            lambda cancel: stock.identifying.run(stock.catalogue.holdings, cancel),
        )

    def compare(self) -> Updates:
        return self._begin("Looking for duplicates", self._workspace.stock.twins)

    def adopt(self, words: str, architecture: str, theme: str, weights: str) -> Updates:
        wanted = PresetFilter(words or "", architecture or "", theme or "", weights or "")
        found = filter.matching(self._shelf(), self._workspace.present(), wanted)
        slugs = [each.slug for each in found]
        return self._begin(
            "Making presets", lambda cancel: adopt(self._workspace.stock, slugs, cancel)
        )

    def stop(self) -> Updates:
        if self._may_change:
            self._chores.cancel()
        return self.look("")

    def _begin(self, name: str, work: Callable[..., Any]) -> Updates:
        if self._may_change:
            self._chores.start(name, work)
        return self.look("")

    def _now(self) -> str:
        catalogue, chore = self._workspace.stock.catalogue, self._chores.standing
        step = "" if chore is None else f"{chore.name} {chore.is_going} {chore.step}"
        return f"{catalogue.changes} {catalogue.looking} {catalogue.trouble} {step}"

    def _status(self) -> Html:
        catalogue = self._workspace.stock.catalogue
        if catalogue.looking is not None:
            done, count = catalogue.looking
            what = f"Reading file {done:,} of {count:,}" if count else "Looking through the folder"
            return _bar(what, done, count)
        held = catalogue.holdings
        usable = sum(bool(each.presets) or _is_usable(each.entry) for each in held)
        said = f"{format.plural(len(held), 'file')}, {usable:,} of them usable."
        at = catalogue.looked_at
        if at is not None:
            said += f" Looked at {time.strftime('%H:%M:%S', time.localtime(at))}."
        trouble = catalogue.trouble
        return join(
            (
                tag("p", said, class_="ls-origin"),
                EMPTY if trouble is None else tag("p", str(trouble), class_="ls-problem"),
            )
        )


def _is_usable(entry: Any) -> bool:
    return entry is not None and entry.preset is not None


def _bar(what: str, done: int, count: int) -> Html:
    return div(
        "ls-transfer",
        tag("p", f"{what}…", class_="ls-origin"),
        bar(what, 100 * done // count if count else None),
    )


def report(chore: Chore) -> Html:
    """How it goes, or what came of it."""
    if chore.is_going:
        step = chore.step
        what = chore.name if step is None else f"{step.what} ({step.done:,} of {step.count:,})"
        return _bar(what, *((0, 0) if step is None else (step.done, step.count)))
    if chore.error is not None:
        return _failed(chore.name, chore.error)
    match chore.result:
        case Identified():
            return _identified(chore.result)
        case Twins():
            return _twins(chore.result)
        case Adopted(count=count, problems=problems):
            return join((tag("p", f"{format.plural(count, 'preset')} made."), _problems(problems)))
        case _:
            return tag("p", f"{chore.name}: stopped. What was found is kept.", class_="ls-origin")


def _failed(name: str, error: StudioError) -> Html:
    kept = "What came before is kept: start it again to go on."
    return tag("p", f"{name}: {error} {kept}", class_="ls-problem", role="alert")


def _identified(found: Identified) -> Html:
    named = [each for each in found.known if each.published is not None]
    newer = [
        tag("li", f"{each.holding.held.path}: {each.newer.name} ", link(each.newer.page))
        for each in news(found.known)
        if each.newer is not None
    ]
    rows = [
        tag(
            "li",
            tag("code", each.holding.held.path),
            tag(
                "ul",
                *(
                    tag(
                        "li", f"{what}: {own or 'nothing'} (file), {theirs or 'nothing'} (CivitAI)"
                    )
                    for what, own, theirs in side_by_side(each)
                ),
            ),
        )
        for each in named[:MOST]
    ]
    return join(
        (
            tag(
                "p", f"CivitAI knows {len(named):,} of {format.plural(len(found.known), 'file')}."
            ),
            _list(f"Newer versions ({len(newer):,})", newer),
            _list("What they are", rows, len(named)),
            _problems(found.problems),
        )
    )


def _twins(found: Twins) -> Html:
    kinds = (
        ("The same file", found.same_file),
        ("The same tensors", found.same_tensors),
        ("Nearly one name", found.near_names),
    )
    listed = [
        _list(f"{title} ({len(groups):,})", [_group(each) for each in groups[:MOST]], len(groups))
        for title, groups in kinds
    ]
    return join((*listed, _problems(found.problems)))


def _group(group: Group) -> Html:
    return tag("li", *(tag("code", each.held.path) for each in group))


def _problems(problems: Sequence[tuple[str, str]]) -> Html:
    items = [tag("li", f"{path}: {problem}") for path, problem in problems[:MOST]]
    return _list("Not read", items, len(problems)) if items else EMPTY


def _list(title: str, items: Sequence[Html], total: int | None = None) -> Html:
    rest = (total or 0) - len(items)
    more = [tag("li", f"and {rest:,} more: `studio library --help`")] if rest > 0 else []
    shown = tag("ul", *items, *more) if items else tag("p", "None.", class_="ls-origin")
    return div("ls-listed", tag("h4", title), shown)
