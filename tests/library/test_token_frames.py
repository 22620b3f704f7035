"""Counters of the other encoders' tokenizers, and the room that stands around a text."""

import json
from pathlib import Path
from typing import Any

import pytest
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import Qwen2Tokenizer, T5Tokenizer

from studio.architecture import pipeline_traits
from studio.contract.prompt import TokenCounter
from studio.engine.tiny.vocabulary import byte_alphabet, t5_tokenizer
from studio.errors import WeightsError
from studio.library.tokens import load_counter

CHAT = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "    {{- '<|im_start|>assistant\\n' }}"
    "    {%- if enable_thinking is defined and enable_thinking is false %}"
    "        {{- '<think>\\n\\n</think>\\n\\n' }}"
    "    {%- endif %}"
    "{%- endif %}"
)
"""The part of Qwen3's template that a single question passes through."""
PARTS_CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}[SYSTEM_PROMPT]{{ message.content[0].text }}"
    "[/SYSTEM_PROMPT]{% else %}[INST]{{ message.content[0].text }}[/INST]{% endif %}"
    "{% endfor %}"
)
"""Mistral's, for texts in parts as FLUX.2 spells them."""
TEXTS = (
    "",
    "a rocket on the blue background",
    "  A  ROCKET,\n\tblue,,, ink!!  ",
    "rocket's can't 2026 100% x",
    "café Cafe\u0301 İstanbul ΑΣ",
    "猫 🚀 ｒｏｃｋｅｔ \u200d\u00a0x",
    "word " * 40,
)
PIECES = st.sampled_from(["rocket", " ", ",", "!", "'s", "\n", "É", "e\u0301", "7", "</s>"])
TEXT = st.lists(
    PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=10
).map("".join)


def qwen_tokenizer() -> Qwen2Tokenizer:
    letters = byte_alphabet()
    pairs = [("r", "o"), ("ro", "c"), ("roc", "k"), ("Ġ", "a"), ("i", "n"), ("in", "k")]
    tokens = [*letters, *(left + right for left, right in pairs), "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    made = Qwen2Tokenizer(vocab=vocabulary, merges=pairs)
    special = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "[INST]", "[/INST]")
    more = ("<s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
    made.add_tokens([AddedToken(text, special=True) for text in (*special, *more)])
    return made


def saved_qwen(folder: Path, chat: str | None = CHAT, **config: Any) -> Qwen2Tokenizer:
    made = qwen_tokenizer()
    made.chat_template = chat
    made.save_pretrained(folder)
    if config:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return Qwen2Tokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenCounter, Any]:
    folder = tmp_path_factory.mktemp("qwen")
    made = saved_qwen(folder)
    return load_counter(folder, "Qwen2TokenizerFast"), made


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenCounter, Any]:
    folder = tmp_path_factory.mktemp("t5")
    t5_tokenizer().save_pretrained(folder)
    return load_counter(folder, "T5TokenizerFast"), T5Tokenizer.from_pretrained(folder)


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


@pytest.mark.parametrize("kind", ["qwen", "t5"])
@pytest.mark.parametrize("text", TEXTS)
def test_known_texts(request: pytest.FixtureRequest, kind: str, text: str) -> None:
    count, tokenizer = request.getfixturevalue(kind)
    assert len(count(text)) == len(ids(tokenizer, text))


@settings(deadline=None)
@given(TEXT)
def test_any_text_of_qwen(qwen: tuple[TokenCounter, Any], text: str) -> None:
    count, tokenizer = qwen
    assert len(count(text)) == len(ids(tokenizer, text))


@settings(deadline=None)
@given(TEXT)
def test_any_text_of_t5(t5: tuple[TokenCounter, Any], text: str) -> None:
    count, tokenizer = t5
    assert len(count(text)) == len(ids(tokenizer, text))


def test_t5_ends_a_text_with_one_token(t5: tuple[TokenCounter, Any]) -> None:
    count, tokenizer = t5
    assert count.around == 1
    assert len(tokenizer("a rocket").input_ids) == len(count("a rocket")) + 1


def test_tokenizer_json_does_not_outvote_the_class(tmp_path: Path) -> None:
    """transformers builds the class anew, whatever the file says of splitting."""
    t5_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    whole = json.loads(path.read_text()) | {"pre_tokenizer": None}
    path.write_text(json.dumps(whole))
    text = "a rocket on the blue background"
    expected = ids(T5Tokenizer.from_pretrained(tmp_path), text)
    assert len(load_counter(tmp_path, "T5TokenizerFast")(text)) == len(expected)


@pytest.mark.parametrize("name", ["ZImagePipeline", "Flux2KleinPipeline"])
@pytest.mark.parametrize("text", ["", "a rocket", "rocket, ink!"])
def test_a_chat_template_takes_its_room(tmp_path: Path, name: str, text: str) -> None:
    tokenizer = saved_qwen(tmp_path)
    frame = pipeline_traits(name).frame
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=name == "ZImagePipeline",
    )
    counter = load_counter(tmp_path, "Qwen2Tokenizer", frame)
    assert len(counter(text)) + counter.around == len(tokenizer(rendered).input_ids)


def test_a_system_message_takes_its_room(tmp_path: Path) -> None:
    tokenizer = saved_qwen(tmp_path, PARTS_CHAT, bos_token="<s>")
    frame = pipeline_traits("Flux2Pipeline").frame
    counter = load_counter(tmp_path, "Qwen2Tokenizer", frame)
    text = "a rocket"
    whole = f"<s>[SYSTEM_PROMPT]{SYSTEM_MESSAGE}[/SYSTEM_PROMPT][INST]{text}[/INST]"
    assert len(counter(text)) + counter.around == len(ids(tokenizer, whole))


def test_what_is_taken_off_again_takes_no_room(tmp_path: Path) -> None:
    """Qwen-Image's template begins with 34 tokens that are dropped, and ends with these."""
    tokenizer = saved_qwen(tmp_path)
    counter = load_counter(tmp_path, "Qwen2Tokenizer", pipeline_traits("QwenImagePipeline").frame)
    assert counter.around == len(ids(tokenizer, "<|im_end|>\n<|im_start|>assistant\n"))


def test_signals_are_named_and_marks_are_not(tmp_path: Path) -> None:
    tokenizer = qwen_tokenizer()
    tokenizer.add_tokens([AddedToken("!", special=True)])
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(tmp_path)
    controls = load_counter(tmp_path, "Qwen2Tokenizer").controls
    assert {"<|im_start|>", "<|im_end|>", "[INST]"} <= set(controls)
    assert "!" not in controls


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('not for you') }}", "not for you"),
        ("{% for %}", "does not render"),
        ("{{ messages.__class__.__mro__ }}", "does not render"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(
    tmp_path: Path, template: str | None, reason: str
) -> None:
    saved_qwen(tmp_path, template)
    with pytest.raises(WeightsError, match=reason):
        load_counter(tmp_path, "Qwen2Tokenizer", pipeline_traits("ZImagePipeline").frame)
