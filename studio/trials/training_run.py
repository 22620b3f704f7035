"""Which files are checkpoints of one training run, and when each was saved."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

_NAMES = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        # sd-scripts (library/train_util.py): "{}-step{:08d}", and "{}-{:06d}" for epochs.
        r"(?P<name>.+)-step(?P<step>\d{1,9})",
        r"(?P<name>.+)-(?P<epoch>\d{6})",
        # ai-toolkit (BaseSDTrainProcess): "{name}_{step:09d}".
        r"(?P<name>.+)_(?P<step>\d{9})",
        # OneTrainer (GenericTrainer): the time, "-save-{step}-{epoch}-{step of the epoch}".
        r"(?P<name>.*?)-?\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-save-(?P<step>\d+)-(?P<epoch>\d+)-\d+",
        r"(?P<name>.+?)[-_ .]+(?:steps?|s)[-_ ]?(?P<step>\d{1,9})",
        r"(?P<name>.+?)[-_ .]+(?P<step>\d{1,9})[-_ ]?steps?",
        r"(?P<name>.+?)[-_ .]+(?:epochs?|ep|e)[-_ ]?(?P<epoch>\d{1,6})",
    )
)
"""How trainers name what they save, the surest first; each matches the whole stem."""
_FOLDER = re.compile(r"checkpoint-(?P<step>\d{1,9})")
"""diffusers' training scripts and SimpleTuner: a folder for each, the file's name always one."""
_FOLDERS_FILE = frozenset({"pytorch_lora_weights", "adapter_model"})
_LONGEST = 4096
"""Characters of a claim that are looked at."""


@dataclass(frozen=True, slots=True)
class TrainedFile:
    """A LoRA file as it lies: its path, and what its header claims."""

    path: PurePath
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved at one moment of a run.

    Attributes:
        step, epoch: as said by the file's metadata, else by its name; None where neither says.
        doubts: sentences where the two say different numbers.
    """

    path: PurePath
    step: int | None
    epoch: int | None
    doubts: tuple[str, ...] = ()

    @property
    def when(self) -> str:
        """In words, for a table."""
        if self.step is not None:
            return f"{self.step:,}"
        return "last" if self.epoch is None else f"epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Checkpoints of one run in the order in which they were saved.

    Attributes:
        rests_on: what tells that they belong together, a sentence.
    """

    name: str
    checkpoints: tuple[Checkpoint, ...]
    rests_on: str


@dataclass(frozen=True, slots=True)
class _Read:
    file: TrainedFile
    name: str
    checkpoint: Checkpoint


def training_runs(files: Iterable[TrainedFile]) -> tuple[TrainingRun, ...]:
    """The runs that two or more of the files come from, by name.

    A session's number in the metadata (``ss_session_id``, else ``ss_training_started_at``)
    decides; without one, names that differ in nothing but step or epoch, in one folder.
    A file named like them without a number is the one that was saved last.
    """
    groups: dict[tuple[str, ...], list[_Read]] = defaultdict(list)
    for file in sorted(files, key=lambda each: each.path):
        read = _read(file)
        groups[_key(read)].append(read)
    runs = (_run(key, group) for key, group in groups.items() if len(group) > 1)
    return tuple(sorted(runs, key=lambda run: run.name))


def run_name(path: PurePath) -> str:
    """What a file's name says of its run's, without step or epoch."""
    return _by_name(path)[0]


def run_folder(path: PurePath) -> PurePath:
    """Where the files of its run lie, in folders of their own where a trainer makes some."""
    return path.parent.parent if path.stem in _FOLDERS_FILE else path.parent


def _key(read: _Read) -> tuple[str, ...]:
    metadata, path = read.file.metadata, read.file.path
    for key in ("ss_session_id", "ss_training_started_at"):
        said = metadata.get(key, "")
        if said and said != "None":
            return (key, said[:_LONGEST])
    return ("name", str(run_folder(path)), read.name.casefold())


def _run(key: tuple[str, ...], group: list[_Read]) -> TrainingRun:
    steps = [read.checkpoint.step for read in group]
    by_epoch = None in steps and all(read.checkpoint.epoch is not None for read in group[:-1])

    def saved(read: _Read) -> tuple[float, str]:
        one = read.checkpoint
        when = one.epoch if by_epoch else one.step
        return (float("inf") if when is None else float(when), str(one.path))

    ordered = sorted(group, key=saved)
    if key[0] == "name":
        rests_on = "Their names differ only in the step."
    else:
        rests_on = f"Their metadata name one training session ({key[0]})."
    name = min((read.name for read in group), key=len)
    return TrainingRun(name, tuple(read.checkpoint for read in ordered), rests_on)


def _read(file: TrainedFile) -> _Read:
    name, named = _by_name(file.path)
    claimed = _by_metadata(file.metadata)
    doubts = tuple(
        f"The name says {what} {named[what]:,}, the metadata {claimed[what]:,}; "
        "the metadata counts."
        for what in ("step", "epoch")
        if what in named and what in claimed and named[what] != claimed[what]
    )
    said = named | claimed
    return _Read(file, name, Checkpoint(file.path, said.get("step"), said.get("epoch"), doubts))


def _by_name(path: PurePath) -> tuple[str, dict[str, int]]:
    """What is left of the name without the numbers, and the numbers."""
    folder = _FOLDER.fullmatch(path.parent.name)
    if folder is not None and path.stem in _FOLDERS_FILE:
        return path.parent.parent.name or path.stem, {"step": int(folder["step"])}
    for pattern in _NAMES:
        found = pattern.fullmatch(path.stem)
        if found is not None:
            numbers = {key: int(value) for key, value in found.groupdict().items()
                       if key != "name"}  # fmt: skip
            return found["name"] or path.parent.name, numbers
    return path.stem, {}


def _by_metadata(metadata: Mapping[str, str]) -> dict[str, int]:
    """sd-scripts writes ``ss_steps`` and ``ss_epoch`` as of the moment of saving, ai-toolkit a
    JSON object ``training_info`` with both."""
    said: dict[str, object] = {"step": metadata.get("ss_steps"), "epoch": metadata.get("ss_epoch")}
    info = _json_object(metadata.get("training_info", ""))
    said = {key: value if value is not None else info.get(key) for key, value in said.items()}
    numbers = {key: _count(value) for key, value in said.items()}
    return {key: value for key, value in numbers.items() if value is not None}


def _json_object(text: str) -> Mapping[str, object]:
    if len(text) > _LONGEST:
        return {}
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}  # a claim that cannot be read claims nothing; the name still counts
    return read if isinstance(read, dict) else {}


def _count(value: object) -> int | None:
    text = str(value)
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else None
