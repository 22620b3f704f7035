"""The blind vote: two pictures, no labels, and three buttons."""

import io
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import gradio as gr
from PIL import Image

from studio.comparison.axes import AxisName
from studio.comparison.pairs import Arm, arm_name, arms_by_seed
from studio.comparison.record import ComparisonRecord
from studio.comparison.votes import (
    BlindTest,
    ShownSide,
    in_order,
    prepare,
    tally,
    vote,
    votes_between,
)
from studio.errors import GalleryError, StudioError
from studio.gallery.comparisons.cell_picture import cell_picture
from studio.ui.html import comparison as compare_html
from studio.ui.html import numbers
from studio.ui.html.tags import EMPTY, Html, div, join, tag
from studio.ui.studio.live import Updates, unchanged
from studio.workspace.workspace import Workspace

MOST_BY_CLIENT = 500
"""Votes on one comparison that a client of a public page has while the studio runs."""
_CLIENTS = 10_000
"""Counts that are kept; more clients begin anew."""
_TORN = "The last vote was cut off while it was written. It does not count."


@dataclass(frozen=True, slots=True)
class BlindParts:
    """The components; ``test`` holds the order and stays on the server."""

    offer: gr.Column
    first_arm: gr.Dropdown
    second_arm: gr.Dropdown
    start: gr.Button
    result: gr.HTML
    voting: gr.Column
    pair: gr.HTML
    first: gr.Button
    equal: gr.Button
    second: gr.Button
    stop: gr.Button
    test: gr.State

    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def build() -> BlindParts:
    """Lay out the offer, and the page that hides everything else."""
    with gr.Column(visible=False, elem_classes="ls-look", elem_id="blind-offer") as offer:
        with gr.Row(elem_classes="ls-tight ls-blind-offer"):
            one = gr.Dropdown([], label="Judge blind", interactive=True, min_width=150)
            other = gr.Dropdown([], label="against", interactive=True, min_width=150)
            start = gr.Button(
                "Start the blind vote", scale=0, min_width=190, elem_id="start-blind"
            )
        result = gr.HTML("", apply_default_css=False, elem_id="tally")
    with gr.Column(visible=False, elem_classes="ls-look", elem_id="blind") as voting:
        pair = gr.HTML("", apply_default_css=False, elem_id="blind-pair")
        with gr.Row(elem_classes="ls-tight"):
            first = gr.Button("The first is better", elem_id="vote-first")
            equal = gr.Button("Equal", elem_id="vote-equal")
            second = gr.Button("The second is better", elem_id="vote-second")
        stop = gr.Button("Stop and see the tally", size="sm", elem_classes="ls-quiet")
    return BlindParts(
        offer=offer,
        first_arm=one,
        second_arm=other,
        start=start,
        result=result,
        voting=voting,
        pair=pair,
        first=first,
        equal=equal,
        second=second,
        stop=stop,
        test=gr.State(None),
    )


