"""From a folder of checkpoints and a list of prompts to a trial's design."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from studio.architecture import Architecture
from studio.comparison.axes import AS_CHOSEN
from studio.contract.request import Overrides, same_finer
from studio.errors import TrialError
from studio.trials.design import (
    CONTROLS,
    TrialCheckpoint,
    TrialDesign,
    cost,
    prompts_of,
)
from studio.trials.halving import Goal, RacingRule
from studio.trials.measures import TrialMeasure
from studio.trials.measures.clip import ClipText, Likeness
from studio.trials.measures.looks import (
    NearestTraining,
    as_folder,
    demand_apart,
    look_through,
)
from studio.trials.measures.pixels import pixel_measures
from studio.trials.measures.plugins import plugin
from studio.trials.observations import PromptKind
from studio.trials.statistics import FEWEST, Resampling
from studio.trials.store import TrialStore, now
from studio.trials.training_run import Checkpoint, TrainingRun
from studio.trials.trial_text import TrialText
from studio.workspace.trial_files import the_run
from studio.workspace.workspace import Workspace

if TYPE_CHECKING:
    from studio.trials.weights import CheckpointWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialWanted:
    """What somebody asks for. What is None, and no base, prompts, measure or name, is found out.

    Attributes:
        paths: a folder or files of one training run.
        subject, far: prompts without trigger words, of what was trained and of something else.
        trigger: the trigger words; None is what the text beside the files says, else what the
            last file's preset does.
        finer: what is said besides each strength, ``te=0.4:until=6``, each in turn; ``none`` and
            nothing are as the LoRA's preset has it.
        seeds: how many, from ``first_seed`` upwards.
        by: the measure that rounds are decided by.
        fixed: every arm gets every seed.
    """

    paths: tuple[Path, ...]
    base: str = ""
    subject: tuple[str, ...] = ()
    far: tuple[str, ...] | None = None
    trigger: str | None = None
    negative: str | None = None
    strengths: tuple[float, ...] = (1.0,)
    finer: tuple[str, ...] = ("",)
    seeds: int = 12
    first_seed: int = 0
    settings: Overrides = field(default_factory=Overrides)
    images: int | None = None
    minutes: float | None = None
    fixed: bool = False
    by: str = ""
    name: str = ""
    rule_seed: int = 0
    plugins: tuple[str, ...] = ()
    holdout: Path | None = None
    training: Path | None = None


def designed(
    workspace: Workspace, wanted: TrialWanted, told: "Sequence[CheckpointWeights] | None" = None
) -> TrialDesign:
    """The design; nothing is generated.

    Args:
        told: what the run's files hold, in its order; None reads them once for it.

    Raises:
        TrialError: something of it is missing or does not fit, which it names.
        WeightsError, LoraRefused, PresetsError: a file cannot be used.
    """
    run, finer = the_run(wanted.paths), _finer(wanted.finer)
    said = TrialText.beside([Path(each.path) for each in run.checkpoints])
    checkpoints = tuple(_checkpoints(workspace, run, told))
    preset = workspace.catalog.loras[checkpoints[-1].slug]
    trigger = next(
        (each for each in (wanted.trigger, said.trigger, preset.prompt) if each is not None), ""
    )
    subject = wanted.subject or said.subject
    far = said.far if wanted.far is None else wanted.far
    if not subject:
        raise TrialError(
            "A trial needs prompts of what was trained.",
            "Give some with --prompt, or write them into trial.txt beside the files "
            "(docs/trials.md).",
        )
    prompts, clip = prompts_of(subject, far, trigger), workspace.clip_model()
    rule = _rule(workspace, wanted, prompts_kinds={each.kind for each in prompts},
                 once=(len(checkpoints) * len(wanted.strengths) * len(finer) + 1) * len(prompts),
                 subjects=len(subject))  # fmt: skip
    design = TrialDesign(
        name=TrialStore(workspace.gallery.outputs).free_name(wanted.name or run.name),
        created_at=now(),
        base=wanted.base or said.base or _only_base(workspace, preset.base_architecture),
        run=run.name,
        checkpoints=checkpoints,
        strengths=tuple(dict.fromkeys(wanted.strengths)),
        finer=finer,
        prompts=prompts,
        rule=rule,
        trigger=trigger,
        negative=said.negative if wanted.negative is None else wanted.negative,
        settings=wanted.settings,
        images=wanted.images,
        minutes=wanted.minutes,
        plugins=wanted.plugins,
        clip_sha256=None if clip is None else clip.identity.sha256,
        holdout=None if wanted.holdout is None else as_folder(
            wanted.holdout, look_through(wanted.holdout)),
        training=None if wanted.training is None else as_folder(
            wanted.training, look_through(wanted.training)),
    )  # fmt: skip
    if not design.own:
        raise TrialError(
            "No file of this run changes anything: each update is nothing at all.",
            "Look at them with `studio trial files`.",
        )
    _demand_room(design)
    names = [measure.facts.name for measure in measures_of(workspace, design)]
    for goal in design.rule.goals:
        if goal.measure not in names:
            raise TrialError(
                f"There is no measure {goal.measure!r} in this trial.",
                f"Those that there are: {', '.join(names)}.",
            )
    return design


def _finer(values: Sequence[str]) -> tuple[str, ...]:
    """
    Raises:
        TrialError: one of them is no finer strength.
    """
    try:
        said = ["" if each == AS_CHOSEN else same_finer(each) for each in values]
    except ValueError as error:
        raise TrialError(
            str(error), "Write parts and steps, such as te=0.4:until=6, or none."
        ) from error
    return tuple(dict.fromkeys(said)) or ("",)


def _checkpoints(
    workspace: Workspace, run: TrainingRun, told: "Sequence[CheckpointWeights] | None"
) -> Iterator[TrialCheckpoint]:
    from studio.trials.weights import weights_of  # torch

    known = tuple(weights_of(run)) if told is None else told
    steps = [each.step for each in run.checkpoints]
    epochs = [each.epoch for each in run.checkpoints]
    places = list(range(1, len(steps) + 1))
    axis = next(line for line in (steps, epochs, places) if None not in line)
    usual = [str(step) if axis is steps else each.when
             for step, each in zip(axis, run.checkpoints, strict=True)]  # fmt: skip
    often = Counter(usual)
    names: dict[Checkpoint, str] = {}
    for place, (each, held) in enumerate(zip(run.checkpoints, known, strict=True)):
        path = Path(each.path)
        name = usual[place] if often[usual[place]] == 1 else path.stem[-80:]
        names[each] = name
        yield TrialCheckpoint(
            name=name,
            step=axis[place] or 0,
            slug=workspace.stock.catalogue.slug_of_file(path),
            path=str(path),
            sha256=held.sha256,
            inert=held.norm == 0 and not held.without_magnitudes,
            same_as=None if held.equals is None else names[held.equals],
        )


def _only_base(workspace: Workspace, architecture: Architecture) -> str:
    present = workspace.present()
    models = workspace.catalog.models.values()
    there = [m.slug for m in models if m.base_architecture is architecture and present[m.slug]]
    if len(there) == 1:
        return there[0]
    raise TrialError(
        f"{len(there) or 'No'} bases of the architecture {architecture.value} are here.",
        f"Name one with --base: {', '.join(there)}." if there else "Fetch one first.",
    )


def _rule(
    workspace: Workspace,
    wanted: TrialWanted,
    prompts_kinds: set[PromptKind],
    once: int,
    subjects: int,
) -> RacingRule:
    """
    Args:
        once: pictures of every arm and the base on one seed.
        subjects: prompts of the subject.
    """
    measure = wanted.by or _usual_goal(workspace, wanted, prompts_kinds)
    seeds = tuple(range(wanted.first_seed, wanted.first_seed + wanted.seeds))
    # Half of the budget is left for those that are not decided at first.
    affordable = len(seeds) if wanted.images is None else wanted.images // (2 * once)
    enough = 1 if subjects >= FEWEST else FEWEST
    first = len(seeds) if wanted.fixed else min(enough, max(affordable, 1), len(seeds))
    return RacingRule(
        goals=(Goal(measure=measure),),
        seeds=seeds,
        first=first,
        resampling=Resampling(seed=wanted.rule_seed),
    )


def _usual_goal(workspace: Workspace, wanted: TrialWanted, kinds: set[PromptKind]) -> str:
    if wanted.holdout is not None and workspace.settings.clip_model is not None:
        return "likeness"
    if PromptKind.PLAIN in kinds:
        return "contrast"
    if wanted.fixed:
        return "effect"
    raise TrialError(
        "Without trigger words nothing says which checkpoint is the better one.",
        "Give --trigger, or --by with a measure, or --holdout, or a --fixed design.",
    )


def _demand_room(design: TrialDesign) -> None:
    least = cost(design, len(design.arms), design.rule.first) + CONTROLS
    if design.images is not None and design.images < least:
        raise TrialError(
            f"The first round alone needs {least} pictures: {len(design.arms)} arms and the "
            f"base, {len(design.prompts)} prompts, {design.rule.first} seeds, "
            f"{CONTROLS} controls. The budget is {design.images}.",
            "Raise the budget, or take fewer checkpoints, strengths, prompts or seeds.",
        )


def measures_of(workspace: Workspace, design: TrialDesign) -> tuple[TrialMeasure, ...]:
    """The measures of a trial, loaded.

    Raises:
        TrialError: a folder of pictures is not the one that the design names any more, a plug-in
            cannot be loaded, or hold-out pictures were trained on.
        WeightsError: the CLIP model that was set is none.
    """
    found = [*pixel_measures(), *(plugin(name) for name in design.plugins)]
    training = () if design.training is None else look_through(Path(design.training.folder))
    holdout = () if design.holdout is None else look_through(Path(design.holdout.folder))
    for named, there in ((design.training, training), (design.holdout, holdout)):
        if named is not None and as_folder(Path(named.folder), there) != named:
            raise TrialError(
                f"The pictures in {named.folder} are not those that the trial began with.",
                "Put them back, or begin a new trial.",
            )
    demand_apart(holdout, training)
    if training:
        found.append(NearestTraining(training))
    clip = workspace.clip_model() if design.clip_sha256 or holdout else None
    if clip is not None and clip.identity.sha256 != design.clip_sha256:
        raise TrialError(
            "CLIP_MODEL is not the model that the trial began with.",
            "Set it to that one, or begin a new trial.",
        )
    if clip is not None:
        found.append(ClipText(clip))
        if holdout:
            found.append(Likeness(clip, [each.image for each in holdout]))
    elif holdout or design.clip_sha256:
        raise TrialError(
            "Likeness to hold-out pictures, and a trial that had it, need a CLIP model.",
            "Set CLIP_MODEL to the folder of one, or begin a trial without --holdout.",
        )
    return tuple(found)
