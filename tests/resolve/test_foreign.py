"""Other tools' grammar: each kind is named on the plan, and has its form here or none."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.contract.plan import RunPlan
from studio.contract.request import PromptEncoder
from studio.resolve import resolve
from studio.resolve.compel_parser import refusal
from studio.resolve.foreign import TABLE, convert, foreign
from tests.resolve.test_resolve import CATALOG, RUNTIME, ask, inventory
from tests.support.worlds import World

SEEN = {
    "break": "a cat BREAK a dog",
    "and": "a cat AND a dog",
    "prompt_editing": "a [cat:dog:0.25] on red",
    "alternation": "a [cat|dog] on red",
    "less_attention": "a [cat] on red",
    "choice": "a {cat|dog} on red",
    "more_attention": "a {cat} on red",
    "wildcard": "a __animals/cat__ on red",
    "embedding": "a cat, embedding:easynegative",
    "pivotal_tokens": "a <s0><s1> cat",
    "wide_comma": "a cat，on red",
    "wide_bracket": "a （cat） on red",
    "regions": "a cat ADDCOL a dog",
    "tag": "a <random:cat,dog> on red",
    "numeric_weight": "1.5::cat",
    "parameter": "a cat --ar 16:9",
    "comment": "a cat\n# on red",
}


@pytest.mark.parametrize("encoder", list(PromptEncoder))
@pytest.mark.parametrize("kind", [each.kind for each in TABLE])
def test_each_kind_is_named_on_either_side(kind: str, encoder: PromptEncoder) -> None:
    text = SEEN[kind]
    for side in ("prompt", "negative_prompt"):
        texts = {"prompt": "a rocket", "negative_prompt": ""} | {side: text}
        plan = resolve(ask(**texts, prompt_encoder=encoder), CATALOG, inventory(), RUNTIME)
        assert isinstance(plan, RunPlan)
        found = {(each.code, each.field) for each in plan.notices if "foreign_" in each.code}
        assert found == {(f"foreign_{kind}", side)}


@pytest.mark.parametrize(
    "text",
    [
        "a cat and a dog",
        "break",
        "a \\[cat\\]",
        "snake_case",
        "1:2",
        "a <b> c",
        "BREAKING AND_",
        "c#",
        "a -- b",
        "std::string",
        "<lora",
        "MASK on",
        "at 10:30",
    ],
)
def test_plain_words_are_no_grammar(text: str) -> None:
    assert foreign(text) == ()


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("(red cat:1.3), sky", "(red cat)1.3, sky"),
        ("(red cat)", "(red cat)1.1"),
        ("((cat))", "((cat)1.1)1.1"),
        ("((a:1.2) b: 0.5)", "((a)1.2 b)0.5"),
        ("[cat]", "(cat)0.909"),
        ("{cat}", "(cat)1.05"),
        ("[[cat] b]", "((cat)0.909 b)0.909"),
        ("artist \\(series\\)", "artist \\(series\\)"),
        ('the "x"', 'the \\"x\\"'),
        ("a BREAK (b:1.2)\nBREAK", '("a", "(b)1.2").and()'),
        ("猫，狗, b", "猫, 狗, b"),
        ("a (cat", "a \\(cat"),
        ("a) cat", "a\\) cat"),
        ("() a", " a"),
        ("[a:b:0.5] (c)", "[a:b:0.5] (c)1.1"),
        ("{a|(b)}", "{a|(b)1.1}"),
        ("rocket++, (sky)0.8", "rocket++, (sky)0.8"),
        ('("a", "b").blend(1, 1)', '("a", "b").blend(1, 1)'),
        ("a, <lora:ink:0.8>, b", "a, b"),
    ],
)
def test_what_has_a_form_here_is_put_into_it(text: str, ours: str) -> None:
    made = convert(text)
    assert made.text == ours
    assert convert(made.text).text == ours
    assert refusal(made.text) is None


def test_loras_are_taken_out_with_their_strengths() -> None:
    made = convert("a cat <lora:ink_v2:0.8> <lyco:b:-1.5:0.2><lora:plain>")
    assert [(each.name, each.strength) for each in made.loras] == [
        *(("ink_v2", 0.8), ("b", 0.2), ("plain", 1.0))
    ]
    assert made.loras[1].text_encoders == -1.5
    assert made.text == "a cat"


def test_what_has_no_form_here_is_left_and_named() -> None:
    made = convert("[a:b:0.5] {c|d} __e__ embedding:f AND <s0>")
    assert {each.kind for each, _ in made.left} == {
        *("prompt_editing", "choice", "wildcard", "embedding", "and", "pivotal_tokens")
    }


PIECES = ("a", " ", "cat:1.2", "(", ")", "[", "]", "{", "}", "|", ":", "0.5", '"', "\\(", ", ")


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_a_second_conversion_changes_nothing(text: str) -> None:
    once = convert(text).text
    assert convert(once).text == once


def test_a_notice_quotes_what_was_typed_with_the_triggers_in_it() -> None:
    world = World(
        "StableDiffusionPipeline", lora={"prompt": "artist (series)", "trigger": "required"}
    )
    typed = "a rocket, (artist (series):1.2), [sky]"
    plan = world.plan(mode="lora_with_trigger", prompt=typed, prompt_encoder="native")
    said = {each.code: each.text for each in plan.notices}
    assert said["weight_as_text"].startswith("(artist (series):1.2) sets no weight")
    assert said["foreign_less_attention"].startswith("[sky] is plain words")


HOSTILE = (
    *(
        "(",
        "[",
        "{",
        "(a:",
        "[a|",
        "__a",
        "<lora:",
        "((a:1.2)",
        '"',
        "\\",
        "1::",
        "1",
        "<a:",
        "<a[",
    ),
    *("\n", "\n#", " \t", "COUPLE(", "AREA(1,", " --ar ", "<s1", "embedding:", "（"),
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_take_no_time(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    convert(text)
    foreign(text)
    assert time.process_time() - start < 5
