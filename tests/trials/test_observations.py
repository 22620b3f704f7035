from studio.trials.observations import Observation, PromptKind, TrialArm

ARM = TrialArm(checkpoint="1500", step=1500, strength=0.8)


def _observation(value: float, base: float | None) -> Observation:
    return Observation(
        arm=ARM,
        prompt="p1",
        kind=PromptKind.TRIGGER,
        seed=7,
        measure="clip",
        value=value,
        base=base,
        picture="a" * 64,
    )


def test_an_observation_is_paired_with_the_base_of_its_prompt_and_seed() -> None:
    seen = _observation(0.75, base=0.5)
    assert (seen.pair, seen.paired) == (("p1", 7), 0.25)


def test_a_measure_that_is_a_difference_stands_for_itself() -> None:
    assert _observation(0.75, base=None).paired == 0.75


def test_an_observation_survives_its_file() -> None:
    seen = _observation(0.75, base=0.5)
    assert Observation.model_validate_json(seen.model_dump_json()) == seen
