"""A trial's files are a promise as records are: what was begun once is read for ever.

``trial_1`` was written by the first release that had trials, ``trial_2`` by the first that could
vary the finer strength; they never change. The latest was made by
``python -m tests.golden.test_trial_files tests/golden/trial_2``; a later format has its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from studio.contract.request import Overrides
from studio.errors import TrialError
from studio.trials.design import (
    FORMAT,
    CellRole,
    PictureFolder,
    TrialCell,
    TrialCheckpoint,
    TrialDesign,
    controls,
    prompts_of,
)
from studio.trials.halving import Goal, Leaver, RacingRule
from studio.trials.observations import Observation, PromptKind, TrialArm
from studio.trials.statistics import Interval, Resampling
from studio.trials.store import DESIGN, CellResult, Round, StoredTrial, TrialStore
from studio.trials.tournament import Duel
from tests.golden.fields import differences, fields, used

TRIALS = Path(__file__).parent
FILES: Mapping[str, type[BaseModel]] = {
    DESIGN: TrialDesign,
    "cells.jsonl": CellResult,
    "observations.jsonl": Observation,
    "rounds.jsonl": Round,
    "duels.jsonl": Duel,
}
"""Every file of a trial, with the model of it or of its lines."""
FINGERPRINTS = {
    1: "9fe334e1a4648710fc40ad7d5560739a4b56b1da420cb8227ef85974ed7e8014",
    2: "c99c6183e005f2652ea2e87f7e373e8e7ad48a0fc61b6125f0d2fcc57ce5ff21",
}
"""Format → of the design; no file can change along with the code."""
FINER = {1: "", 2: "te=0.4:until=6"}
"""Format → what is said besides the strength."""
of_each_format = pytest.mark.parametrize("number", FINGERPRINTS)


def folder(number: int) -> Path:
    return TRIALS / f"trial_{number}"


def arms(number: int) -> list[TrialArm]:
    return [
        TrialArm(checkpoint=str(step), step=step, strength=0.8, finer=FINER[number])
        for step in (500, 1000)
    ]


def sha(number: int) -> str:
    return f"{number:064x}"


def design(number: int) -> TrialDesign:
    """One that says something in every field of its format."""
    checkpoints = [
        TrialCheckpoint(
            name=str(step),
            step=step,
            slug=f"my-lora-{step}",
            path=f"/training/my-lora-{step:09d}.safetensors",
            sha256=sha(step),
            same_as="500" if step == 1500 else None,
            inert=step == 2000,
        )
        for step in (500, 1000, 1500, 2000)
    ]
    return TrialDesign(
        name="my-lora",
        created_at="2026-11-30T12:00:00+00:00",
        base="mini",
        run="my-lora",
        checkpoints=tuple(checkpoints),
        strengths=(0.8,),
        prompts=prompts_of(["a rocket, {trigger}"], ["a duck"], "ohwx"),
        rule=RacingRule(
            goals=(Goal(measure="leak", kind=PromptKind.TRIGGER, more=False),),
            seeds=(7, 8, 9, 10),
            first=2,
            resampling=Resampling(seed=3, draws=200),
        ),
        trigger="ohwx",
        negative="blurry",
        settings=Overrides(steps=2, width=64, height=64),
        images=40,
        minutes=1.5,
        plugins=("training.mini.measure:Drawing",),
        holdout=PictureFolder(folder="/pictures/held-out", files=(sha(1),)),
        training=PictureFolder(folder="/pictures/trained", files=(sha(2), sha(3))),
        clip_sha256=sha(4),
        finer=(FINER[number],),
    )


def make(outputs: Path, number: int) -> StoredTrial:
    """The trial of all fields, written as the studio writes one."""
    stored, made_of = TrialStore(outputs).begin(design(number)), arms(number)
    base = TrialArm(checkpoint="base", step=0, strength=0.0)
    kind = PromptKind.TRIGGER
    first = TrialCell(role=CellRole.BASE, arm=base, prompt="p1", kind=kind, seed=7)
    others = [first.beside(role=CellRole.ARM, arm=arm) for arm in made_of]
    for number, cell in enumerate([first, *others, *controls(stored.design())]):
        stored.add_result(
            CellResult(
                cell=cell,
                picture=f"2026-11-30/my-lora-{number}.png",
                plan=sha(10 + number),
                record=sha(20 + number),
                pixels=sha(30 + number),
                effect=0.25,
                noise=sha(5),
                device="cpu",
                base_held=number != 4,
                seconds=1.5,
                reused=number == 2,
            )
        )
    far = others[0].beside(kind=PromptKind.FAR, prompt="f1", seed=8)
    plain = others[0].beside(kind=PromptKind.PLAIN, seed=8)
    stored.add_result(CellResult(cell=far, problem="It could not be made."))
    stored.add_result(CellResult(cell=plain, problem="Nor this."))
    stored.add_observations(
        Observation(
            arm=cell.arm,
            prompt=cell.prompt,
            kind=cell.kind,
            seed=cell.seed,
            measure="likeness",
            value=0.7,
            base=0.5,
            picture=sha(31),
            base_picture=sha(30),
            duplicate_of=sha(32),
        )
        for cell in (others[0], far, plain)
    )
    apart = Interval(
        confidence=0.95, median=-0.2, low=-0.3, high=-0.1, pairs=12, prompts=3, seeds=4,
        over=("prompts", "seeds"), error=0.05, freedom=4.5,
    )  # fmt: skip
    leaver = Leaver(arm=made_of[1], round=1, beaten_by=made_of[0], differences=(apart,))
    stored.add_round(Round(number=1, seeds=(7, 8), arms=tuple(made_of), out=(leaver,)))
    for side in ("left", "right", "equal"):
        stored.add_duel(
            Duel(
                left=made_of[0],
                right=made_of[1],
                prompt="p1",
                seed=7,
                choice=side,
                swapped=side == "right",
                by="anna",
            )
        )
    return stored


def all_fields() -> dict[str, str]:
    return {path: kind for model in FILES.values() for path, kind in fields(model).items()}


def written(number: int) -> set[str]:
    """Every path in the golden files, as JSON alone reads them."""
    return {
        path
        for name, model in FILES.items()
        for text in _texts(folder(number) / name)
        for path in used(model.__name__, json.loads(text))
    }


def _texts(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [text] if path.name == DESIGN else text.splitlines()


@of_each_format
def test_an_earlier_trial_is_read(number: int) -> None:
    trial = StoredTrial(TRIALS, folder(number))
    assert trial.design() == design(number)
    assert trial.design().format == number
    assert trial.design().fingerprint == FINGERPRINTS[number]
    assert len(trial.results()) == 7
    assert len(trial.duels()) == 3
    # One checkpoint equals the first and shares its numbers; one does nothing and shows the base.
    shown = {each.arm.checkpoint for each in trial.observations()}
    assert shown == {"500", "1500", "2000"}
    assert [each.out[0].arm for each in trial.rounds()] == [arms(number)[1]]


@of_each_format
@pytest.mark.parametrize("name", FILES)
def test_it_is_written_as_it_was(name: str, number: int, tmp_path: Path) -> None:
    """Byte by byte: an earlier studio reads what this one writes of an earlier trial."""
    made = make(tmp_path, number).folder / name
    assert made.read_bytes() == (folder(number) / name).read_bytes()


def listed_fields(number: int) -> dict[str, str]:
    kinds: dict[str, str] = json.loads((folder(number) / "fields.json").read_text("utf-8"))
    return kinds


@of_each_format
def test_fields_are_only_added_and_left_out_while_they_say_nothing(number: int) -> None:
    before = listed_fields(number)
    now = all_fields()
    # A format adds itself.
    before["TrialDesign.format"] = now["TrialDesign.format"]
    kinds = {path: kind for path, kind in now.items() if path not in before}
    optional = {path for path, kind in kinds.items() if ", left out" in kind}
    bad = [
        line
        for line in differences(before, now)
        if not line.startswith("added: ")
        or not any(line.removeprefix("added: ").startswith(path) for path in optional)
    ]
    assert bad == []


@of_each_format
def test_the_golden_files_use_every_field(number: int) -> None:
    before = listed_fields(number)
    # Of the settings that may be asked for, some are enough: they are records' own.
    wanted = {path for path in before if not path.startswith("TrialDesign.settings.")}
    assert wanted - written(number) == set()


def test_a_trial_of_a_newer_studio_says_so(tmp_path: Path) -> None:
    trial = make(tmp_path, FORMAT)
    newer = {"format": FORMAT + 1}
    plain = json.loads((trial.folder / DESIGN).read_text(encoding="utf-8")) | newer
    (trial.folder / DESIGN).write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(TrialError, match="Update the studio"):
        trial.design()


def main(target: Path) -> None:
    made = make(target, FORMAT)
    for name in FILES:
        (target / name).write_bytes((made.folder / name).read_bytes())
        (made.folder / name).unlink()
    made.folder.rmdir()
    made.folder.parent.rmdir()
    text = json.dumps(all_fields(), indent=1, ensure_ascii=False)
    (target / "fields.json").write_text(text + "\n", encoding="utf-8")
    print(design(FORMAT).fingerprint)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
