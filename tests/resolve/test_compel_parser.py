"""What a plan agrees to, Compel's own parser reads, and soon."""

import subprocess
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.contract.violations import Violation
from studio.resolve import compel_parser, resolve
from studio.resolve.compel_parser import refusal
from studio.resolve.compel_syntax import most_open_brackets
from studio.resolve.text_checks import MAX_OPEN_BRACKETS
from tests.resolve.test_resolve import CATALOG, RUNTIME, ask, inventory

SECONDS = 15.0
"""For any text: ten times what the slowest takes on an idle machine, for busy ones."""

PIECES = (
    *("(", "(((", ")", "))", ")1.2", ")++", ").and()", ").blend(1,1)", ").blend(0,0)", ").swap("),
    *(").attend(", "+", "-", "--", ".", ",", "=", "\\(", "\\)", "a", "cat", "1", "1.5", '"'),
    *('\\"', "()", "(a)", '("a","b")', "useLora(", "withLora(a,1)", ":", "[", "|", "猫", "\\"),
)
texts = st.lists(st.sampled_from([*PIECES, " ", "\n"]), max_size=40).map("".join)


def planned(prompt: str, negative: str = "") -> RunPlan | tuple[Violation, ...]:
    request = ask(prompt=prompt, negative_prompt=negative, prompt_encoder=PromptEncoder.COMPEL)
    return resolve(request, CATALOG, inventory(), RUNTIME)


def found(answer: RunPlan | tuple[Violation, ...]) -> dict[str, str]:
    assert not isinstance(answer, RunPlan), "it was planned"
    return {violation.code: violation.field for violation in answer}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 8 + "cat",
        "(((a cat:1.2), (((a dog:1.3), (((sky:1.1)",
        "(" * 8 + "cat" + ")" * 8,
        "(((a:1.2) " * 3,
        "(" * MAX_OPEN_BRACKETS + "cat",
        '("a" ' * MAX_OPEN_BRACKETS + '"b" ' * 900,
        '("a", ' * MAX_OPEN_BRACKETS,
        "((((((((a)))))))) " * 270,
        "((a.swap(b " * 8,
    ],
)
def test_what_took_for_ever_is_read_at_once(text: str) -> None:
    start = time.process_time()
    refusal(text)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("text", ['"' * 5_000, '("', "a -b ", "=+", ").and("])
