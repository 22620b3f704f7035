"""A trial's findings in sentences that claim no more than the numbers do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from studio.trials.design import TrialDesign
from studio.trials.events import TrialEnd
from studio.trials.findings import LEAKS, Alarm, Contender, Findings, TrialCurve
from studio.trials.observations import PromptKind, TrialArm
from studio.trials.statistics import FEWEST, Interval

if TYPE_CHECKING:
    from studio.trials.weights import CheckpointWeights

_FROM = (
    f"; how many more pictures would decide it can be reckoned from {FEWEST} prompts and "
    f"{FEWEST} seeds on"
)
_HOPELESS = 500
"""More pairs than this are not worth making for a difference so small."""
_LAYERS = 5
"""Layers of a file that are named; the rest are counted."""
_NAMED = 3
"""Arms of the front that are named; more are counted."""
NAMES: Mapping[str, str] = {
    "clip_text": "match with the prompt",
    "nearest_training": "distance to the nearest training picture",
    "step_change": "change since the checkpoint before",
    "structure": "structure kept",
    "trigger_alone": "effect of the trigger words alone",
}
ENDS: Mapping[TrialEnd, str] = {
    TrialEnd.DECIDED: "One checkpoint and strength is left.",
    TrialEnd.SEEDS: "Every seed was used.",
    TrialEnd.IMAGES: "The next seed would not fit into the budget of images.",
    TrialEnd.MINUTES: "The minutes are used up.",
    TrialEnd.FAILURES: "Several pictures in a row could not be made.",
    TrialEnd.CANCELLED: "Stopped.",
}
ON: Mapping[PromptKind, str] = {
    PromptKind.TRIGGER: "with the trigger words",
    PromptKind.PLAIN: "without the trigger words",
    PromptKind.FAR: "on other subjects",
}
_NEEDS = {
    "likeness": "likeness to pictures held out of the training (name a folder of them, and a "
    "CLIP model)",
    "clip_text": "how well the pictures match their prompts (set a CLIP model)",
    "leak": "what changes without the trigger words (the trial had none)",
    "nearest_training": "whether training pictures were learnt by heart (name their folder)",
}


def measure_name(measure: str) -> str:
    return NAMES.get(measure, measure.replace("_", " "))


def step_name(arm: TrialArm) -> str:
    """``1,500``; a checkpoint that is named otherwise keeps its name."""
    return f"{arm.step:,}" if arm.checkpoint == str(arm.step) else arm.checkpoint


def strength_name(strength: float, finer: str = "") -> str:
    """``0.8``, or ``0.8 (te=0.4, until=6)``."""
    said = (each.partition("=") for each in finer.split(":") if each)
    texts = ", ".join(f"{name}={float(value):g}" for name, _, value in said)
    return f"{strength:g} ({texts})" if texts else f"{strength:g}"


def strengths_text(design: TrialDesign) -> str:
    """Everything at which a trial tries each checkpoint."""
    return ", ".join(strength_name(each, finer) for each in design.strengths
                     for finer in design.finer)  # fmt: skip


def arm_name(arm: TrialArm) -> str:
    return f"{step_name(arm)} at {strength_name(arm.strength, arm.finer)}"


def naming(found: Findings) -> Callable[[TrialArm], str]:
    """How arms are named: by the step alone where there is only one strength."""
    strengths = {(curve.strength, curve.finer) for curve in found.curves if curve.points}
    return arm_name if len(strengths) > 1 else step_name


def number(value: float) -> str:
    """Three figures that count."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def interval_text(found: Interval, whole: bool = True) -> str:
    """``0.123 (0.110 to 0.140)``.

    Args:
        whole: whether it says why there is no interval, where there is none.
    """
    if found.low is None or found.high is None:
        why = ": too few prompts and seeds" if whole else ""
        return f"{number(found.median)} (no interval{why})"
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def sentences(found: Findings) -> tuple[str, ...]:
    """What the numbers say, most important first; alarms are apart."""
    return (
        *_leader(found),
        *(_open(found, each) for each in found.open if found.leader and each.more is not None),
        *_undecidable(found),
        *(text for curve in found.curves for text in _knee(found, curve)),
        *_words_alone(found),
        *_front(found),
    )


def _leader(found: Findings) -> Iterator[str]:
    if found.leader is None:
        yield f"No {measure_name(found.goal.measure)} was measured, so that no order is given."
        return
    most = "highest" if found.goal.more else "lowest"
    yield (
        f"{naming(found)(found.leader.arm)} has the {most} {measure_name(found.goal.measure)}: "
        f"{interval_text(found.leader.interval)}, from {_pairs(found.leader.interval.pairs)}."
    )
    out, many = len(found.contenders) - len(found.open), len(found.contenders)
    if many and not found.open:
        yield f"It can be told apart from each of the {many} others."
    elif out:
        yield f"{out} of the {many} others are surely behind it."


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _open(found: Findings, each: Contender) -> str:
    assert found.leader is not None
    assert each.more is not None
    assert each.against.difference is not None
    name = naming(found)
    one, other = name(found.leader.arm), name(each.arm)
    said = f"{one} and {other} cannot be told apart with {_pairs(each.against.difference.pairs)}"
    if each.more.pairs > _HOPELESS:
        return f"{said}, nor with {_HOPELESS} more if they differ as little as it seems."
    what = {"seeds": "", "prompts": " (of new prompts)", "both": " (of new prompts and seeds)"}
    return f"{said}; {each.more.pairs} more{what[each.more.of]} would decide it."


