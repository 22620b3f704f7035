"""The resolved prompt: trigger words marked, appended once, never cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.contract.prompt import PartKind, PromptPart, kept_text
from studio.presets.prompt_tags import prompt_tags
from studio.resolve.compel_syntax import (
    compel_words,
    has_compel_call,
    has_compel_weights,
    syntax_without_effect,
)
from studio.resolve.compose import Wanted, compose, find_phrases, fit_to_window, merge_wanted
from studio.resolve.foreign import a1111_weights

INK = (Wanted("phrsink", ("ink",)), Wanted("pen and ink illustration", ("ink",)))


def words(text: str) -> list[tuple[int, int]]:
    """A token counter: one token a word."""
    return [match.span() for match in re.finditer(r"\w+", text)]


def composed(typed: str, wanted: tuple[Wanted, ...] = INK) -> str:
    return kept_text(compose(typed, wanted, PartKind.TRIGGER))


def test_missing_phrases_are_appended_in_order() -> None:
    assert composed("a rocket") == "a rocket, phrsink, pen and ink illustration"


def test_a_phrase_that_is_there_stays_where_it_is() -> None:
    assert composed("phrsink drawing of a rocket") == (
        "phrsink drawing of a rocket, pen and ink illustration"
    )


def test_case_and_white_space_do_not_hide_a_phrase() -> None:
    assert composed("PHRSINK, Pen  and ink\nillustration") == (
        "PHRSINK, Pen  and ink\nillustration"
    )


def test_a_phrase_inside_a_word_is_not_the_phrase() -> None:
    assert composed("phrsinker", (INK[0],)) == "phrsinker, phrsink"


def test_a_trailing_comma_is_not_doubled() -> None:
    assert composed("a rocket,", (INK[0],)) == "a rocket, phrsink"


def test_typed_phrases_are_marked_with_their_lora() -> None:
    parts = compose("a (phrsink)1.3 rocket", (INK[0],), PartKind.TRIGGER)
    assert [(part.text, part.kind, part.slugs) for part in parts] == [
        ("a (", PartKind.TYPED, ()),
        ("phrsink", PartKind.TRIGGER, ("ink",)),
        (")1.3 rocket", PartKind.TYPED, ()),
    ]


def test_a_longer_phrase_wins_over_one_inside_it() -> None:
    wanted = merge_wanted([("photo", "real"), ("portrait photo", "real")])
    assert composed("portrait photo of a dog", wanted) == "portrait photo of a dog, photo"


def test_two_loras_with_the_same_phrase_share_it() -> None:
    wanted = merge_wanted([("Sketch", "one"), ("sketch", "two"), ("ink", "two")])
    assert wanted == (Wanted("Sketch", ("one", "two")), Wanted("ink", ("two",)))


def test_tokens_with_brackets_are_found() -> None:
    found = find_phrases("a chair, <ostrisv3>", (Wanted("<ostrisv3>", ("ostris",)),))
    assert [(item.start, item.end) for item in found] == [(9, 19)]


@given(st.text(), st.lists(st.text("ab <>", min_size=1).filter(str.strip), max_size=4))
def test_every_wanted_phrase_ends_up_in_the_text_and_nothing_typed_is_lost(
    typed: str, phrases: list[str]
) -> None:
    wanted = merge_wanted([(" ".join(phrase.split()), "x") for phrase in phrases])
    parts = compose(typed, wanted, PartKind.TRIGGER)
    text = kept_text(parts)
    assert text.startswith(typed.strip())
    marked = {part.text.lower() for part in parts if part.kind is PartKind.TRIGGER}
    assert {item.phrase.lower() for item in wanted} <= {" ".join(m.split()) for m in marked}


@given(
    st.lists(st.sampled_from(["red", "rocket", "phrsink", "sky,"]), max_size=30),
    st.integers(5, 20),
)
def test_cutting_takes_typed_words_from_the_end_and_keeps_triggers(
    typed: list[str], limit: int
) -> None:
    parts = compose(" ".join(typed), INK, PartKind.TRIGGER)
    triggers = "".join(part.text for part in parts if part.kind is PartKind.TRIGGER)
    fitted = fit_to_window(parts, lambda text: len(words(text)) <= limit)
    if fitted is None:
        bare = " ".join(part.text for part in parts if part.kind is PartKind.TRIGGER)
        assert len(words(bare)) > limit
        return
    assert len(words(kept_text(fitted))) <= limit
    assert "".join(part.text for part in fitted if part.kind is PartKind.TRIGGER) == triggers
    typed_parts = [part.text for part in parts if part.kind is PartKind.TYPED]
    fitted_parts = [part.text for part in fitted if part.kind is PartKind.TYPED]
    assert "".join(fitted_parts) == "".join(typed_parts)
    assert len(find_phrases(kept_text(fitted), INK)) == len(find_phrases(kept_text(parts), INK))
    cut = [part.cut for part in fitted if part.kind is PartKind.TYPED]
    assert cut == sorted(cut)


def test_the_longest_prompt_that_fits_is_kept() -> None:
    parts = (PromptPart(text="one two three four", kind=PartKind.TYPED),)
    fitted = fit_to_window(parts, lambda text: len(words(text)) <= 3)
    assert fitted is not None
    assert kept_text(fitted) == "one two three"


def test_a1111_weights_are_named_with_what_compel_writes() -> None:
    assert a1111_weights("a (red rocket:1.3) and (sky: 0.8)") == (
        ("(red rocket:1.3)", "(red rocket)1.3"),
        ("(sky: 0.8)", "(sky)0.8"),
    )


@pytest.mark.parametrize("text", ["rocket++", "a (red rocket)1.2", "(sky)-", '("a", "b").and()'])
def test_compel_weights_are_recognised(text: str) -> None:
    assert has_compel_weights(text)


@pytest.mark.parametrize("text", ["a rocket", "black-and-white", "well - no", "1.5"])
def test_plain_text_has_no_compel_weights(text: str) -> None:
    assert not has_compel_weights(text)
    assert compel_words(text) == text


def test_weights_brackets_and_quotes_are_left_out_of_the_count() -> None:
    assert words(compel_words("a (red rocket)1.3, sky++")) == words("a  red rocket , sky")
    assert compel_words('a "b" \\(c\\)') == "a  b  (c)"


def test_syntax_that_nobody_obeys_is_found() -> None:
    assert syntax_without_effect("a cat.swap(dog)") == (".swap()",)
    assert syntax_without_effect("a cat withLora(ink, 0.8)") == ("withLora()",)
    assert syntax_without_effect('("a", "b").blend(1, 1)') == ()


def test_calls_and_tags() -> None:
    assert has_compel_call('("a", "b").blend(0.5, 0.5)')
    tags = prompt_tags("a <lora:ink:0.8:0.5> b <LyCO:x> <hypernet:h:no>")
    assert [tag.written for tag in tags] == ["<lora:ink:0.8:0.5>", "<LyCO:x>", "<hypernet:h:no>"]
    assert [tag.strength for tag in tags] == [0.5, 1.0, None]
    assert [tag.text_encoders for tag in tags] == [0.8, None, None]


@pytest.mark.parametrize(
    ("said", "denoiser", "text_encoders", "more"),
    [
        ("0.8:0.5", 0.5, 0.8, ()),
        ("0.8:0.8", 0.8, None, ()),
        ("te=0.4:unet=1", 1.0, 0.4, ()),
        ("0.8:unet=0.3", 0.3, 0.8, ()),
        ("0.8:te=0.3", 0.3, None, ()),  # the denoiser's follows the text encoders'
        ("unet=0", 0.0, 1.0, ()),
        ("1:1:8:lbw=MIDD", 1.0, None, ("8", "lbw=MIDD")),
        ("x:0.5", None, None, ()),
    ],
)
def test_a_tag_says_two_strengths_as_a1111_reads_them(
    said: str, denoiser: float | None, text_encoders: float | None, more: tuple[str, ...]
) -> None:
    (tag,) = prompt_tags(f"a cat <lora:ink:{said}>")
    assert (tag.strength, tag.more) == (denoiser, more)
    assert denoiser is None or tag.text_encoders == text_encoders
