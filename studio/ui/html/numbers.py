"""The numbers of a comparison as markup, each with what it can and cannot say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from studio.comparison.effects import PairedEffect
from studio.comparison.numbers import MEANINGS, Measures, Spread
from studio.comparison.record import ComparisonRecord
from studio.comparison.votes import Tally, conclusion
from studio.ui.html import format
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

Show = Callable[[float], str]
_WIDTH, _HEIGHT, _EDGE = 300, 44, 8
"""Of the plot, in its own units."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a CLIP model found of two cells; None where it has no number for something.

    Attributes:
        pictures: of the two pictures against each other.
        prompts: of each picture against its prompt.
    """

    pictures: float | None
    prompts: tuple[float | None, float | None]


def clip_of(record: ComparisonRecord, left: int, right: int) -> Clip:
    """As stored with the comparison."""
    of_pairs = {frozenset((each.left, each.right)): each.clip for each in record.numbers}
    prompts = (record.cells[left].clip, record.cells[right].clip)
    return Clip(of_pairs.get(frozenset((left, right))), prompts)


def pair(left: str, right: str, measures: Measures | None, same: bool, clip: Clip) -> Html:
    """The numbers of the cells that are looked at."""
    if same:
        return _hint("Both sides show the same cell. Choose another one on one side.")
    if measures is None:
        return _hint("The two pictures differ in size, so they can't be compared pixel by pixel.")
    rows = [
        _number(
            "Mean absolute difference",
            format.percent(measures.mean_absolute_difference),
            MEANINGS["mean_absolute_difference"],
        )
    ]
    if measures.structural_similarity is not None:
        rows.append(
            _number(
                "Structural similarity (SSIM)",
                f"{measures.structural_similarity:.3f}",
                MEANINGS["structural_similarity"],
            )
        )
    head = tag("h2", f"{left} against {right}")
    return div("ls-numbers", head, tag("dl", *rows, *_clip(clip)))


def _clip(found: Clip) -> Iterator[Html]:
    if found.pictures is not None:
        meaning = MEANINGS["clip_pictures"]
        yield _number("CLIP, picture against picture", f"{found.pictures:.3f}", meaning)
    if any(score is not None for score in found.prompts):
        shown = " and ".join("too long" if s is None else f"{s:.3f}" for s in found.prompts)
        yield _number("CLIP, each picture against its prompt", shown, MEANINGS["clip_prompt"])


def _number(name: str, value: str, meaning: str) -> Html:
    return div(
        "ls-number",
        tag("dt", name),
        tag("dd", span("ls-figure ls-strong", value), tag("p", meaning, class_="ls-origin")),
    )


def _hint(line: str) -> Html:
    return tag("p", line, class_="ls-origin")


def effects(found: Sequence[PairedEffect]) -> Html:
    """Each pair of arms with several seeds: median, quartiles and a dot for every seed."""
    parts = (
        ("Mean absolute difference", format.percent, [(e.name, e.difference) for e in found]),
        ("SSIM", _three, [(e.name, e.similarity) for e in found]),
        ("CLIP, picture against picture", _three, [(e.name, e.clip) for e in found]),
    )
    blocks = [_block(name, show, rows) for name, show, rows in parts]
    if not any(blocks):
        return EMPTY
    return div(
        "ls-numbers",
        tag("h2", "Paired effect over the seeds"),
        *blocks,
        tag("p", MEANINGS["paired_effect"], class_="ls-origin"),
    )


def _three(value: float) -> str:
    return f"{value:.3f}"


def _block(name: str, show: Show, rows: Sequence[tuple[str, Sequence[float]]]) -> Html:
    several = [(pair, values) for pair, values in rows if len(values) > 1]
    if not several:
        return EMPTY
    top = max(max(values) for _, values in several) or 1.0
    lines = [_effect(name, pair, values, top, show) for pair, values in several]
    return join((tag("p", name, class_="ls-origin"), div("ls-effects", *lines)))


def _effect(name: str, pair: str, values: Sequence[float], top: float, show: Show) -> Html:
    spread = Spread.of(values)
    said = (
        f"median {show(spread.median)}, quartiles {show(spread.first_quartile)} to "
        f"{show(spread.third_quartile)}, {spread.count} seeds"
    )
    return div(
        "ls-effect",
        span("ls-strong", pair),
        plot(values, spread, top, f"{pair}, {name}: {said}"),
        span("ls-figure ls-origin", said),
    )


def plot(values: Sequence[float], spread: Spread, top: float, label: str) -> Html:
    """A box from quartile to quartile, its median, and the seeds as dots, from 0 to ``top``."""

    def x(value: float) -> float:
        # A similarity may be below 0, where the axis begins.
        return round(_EDGE + (_WIDTH - 2 * _EDGE) * max(0.0, value) / top, 1)

    middle = _HEIGHT / 2
    first, third = x(spread.first_quartile), x(spread.third_quartile)
    shapes = [
        tag("line", x1=x(0), x2=x(top), y1=middle, y2=middle, class_="ls-plot-axis"),
        tag(
            "rect",
            x=first,
            y=middle - 11,
            width=max(1.0, third - first),
            height=22,
            rx=3,
            class_="ls-plot-box",
        ),
        tag(
            "line",
            x1=x(spread.median),
            x2=x(spread.median),
            y1=middle - 13,
            y2=middle + 13,
            class_="ls-plot-median",
        ),
        *(tag("circle", cx=x(value), cy=middle, r=3, class_="ls-plot-dot") for value in values),
    ]
    return tag(
        "svg",
        *shapes,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        class_="ls-plot",
        role="img",
        aria_label=label,
    )


def votes(left: str, right: str, counted: Tally) -> Html:
    """The tally of a blind vote, and the sentence that it allows."""
    cells = [
        _count(f"“{left}”", counted.left),
        _count(f"“{right}”", counted.right),
        _count("Equal", counted.equal),
    ]
    return div(
        "ls-numbers ls-tally",
        tag("h2", "Blind vote"),
        tag("dl", *cells, class_="ls-counts"),
        tag("p", conclusion(counted, left, right)),
        tag(
            "p",
            "The interval is exact (Clopper–Pearson) and counts decided pairs only. It speaks of "
            "these reviewers and these pictures.",
            class_="ls-origin",
        ),
        role="status",
    )


def _count(name: str, value: int) -> Html:
    return join((div("ls-count-cell", tag("dt", name), tag("dd", value, class_="ls-figure")),))
