"""Measures, spreads, exact intervals and what votes add up to."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from studio.comparison.numbers import Spread
from studio.comparison.votes import BlindVote, Choice, clopper_pearson, conclusion, tally
from studio.imaging.difference import difference_png, measure
from tests.support.records import flat, noise


def test_equal_pictures_are_equal_and_opposite_ones_are_not() -> None:
    same = measure(noise(), noise())
    assert same is not None
    assert (same.mean_absolute_difference, same.structural_similarity) == (0.0, 1.0)
    apart = measure(flat(color=(0, 0, 0)), flat(color=(255, 255, 255)))
    assert apart is not None
    assert apart.mean_absolute_difference == 1.0
    assert apart.structural_similarity is not None
    assert apart.structural_similarity < 0.01


def test_other_sizes_have_no_measures_and_tiny_ones_no_similarity() -> None:
    assert measure(flat(32, 32), flat(64, 32)) is None
    tiny = measure(flat(4, 4), flat(4, 4))
    assert tiny is not None
    assert tiny.structural_similarity is None


def test_the_difference_picture_is_brightened_to_white() -> None:
    left, right = flat(color=(10, 10, 10)), flat(color=(10, 61, 10))
    right.putpixel((0, 0), (10, 10, 10))
    data, gain = difference_png(left, right)
    image = Image.open(io.BytesIO(data))
    assert (image.mode, image.getpixel((0, 0)), image.getpixel((1, 1))) == ("L", 0, 255)
    assert gain == pytest.approx(5.0)
    assert difference_png(left, left)[1] == 1.0


def test_a_spread_is_median_quartiles_and_extremes() -> None:
    spread = Spread.of([5, 1, 2, 4, 3])
    assert (spread.low, spread.first_quartile, spread.median) == (1, 2, 3)
    assert (spread.third_quartile, spread.high, spread.count) == (4, 5, 5)
    assert Spread.of([0.5]).median == 0.5
    with pytest.raises(ValueError, match="needs a value"):
        Spread.of([])


# Bounds as scipy.stats.binomtest(k, n).proportion_ci(method="exact") gives them.
@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (0, 10), (5, 10), (9, 10), (10, 10), (7, 33)]
)
def test_the_interval_is_the_exact_one(successes: int, trials: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(successes, trials).proportion_ci(method="exact")
    assert clopper_pearson(successes, trials, 0.95) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_holds_the_share_and_mirrors(one: int, other: int) -> None:
    low, high = clopper_pearson(one, one + other, 0.95)
    if one + other:
        assert low <= one / (one + other) <= high
    mirrored = clopper_pearson(other, one + other, 0.95)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(515, 1030), (1, 1030), (2400, 5000)])
def test_the_interval_goes_on_where_factorials_end(successes: int, trials: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(successes, trials).proportion_ci(method="exact")
    assert clopper_pearson(successes, trials, 0.95) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


def vote(choice: Choice, test: str = "one", seed: int = 0) -> BlindVote:
    return BlindVote(
        comparison="c" * 64,
        left=f"{seed:064x}",
        right=f"{seed + 1000:064x}",
        choice=choice,
        swapped=False,
        at="2026-11-22T15:30:12Z",
        test=test,
    )


def test_ties_stand_beside_the_interval() -> None:
    counted = tally(vote("right" if seed < 8 else "equal", seed=seed) for seed in range(13))
    assert (counted.left, counted.right, counted.equal) == (0, 8, 5)
    assert counted.share_low == pytest.approx(0.6306, abs=1e-4)
    said = conclusion(counted, "Base", "LoRA")
    assert "“LoRA” was preferred in 8 of 8" in said
    assert said.endswith("Chance alone does not explain it.")
    assert "could explain" in conclusion(
        tally([vote("left"), vote("right", seed=1)]), "Base", "LoRA"
    )
    assert "“Base” won" in conclusion(
        tally(vote("left", seed=seed) for seed in range(8)), "Base", "LoRA"
    )
    assert "no interval" in conclusion(tally([vote("equal")]), "Base", "LoRA")


def test_a_pair_counts_once_in_a_sitting_by_its_last_vote() -> None:
    counted = tally([vote("left"), vote("right"), vote("right")])
    assert (counted.left, counted.right) == (0, 1)
    assert "n = 1" in conclusion(counted, "Base", "LoRA")
    assert "sittings" not in conclusion(counted, "Base", "LoRA")


def test_a_pair_that_is_judged_again_is_no_new_evidence() -> None:
    counted = tally(vote("right", f"sitting {number}") for number in range(7))
    assert (counted.right, counted.votes, counted.sittings) == (1, 7, 7)
    said = conclusion(counted, "Base", "LoRA")
    assert "n = 1)" in said
    assert "Chance alone could explain it" in said
    assert "7 votes on 1 pair in 7 sittings" in said


@pytest.mark.parametrize(
    ("choices", "counts"),
    [
        (("left", "right"), (0, 0, 1)),
        (("left", "right", "right"), (0, 1, 0)),
        (("left", "equal", "equal"), (0, 0, 1)),
        (("left", "equal", "left"), (1, 0, 0)),
    ],
)
def test_sittings_that_disagree_are_decided_by_most(
    choices: tuple[Choice, ...], counts: tuple[int, int, int]
) -> None:
    counted = tally(vote(choice, str(number)) for number, choice in enumerate(choices))
    assert (counted.left, counted.right, counted.equal) == counts
