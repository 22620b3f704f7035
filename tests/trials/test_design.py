"""A trial's cells, their order and cost, and its prompts."""

from pathlib import Path

import pytest

from studio.errors import TrialError
from studio.trials.design import (
    CellRole,
    TrialCheckpoint,
    TrialDesign,
    cells,
    controls,
    cost,
    prompts_of,
    text_of,
)
from studio.trials.halving import Goal, RacingRule
from studio.trials.observations import PromptKind
from studio.trials.trial_text import TrialText

WORDS = "ohwx, ink"


def design(count: int = 3, trigger: str = WORDS) -> TrialDesign:
    checkpoints = tuple(
        TrialCheckpoint(
            name=str(step), step=step, slug=f"run-{step}", path=f"/x/run-{step}.safetensors",
            sha256=f"{step:064x}", same_as="200" if step == 300 else None,
        )
        for step in range(100, 100 * count + 1, 100)
    )  # fmt: skip
    return TrialDesign(
        name="run",
        created_at="2026-11-30T12:00:00+00:00",
        base="tiny",
        run="run",
        checkpoints=checkpoints,
        strengths=(0.6, 1.0),
        prompts=prompts_of(["a rocket", "a duck"], ["a fox"], trigger),
        rule=RacingRule(goals=(Goal(measure="contrast"),), seeds=(5, 6, 7), first=1),
        trigger=trigger,
    )


def test_a_checkpoint_with_an_earlier_ones_weights_has_no_pictures_of_its_own() -> None:
    assert [arm.checkpoint for arm in design().arms] == ["100", "100", "200", "200"]


def test_each_checkpoint_is_switched_on_once_a_strength_and_the_base_comes_first() -> None:
    made = list(cells(design(), design().arms, [5, 6]))
    assert len(made) == cost(design(), 4, 2) == len({cell.key for cell in made})
    changes = [one.arm for one, other in zip(made, [None, *made], strict=False)
               if other is None or one.arm != other.arm]  # fmt: skip
    assert changes == [made[0].of_base.arm, *design().arms]
    # Equal prompts follow one another, so that none is encoded twice for a state.
    texts = [(cell.arm, cell.kind, cell.prompt) for cell in made]
    assert texts == [text for text in dict.fromkeys(texts) for _ in range(2)]


def test_every_arm_is_measured_against_a_base_cell_that_is_made() -> None:
    made = {cell.key for cell in cells(design(), design().arms, [5])}
    assert all(cell.of_base.key in made for cell in (*cells(design(), design().arms, [5]),
                                                      *controls(design())))  # fmt: skip
    zero, again = controls(design())
    assert (zero.role, zero.arm.strength) == (CellRole.SCALE_ZERO, 0.0)
    assert again.role is CellRole.BASE_AGAIN


def test_prompts_stand_in_pairs_with_and_without_the_trigger_words() -> None:
    kinds = [(each.name, each.kind) for each in design().prompts]
    plain, trigger, far = PromptKind.PLAIN, PromptKind.TRIGGER, PromptKind.FAR
    assert kinds == [("p1", plain), ("p1", trigger), ("p2", plain), ("p2", trigger), ("f1", far)]


def test_without_trigger_words_every_prompt_of_the_subject_is_what_the_lora_is_for() -> None:
    kinds = {each.kind for each in design(trigger="").prompts}
    assert kinds == {PromptKind.TRIGGER, PromptKind.FAR}


@pytest.mark.parametrize(
    ("typed", "kind", "text"),
    [
        ("a {trigger} dog", PromptKind.TRIGGER, "a ohwx, ink dog"),
        ("a {trigger} dog", PromptKind.PLAIN, "a dog"),
        ("a dog, {trigger}, day", PromptKind.PLAIN, "a dog, day"),
        ("{trigger}, a dog", PromptKind.PLAIN, "a dog"),
        ("a dog, {trigger}", PromptKind.PLAIN, "a dog"),
        ("a dog", PromptKind.TRIGGER, "a dog"),
    ],
)
def test_a_prompt_can_say_where_its_words_go(typed: str, kind: PromptKind, text: str) -> None:
    prompts = prompts_of([typed], [], WORDS)
    assert text_of(next(each for each in prompts if each.kind is kind), WORDS) == text


def test_the_fingerprint_follows_what_decides_the_trial() -> None:
    assert design().fingerprint == design().fingerprint
    assert design().fingerprint != design(trigger="ohwx").fingerprint


def test_a_text_beside_the_files_says_what_they_are_tried_on(tmp_path: Path) -> None:
    (tmp_path / "trial.txt").write_text(
        "# a comment\nbase: mini\ntrigger: ohwx\na rocket: the blue one\n\nfar: a fox\n"
    )
    said = TrialText.beside([tmp_path / "run-000001.safetensors"])
    assert said == TrialText("mini", "ohwx", "", ("a rocket: the blue one",), ("a fox",))
    assert TrialText.beside([tmp_path / "below" / "x.safetensors"]).trigger is None


def test_a_text_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "trial.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(TrialError, match=r"trial\.txt"):
        TrialText.beside([tmp_path / "run.safetensors"])