def _undecidable(found: Findings) -> Iterator[str]:
    """Those of which it cannot be reckoned what would tell them apart."""
    open_ = [each.arm for each in found.open if each.more is None]
    if found.leader is not None and open_:
        name = naming(found)
        seen = found.leader.interval
        few = min(seen.prompts, seen.seeds) < FEWEST
        yield (
            f"{name(found.leader.arm)} cannot be told apart from {_list(list(map(name, open_)))}"
            f"{_FROM if few else ''}."
        )


def _knee(found: Findings, curve: TrialCurve) -> Iterator[str]:
    if curve.knee is None or (curve.measure, curve.kind) != (found.goal.measure, found.goal.kind):
        return
    does = {"flattens": "levels off at", "rises": "begins to move at", "turns": "turns at"}
    bend = curve.knee
    between = "" if bend.low == bend.high else f" ({bend.low:,} to {bend.high:,})"
    name = measure_name(curve.measure).capitalize()
    at = strength_name(curve.strength, curve.finer)
    yield f"{name} at strength {at} {does[bend.bend]} {bend.step:,}{between}."


def _words_alone(found: Findings) -> Iterator[str]:
    if found.words_alone is not None:
        yield (
            "The trigger words alone, without any LoRA, change the base's pictures by "
            f"{interval_text(found.words_alone)}."
        )


def _front(found: Findings) -> Iterator[str]:
    if found.plane is None or len(found.plane.arms) < 2:
        return
    best = [naming(found)(each.arm) for each in found.plane.arms if each.on.front]
    good, bad = measure_name(found.plane.good.measure), measure_name(found.plane.bad.measure)
    if len(best) <= _NAMED:
        yield f"No arm has both more {good} and less {bad} than {_list(best)}."
    else:
        yield (
            f"{len(best)} of {len(found.plane.arms)} arms have no other that has both more "
            f"{good} and less {bad}: which to take depends on what a leak costs."
        )


def alarm_texts(found: Findings) -> tuple[str, ...]:
    name = naming(found)
    return tuple(_alarm(alarm, name) for alarm in found.alarms)


def _alarm(alarm: Alarm, name: Callable[[TrialArm], str]) -> str:
    names = _list([name(arm) for arm in alarm.arms])
    pictures = "1 picture" if alarm.pictures == 1 else f"{alarm.pictures} pictures"
    match alarm.code:
        case "inert":
            one = len(alarm.arms) == 1
            return (
                f"{names} {'shows' if one else 'show'} the base, pixel for pixel, in all "
                f"{pictures}: {'it does' if one else 'they do'} nothing."
            )
        case "twins":
            return f"{names} gave the same {pictures}, pixel for pixel. They count as one."
        case "leaks":
            return (
                f"From {name(alarm.arms[0])} on, prompts without the trigger words change too: "
                f"more than {100 * LEAKS:.0f} % of the effect is there without them."
            )
        case "memorised":
            return f"{pictures} of {names} look like a training picture: learnt by heart?"


def missing_text(found: Findings) -> tuple[str, ...]:
    """What was not measured, and how to have it."""
    return tuple(_NEEDS[name] for name in found.missing)


def caveats(found: Findings) -> tuple[str, ...]:
    """How the numbers are to be read."""
    sure = 100 * found.confidence
    said = [
        f"Each interval holds for itself at {sure:.0f} %. Arms are compared with the best of "
        f"{len(found.contenders) + 1}, at a level that is corrected for their number, so that "
        f"the best one is called worse in at most {100 - sure:.0f} % of trials.",
        "More pairs that “would decide it” are reckoned for a chance of 80 %, from the difference "
        "seen so far.",
    ]
    said += _fixed(found)
    if found.again:
        said.append(
            f"{found.again} of {found.pictures} pictures look almost like an earlier one of the "
            "same arm and count with it as one."
        )
    return tuple(said)


def _fixed(found: Findings) -> Iterator[str]:
    """What was not drawn again, because there was too little of it."""
    if found.leader is None:
        return
    seen = found.leader.interval
    for way, count in (("prompts", seen.prompts), ("seeds", seen.seeds)):
        if way not in seen.over:
            yield (
                f"With {count} {way if count > 1 else way[:-1]} it cannot be told how much they "
                f"vary: the intervals hold for just {'these' if count > 1 else 'this one'}."
            )


def file_remarks(each: "CheckpointWeights") -> Iterator[str]:
    """What is odd about a file of a run, before any picture is made."""
    yield from each.checkpoint.doubts
    if each.equals is not None:
        yield f"the same weights as {each.equals.when} ({each.equals.path.name})."
    if each.dead:
        yield f"{_layers(each.dead)} that change nothing."
    if each.exploding:
        yield f"{_layers(each.exploding)} that explode."
    if each.without_magnitudes:
        yield "a DoRA: its magnitudes need the base and are not counted."


def _layers(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LAYERS])
    more = len(names) - _LAYERS
    count = "1 layer" if len(names) == 1 else f"{len(names)} layers"
    return f"{count} ({shown}{f' and {more} more' if more > 0 else ''})"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
