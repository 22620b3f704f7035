"""Curves and the plane of a trial as inline SVG; colours and type come from the page's CSS."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, floor, log10

from markupsafe import Markup

from studio.trials.findings import ArmNumber, Plane, PlaneArm, TrialCurve
from studio.trials.observations import TrialArm
from studio.trials.statistics import Interval
from studio.trials.words import arm_name, interval_text, measure_name, number

WIDTH, HEIGHT = 440, 250
"""Units of a drawing; on a phone one is a little less than a pixel."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 20, 34
_TICKS, _STEP_LABELS = 4, 6
LINES = 5
"""Strengths that have a line of their own look; more begin again."""


class _Scale:
    """From values to units along one side, with round ticks."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        if low == high:
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        room = (high - low) * 0.06
        self.low, self.high = low - room, high + room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 1)

    @property
    def ticks(self) -> Iterator[float]:
        raw = (self.high - self.low) / _TICKS
        size = 10 ** floor(log10(raw))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
        for place in range(ceil(self.low / step), floor(self.high / step) + 1):
            yield place * step


def curves(lines: Sequence[TrialCurve]) -> Markup:
    """One measure over the steps, a line for each strength; nothing where no line has a point.

    The band is the interval, a dashed upright the knee with its own interval at the foot.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return Markup()
    across = _Scale([point.arm.step for point in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale([v for p in points for v in _span(p.interval)], HEIGHT - _BOTTOM, _TOP)
    steps = sorted({point.arm.step for point in points})
    every = max(1, ceil(len(steps) / _STEP_LABELS))
    parts = [*_rules(up), *(_step_label(step, across) for step in steps[::every])]
    for place, line in enumerate(lines):
        parts += _line(line, place % LINES, across, up)
    return _drawing(parts, f"{measure_name(lines[0].measure)} over the steps")


def plain(lines: Mapping[str, Sequence[tuple[int, float]]], label: str) -> Markup:
    """Numbers without intervals over the steps, a line for each name."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return Markup()
    across = _Scale([step for step, _ in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale([0.0, *(value for _, value in points)], HEIGHT - _BOTTOM, _TOP)
    steps = sorted({step for step, _ in points})
    every = max(1, ceil(len(steps) / _STEP_LABELS))
    parts = [*_rules(up), *(_step_label(step, across) for step in steps[::every])]
    for place, (name, line) in enumerate(lines.items()):
        look = place % LINES
        places = [(across(step), up(value)) for step, value in line]
        parts.append(
            Markup('<polyline class="line s{}" points="{}"/>').format(look, _points(places))
        )
        for (step, value), (x, y) in zip(line, places, strict=True):
            parts.append(_dot(f"dot s{look}", x, y, f"{name} at {step:,}: {number(value)}"))
    return _drawing(parts, label)


def _span(interval: Interval) -> tuple[float, float]:
    low = interval.median if interval.low is None else interval.low
    high = interval.median if interval.high is None else interval.high
    return low, high


def _rules(up: _Scale) -> Iterator[Markup]:
    for tick in up.ticks:
        zero = " zero" if abs(tick) < 1e-12 else ""
        yield Markup('<line class="rule{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            zero, _LEFT, WIDTH - _RIGHT, up(tick), up(tick)
        )
        yield _text(_LEFT - 7, up(tick) + 4, number(round(tick, 10)), "end")


def _step_label(step: int, across: _Scale) -> Markup:
    return _text(across(step), HEIGHT - 14, f"{step:,}", "middle")


def _text(x: float, y: float, said: str, anchor: str, kind: str = "") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, round(x, 1), round(y, 1), anchor, said
    )


def _line(line: TrialCurve, look: int, across: _Scale, up: _Scale) -> Iterator[Markup]:
    places = [(across(p.arm.step), up(p.interval.median)) for p in line.points]
    spans = [tuple(map(up, _span(p.interval))) for p in line.points]
    lower = [(x, low) for (x, _), (low, _) in zip(places, spans, strict=True)]
    upper = [(x, high) for (x, _), (_, high) in zip(places, spans, strict=True)]
    if len(places) == 1:
        (x, low), (_, high) = lower[0], upper[0]
        yield Markup('<line class="bar s{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            look, x, x, low, high
        )
    yield Markup('<polygon class="band s{}" points="{}"/>').format(
        look, _points([*upper, *reversed(lower)])
    )
    yield Markup('<polyline class="line s{}" points="{}"/>').format(look, _points(places))
    for point, (x, y) in zip(line.points, places, strict=True):
        yield _dot(f"dot s{look}", x, y, _said(point))
    if line.knee is not None:
        yield from _knee(line, look, across)


def _knee(line: TrialCurve, look: int, across: _Scale) -> Iterator[Markup]:
    knee = line.knee
    if knee is None:
        return
    x, foot = across(knee.step), HEIGHT - _BOTTOM
    yield Markup('<line class="knee s{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        look, x, x, _TOP - 4, foot
    )
    yield Markup('<line class="foot s{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        look, across(knee.low), across(knee.high), foot, foot
    )
    anchor = "end" if x > WIDTH / 2 else "start"
    # Those of other strengths stand beneath one another.
    y = _TOP + 4 + 13 * look
    x += -5 if anchor == "end" else 5
    yield _text(x, y, f"knee {knee.step:,}", anchor, f"tag s{look}")


def _dot(kind: str, x: float, y: float, said: str) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>').format(
        kind, x, y, said
    )


def _points(places: Sequence[tuple[float, ...]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)


def _said(point: ArmNumber) -> str:
    return f"{arm_name(point.arm)}: {interval_text(point.interval)}"


def plane(of: Plane, chosen: TrialArm | None, name: Callable[[TrialArm], str]) -> Markup:
    """Every arm by its two medians, with their intervals; the front is joined, and named."""
    across = _Scale([v for each in of.arms for v in _span(each.bad)], _LEFT, WIDTH - _RIGHT)
    up = _Scale([v for each in of.arms for v in _span(each.good)], HEIGHT - _BOTTOM, _TOP)
    parts = list(_rules(up))
    parts += [_text(across(t), HEIGHT - 14, number(round(t, 10)), "middle") for t in across.ticks]
    best = sorted((each for each in of.arms if each.on.front), key=lambda each: each.bad.median)
    front = [(across(each.bad.median), up(each.good.median)) for each in best]
    for each in of.arms:
        parts += _cross(each, across, up)
    parts.append(Markup('<polyline class="front" points="{}"/>').format(_points(front)))
    for each in sorted(of.arms, key=lambda each: each.on.front):
        parts += _place(each, each.arm == chosen, across, up)
    parts += _names(best, name, across, up)
    return _drawing(parts, "the two measures against one another")


def _cross(each: PlaneArm, across: _Scale, up: _Scale) -> Iterator[Markup]:
    x, y = across(each.bad.median), up(each.good.median)
    (left, right), (low, high) = map(across, _span(each.bad)), map(up, _span(each.good))
    kind = "arms on" if each.on.front else "arms"
    for x1, x2, y1, y2 in ((left, right, y, y), (x, x, low, high)):
        yield Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            kind, x1, x2, y1, y2
        )


def _place(each: PlaneArm, chosen: bool, across: _Scale, up: _Scale) -> Iterator[Markup]:
    x, y = across(each.bad.median), up(each.good.median)
    if chosen:
        yield Markup('<circle class="chosen" cx="{}" cy="{}" r="8"/>').format(x, y)
    said = f"{arm_name(each.arm)}: {interval_text(each.good)}; {interval_text(each.bad)}"
    yield _dot("dot on" if each.on.front else "dot off", x, y, said)


def _names(
    best: Sequence[PlaneArm], name: Callable[[TrialArm], str], across: _Scale, up: _Scale
) -> Iterator[Markup]:
    """Of the front's arms, as far as they do not lie on one another."""
    taken: list[tuple[float, float]] = []
    for each in best:
        x, y = across(each.bad.median), up(each.good.median)
        anchor = "end" if x > WIDTH * 0.7 else "start"
        place = (x + (-9 if anchor == "end" else 9), y - 8)
        if all(abs(place[0] - a) > 70 or abs(place[1] - b) > 12 for a, b in taken):
            taken.append(place)
            yield _text(*place, name(each.arm), anchor, "tag s0")


def _drawing(parts: Sequence[Markup], label: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup().join(parts)
    )