def test_hostile_marks_are_refused_unread(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(_: str) -> str:
        raise AssertionError("the parser got it")

    monkeypatch.setattr(compel_parser, "_refusal", unread)
    many = (text * 5_000)[:5_000]
    reason = refusal(many)
    assert reason is not None
    assert "more than are read in time" in reason
    codes = found(planned(many)).keys()
    assert codes & {"text_unparsable", "brackets_too_deep", "call_not_whole"}


@pytest.mark.parametrize("side", ["prompt", "negative_prompt"])
def test_too_many_open_brackets_are_a_violation_of_either_side(side: str) -> None:
    for text in ("(" * 20_000, "(a " * 6_000, "(" * 17 + "a" + ")" * 17, ":( " * 17):
        texts = {"prompt": "a cat", "negative_prompt": ""} | {side: text}
        assert found(planned(texts["prompt"], texts["negative_prompt"])) == {
            "brackets_too_deep": side
        }


def test_escaped_and_closed_brackets_do_not_count() -> None:
    assert most_open_brackets("\\(" * 40) == 0
    assert most_open_brackets("(a) " * 40) == 1
    assert most_open_brackets("\\\\(a") == 1
    assert most_open_brackets(")))(((") == 3


def test_the_native_encoder_reads_brackets_as_words() -> None:
    request = ask(prompt="(" * 20 + "cat", prompt_encoder=PromptEncoder.NATIVE)
    assert isinstance(resolve(request, CATALOG, inventory(), RUNTIME), RunPlan)


@pytest.mark.parametrize("side", ["prompt", "negative_prompt"])
@pytest.mark.parametrize(
    "text",
    [
        "()",
        "( )",
        "(a)" + "9" * 400,
        '("a","b").blend(x,y)',
        '("a","b").blend(1,-1)',
        '("a","b").and(a=1,1)',
    ],
)
def test_what_the_parser_refuses_is_a_violation(side: str, text: str) -> None:
    texts = {"prompt": "a cat", "negative_prompt": ""} | {side: text}
    answer = planned(texts["prompt"], texts["negative_prompt"])
    assert found(answer) == {"text_unparsable": side}


def test_words_without_syntax_may_be_long_and_weighted_ones_are_bounded() -> None:
    assert isinstance(planned("cat, " * 4_000), RunPlan)
    assert found(planned("(cat) " * 1_000)) == {"text_too_large": "prompt"}


@settings(max_examples=150, deadline=None)
@given(texts)
@example("()")
@example('("a", "b").blend(0, 0)')
@example('(()) "a".swap(b)')
def test_what_is_not_refused_compel_itself_reads(text: str) -> None:
    from compel.prompt_parser import PromptParser

    if most_open_brackets(text) > MAX_OPEN_BRACKETS:
        return
    if refusal(text) is None:
        start = time.perf_counter()
        assert PromptParser().parse_conjunction(text).prompts
        assert time.perf_counter() - start < SECONDS


WORDS = ("a red cat", "photo. ", " ", " ", ", ", "black-and-white", "(", "(", ")", ")1.2", ")++ ")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, *WORDS, *WORDS]), max_size=30).map("".join),
)
@example("(, )")
@example("((a b)1.2 c)++, (d)")
@example("( a (b)1.2c )")
@example("(a)99.9999 (b)100")
@example("a.swap(b c, d)")
@example('"a b" "c"++ d- ("e")')
@example('("a (b)1.2", "c-d e-").and(1, 2)')
def test_what_is_left_out_changes_no_verdict(text: str) -> None:
    if most_open_brackets(text) <= MAX_OPEN_BRACKETS:
        whole = compel_parser._refusal.__wrapped__(text)
        assert (refusal(text) is None) == (whole is None)


def test_plain_words_and_closed_weights_cost_nothing() -> None:
    text = "(a red cat)1.2, ((masterpiece)), (sky (blue)1.1)++, on the mat. " * 70
    assert compel_parser._skeleton(text.strip()) == "x"
    assert compel_parser._skeleton('a++ b- "a cat" (dog)++ ' * 70).split() == ["x"]
    assert compel_parser._skeleton("((a cat, " * 3) == "((x ((x ((x "


@settings(max_examples=100, deadline=None)
@given(texts)
def test_words_without_syntax_are_never_refused(text: str) -> None:
    plain = "".join(character for character in text if character not in '()"+-')
    from compel.prompt_parser import PromptParser

    assert refusal(plain) is None
    assert PromptParser().parse_conjunction(plain).prompts


def test_no_torch_comes_with_the_grammar() -> None:
    program = (
        "import sys; from studio.resolve.compel_parser import refusal; refusal('(a)1.2'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_deepest_that_is_allowed_is_read_from_a_deep_stack() -> None:
    def from_below(frames: int, text: str) -> str | None:
        return from_below(frames - 1, text) if frames else refusal(text)

    for opening, closing in (("(a ", ")"), ("(", ")1.2"), ("(a).swap(", ")"), ('("', '")')):
        text = opening * MAX_OPEN_BRACKETS + "b" + closing * MAX_OPEN_BRACKETS
        assert from_below(300, text) is None


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("(a)1000", True),
        ("(a)1001", False),
        ("(a)" + 41 * "9", False),
        ("((a)900)900", False),
        ("a" + 40 * "+", True),
        ("a" + 90 * "+", False),
        ('("a", "b").blend(2000, 1)', False),
    ],
)
def test_a_weight_that_nothing_can_be_computed_with_is_refused(text: str, holds: bool) -> None:
    assert (refusal(text) is None) is holds