class CompareBlind:
    """Handlers of the vote; ``rest`` is everything that is hidden while it goes on."""

    def __init__(self, workspace: Workspace, parts: BlindParts, rest: Sequence[gr.Column]) -> None:
        self._workspace = workspace
        self._parts = parts
        self._rest = tuple(rest)
        self._cast: Counter[tuple[str, str]] = Counter()

    def offered(self, name: str) -> Updates:
        """Another comparison is shown, or none: which of its arms can be judged, and the votes
        so far. A vote that was going on is over, and uncovers the page."""
        parts = self._parts
        hidden: Updates = self._hide(False) | {
            parts.offer: gr.Column(visible=False),
            parts.test: None,
            parts.pair: EMPTY,
        }
        if not name:
            return hidden
        try:
            record = self._workspace.gallery.comparisons.read(name)
        except StudioError:
            return hidden  # the seal says why it cannot be opened
        arms = _judged(record)
        if len(arms) < 2:
            return hidden
        choices = [(arm_name(record, arm), _key(arm)) for arm in arms]
        ends = (arms[0], arms[-1])
        return hidden | {
            parts.offer: gr.Column(visible=True),
            parts.first_arm: gr.Dropdown(choices=choices, value=_key(ends[0])),
            parts.second_arm: gr.Dropdown(choices=choices, value=_key(ends[1])),
            parts.result: self._result(name, record, ends),
        }

    def chosen(self, name: str, first: str, second: str) -> Updates:
        """Two arms were chosen: the tally of the votes there are on them."""
        if not name:
            return unchanged()
        try:
            record = self._workspace.gallery.comparisons.read(name)
            result = self._result(name, record, (_arm(first), _arm(second)))
        except (StudioError, ValueError) as error:
            result = compare_html.trouble(str(error))
        return {self._parts.result: result}

    def start(self, name: str, first: str, second: str) -> Updates:
        """Draw the order and the sides, and hide everything but the first pair."""
        parts = self._parts
        try:
            record = self._workspace.gallery.comparisons.read(name)
            arms = (_arm(first), _arm(second))
            if arms[0] == arms[1]:
                line = "Both sides are the same arm. Choose two different ones."
                return {parts.result: compare_html.trouble(line)}
            chance = secrets.SystemRandom()
            test = prepare(
                name,
                secrets.token_hex(8),
                record,
                arms,
                lambda pairs: chance.sample(pairs, len(pairs)),
                lambda: chance.random() < 0.5,
            )
        except (StudioError, ValueError) as error:
            return {parts.result: compare_html.trouble(str(error))}
        return self._hide(True) | self._next(record, test)

    def vote(self, test: BlindTest | None, side: ShownSide, client: str = "") -> Updates:
        """Keep one vote, and show the next pair or the tally."""
        if test is None or test.over:
            return unchanged()
        if self._cast[client, test.name] >= MOST_BY_CLIENT and self._workspace.settings.is_public:
            text = f"You have voted {MOST_BY_CLIENT} times on this comparison, which is the most."
            return self.end(test, compare_html.trouble(text))
        comparisons = self._workspace.gallery.comparisons
        try:
            record = comparisons.read(test.name)
        except StudioError:
            return self.end(test)  # which says why
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            comparisons.vote(test.name, vote(record, test, side, now))
            if len(self._cast) >= _CLIENTS:
                self._cast.clear()
            self._cast[client, test.name] += 1
        except StudioError as error:
            return self._next(record, test, compare_html.trouble(str(error)))
        return self._next(record, replace(test, position=test.position + 1))

    def end(self, test: BlindTest | None, *said: Html) -> Updates:
        """Uncover the page, with the tally of every vote there is on these arms."""
        parts = self._parts
        if test is None:
            return self._hide(False)
        try:
            record = self._workspace.gallery.comparisons.read(test.name)
            result = self._result(test.name, record, test.arms)
        except (StudioError, ValueError) as error:
            result = compare_html.trouble(str(error))
        ended = {parts.test: None, parts.pair: EMPTY, parts.result: join((*said, result))}
        return self._hide(False) | ended

    def _hide(self, hidden: bool) -> Updates:
        updates: Updates = {column: gr.Column(visible=not hidden) for column in self._rest}
        return updates | {self._parts.voting: gr.Column(visible=hidden)}

    def _next(self, record: ComparisonRecord, test: BlindTest, *said: Html) -> Updates:
        """The next pair whose pictures are the ones that were compared, or the end; a pair that
        is left out is said."""
        gallery, parts = self._workspace.gallery, self._parts
        while not test.over:
            cells = [record.cells[index] for index in test.pairs[test.position].shown]
            try:
                images = [cell_picture(gallery, cell).image for cell in cells]
            except GalleryError:  # why would name the arms; Verify says it
                said = (*said, _left_out(test))
                test = replace(test, position=test.position + 1)
                continue
            pair = _pair(images, test, _prompt(record))
            return {parts.pair: join((*said, pair)), parts.test: test}
        return self.end(test, *said)

    def _result(self, name: str, record: ComparisonRecord, arms: tuple[Arm, Arm]) -> Html:
        """What the votes on two different arms add up to, empty where there are none; or why
        they cannot be read."""
        if arms[0] == arms[1]:
            return EMPTY
        comparisons = self._workspace.gallery.comparisons
        try:
            between = votes_between(record, arms, comparisons.votes(name))
            torn = compare_html.trouble(_TORN) if comparisons.has_torn_vote(name) else EMPTY
        except StudioError as error:
            return compare_html.trouble(str(error))
        if not between:
            return torn
        labels = [arm_name(record, arm) for arm in in_order(record, arms)]
        return join((numbers.votes(labels[0], labels[1], tally(between)), torn))


def _judged(record: ComparisonRecord) -> list[Arm]:
    """The arms that have a picture."""
    return [
        arm
        for arm, cells in arms_by_seed(record).items()
        if any(record.cells[index].picture for index in cells.values())
    ]


def _key(arm: Arm) -> str:
    return f"{arm[0]}/{arm[1]}"


def _arm(key: str) -> Arm:
    row, column = key.split("/")
    return int(row), int(column)


def _prompt(record: ComparisonRecord) -> str:
    """What both pictures were asked for; nothing where it would tell them apart."""
    varies = any(axis.name is AxisName.PROMPT for axis in record.wanted.axes)
    return "" if varies else record.wanted.request.prompt


def _pair(images: Sequence[Image.Image], test: BlindTest, prompt: str) -> Html:
    """The two pictures as nothing but pixels: no file name and no record tells them apart."""
    figures = [
        tag("figure", tag("img", src=bare_pixels(image), alt=f"The {which} picture"))
        for image, which in zip(images, ("first", "second"), strict=True)
    ]
    line = f"Pair {test.position + 1} of {len(test.pairs)}. Which is better?"
    asked = tag("p", prompt, class_="ls-of-prompt") if prompt else EMPTY
    shown = div("ls-sides ls-unlabelled", *figures)
    return join((tag("p", line, class_="ls-differs"), asked, shown))


def _left_out(test: BlindTest) -> Html:
    return compare_html.trouble(
        f"Pair {test.position + 1} of {len(test.pairs)} is left out: a picture of it is gone, or "
        "not the one that was compared. Verify the comparison to see which."
    )


def bare_pixels(image: Image.Image) -> str:
    """A picture as a data URL without its record, which would name its mode."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", image.size, image.tobytes()).save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
