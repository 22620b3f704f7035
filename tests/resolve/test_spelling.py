"""What the studio writes itself reaches the encoder as those characters."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studio.contract.prompt import PartKind, kept_text
from studio.presets.rules import as_characters, split_phrases
from studio.resolve.compel_parser import refusal
from studio.resolve.compel_syntax import as_compel_reads, compel_words, loses_marks, zero_weighted
from studio.resolve.compose import Wanted, compose

CLIP_WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")
"""How CLIP's tokenizer splits a text before it looks for its tokens, but for mixed signs."""

signs = st.text("ab 1()\"+-\\.,=:_<>[]!'", min_size=1, max_size=12).filter(str.strip)


def read(text: str) -> tuple[list[str], set[float]]:
    """What Compel's own parser gives the encoder: CLIP's words, and their weights."""
    from compel.prompt_parser import PromptParser

    (prompt,) = PromptParser().parse_conjunction(text).prompts
    words = " ".join(fragment.text for fragment in prompt.children)
    return CLIP_WORD.findall(words), {fragment.weight for fragment in prompt.children}


@settings(deadline=None)
@given(signs, st.sampled_from(["", "a rocket", "a (red rocket)", "(a (red", 'say "', "a)"]))
@example("artist (series)", "")
@example("c++", "a rocket")
@example("retro-", "(a")
@example('the "x"', "(a")
@example(":-)", "")
@example("x)2", "(a")
def test_what_compel_is_told_it_reads_as_characters(phrase: str, typed: str) -> None:
    phrase = " ".join(phrase.replace(",", " ").split())
    spelled = as_compel_reads(phrase)
    if spelled is None or not phrase or ('"' in phrase and '"' in typed):
        return
    parts = compose(typed, [Wanted(phrase, ("x",))], PartKind.TRIGGER, compel=True)
    text = kept_text(parts)
    assert refusal(text) is None
    before = read(kept_text(parts[:-1])) if parts[:-1] else ([], set[float]())
    words, weights = read(text)
    if parts[-1].text == spelled:  # else it stood in what was typed
        assert words[len(words) - len(CLIP_WORD.findall(phrase)) :] == CLIP_WORD.findall(phrase)
        assert weights <= {1.0} | before[1]
        assert CLIP_WORD.findall(compel_words(spelled)) == CLIP_WORD.findall(phrase)


@pytest.mark.parametrize("phrase", ["\\(x", "(x)+", "!++", "_-"])
def test_what_compel_cannot_be_told_is_none(phrase: str) -> None:
    assert as_compel_reads(phrase) is None


@pytest.mark.parametrize(
    ("typed", "phrase", "native", "compel"),
    [
        ("", "artist (series)", "artist (series)", "artist \\(series\\)"),
        ("artist \\(series\\)", "artist (series)", "artist (series)", "artist \\(series\\)"),
        ("a Artist  (series) b", "artist (series)", None, "a Artist  \\(series\\) b"),
        ("c++, d", "c++", "c++, d", "c ++, d"),
        ("c\\+\\+, d", "c++", "c++, d", "c ++, d"),
        ("c ++, d", "c++", None, "c ++, d"),
        ("(artist (series))1.2", "artist (series)", None, "(artist \\(series\\))1.2"),
        ("(retro+ style)1.2", "retro+", None, "(retro+ style)1.2, retro +"),
    ],
)
def test_two_spellings_are_one_trigger(
    typed: str, phrase: str, native: str | None, compel: str
) -> None:
    wanted = [Wanted(phrase, ("x",))]
    assert kept_text(compose(typed, wanted, PartKind.TRIGGER, compel=True)) == compel
    text = kept_text(compose(typed, wanted, PartKind.TRIGGER))
    assert text == (typed if native is None else native)


def test_a_preset_s_escapes_are_characters() -> None:
    assert as_characters("artist \\(series\\), \\[x\\]") == "artist (series), [x]"
    assert split_phrases("artist \\(series\\)，c\\+\\+ , ,") == ("artist (series)", "c++")
    assert as_characters("a\\b") == "a\\b"


def test_marks_that_give_a_weight_are_not_lost() -> None:
    assert not loses_marks('(a)1.2, "b"++, c++ \\(d\\)')
    assert loses_marks("(a)1.2 (b)")
    assert loses_marks('(a) 2 "b"')
    assert zero_weighted("(artist \\(series\\))0, (b) 0") == ("artist \\(series\\)",)
