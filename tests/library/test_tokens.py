"""The counter gives the spans that transformers' own CLIPTokenizer gives."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from studio.contract.prompt import TokenCounter
from studio.engine.tiny.vocabulary import clip_tokenizer
from studio.errors import WeightsError
from studio.library.tokens import load_counter

ROOT = Path(__file__).resolve().parents[2]
END = "<|endoftext|>"
ADDED = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def save_whole(folder: Path) -> None:
    """As transformers 5 saves it: tokenizer.json and its configuration."""
    clip_tokenizer().save_pretrained(folder)


def save_strange_json(folder: Path) -> None:
    """A tokenizer.json whose normaliser CLIPTokenizer does not use."""
    save_whole(folder)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": None}))


def save_old(folder: Path, **files: object) -> None:
    """As older releases saved it: vocab.json and merges.txt."""
    save_whole(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    for path in folder.iterdir():
        path.unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))


def save_sd15(folder: Path) -> None:
    """The special tokens of Stable Diffusion 1.5's repository."""
    token = {"__type": "AddedToken", "content": END, **ADDED}
    save_old(folder, tokenizer_config={"eos_token": token, "unk_token": token, "pad_token": END})


def save_sd2(folder: Path) -> None:
    """Stable Diffusion 2 and SDXL's second encoder pad with "!"."""
    token = {"content": END, **ADDED}
    save_old(
        folder,
        tokenizer_config={"tokenizer_class": "CLIPTokenizer"},
        special_tokens_map={"eos_token": token, "pad_token": "!", "unk_token": token},
    )


def save_decoder(folder: Path) -> None:
    entry = {"content": "!", **ADDED, "normalized": False, "special": True}
    save_old(folder, tokenizer_config={"added_tokens_decoder": {"33": entry}, "pad_token": "!"})


SAVERS = (save_whole, save_strange_json, save_old, save_sd15, save_sd2, save_decoder)


@pytest.fixture(scope="module", params=SAVERS, ids=lambda saver: saver.__name__)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TokenCounter, CLIPTokenizer]:
    folder = tmp_path_factory.mktemp("tokenizer")
    request.param(folder)
    return load_counter(folder, "CLIPTokenizer"), CLIPTokenizer.from_pretrained(folder)


def spans(tokenizer: CLIPTokenizer, text: str) -> list[tuple[int, int]]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [tuple(span) for span in encoded["offset_mapping"]]


TEXTS = (
    "",
    " ",
    "a rocket on the blue background",
    "  A  ROCKET,\n\tblue,,, ink!!  ",
    "rocket's can't 2026 100% <|endoftext|> x",
    "<|EndOfText|><|startoftext|>",
    "café Cafe\u0301 \u1e9b\u0323 İstanbul straße ΑΣ",
    "猫 🚀👩‍👩‍👧 ｒｏｃｋｅｔ \u200d\ufeff\u00a0x",
    "(word:1.3), <lora:x:1> a++",
    "!!! wow! !!",
    "word " * 200,
)


@pytest.mark.parametrize("text", TEXTS)
def test_known_texts(pair: tuple[Callable, CLIPTokenizer], text: str) -> None:
    count, tokenizer = pair
    assert list(count(text)) == spans(tokenizer, text)


PIECES = st.sampled_from(
    ["rocket", " ", ",", "!", "'s", "ink</w>", END, "\n", "É", "e\u0301", "7"]
)
TEXT = st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join)


@settings(deadline=None)
@given(TEXT)
def test_any_text(pair: tuple[Callable, CLIPTokenizer], text: str) -> None:
    count, tokenizer = pair
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    assert list(count(text)) == spans(tokenizer, text)


def test_the_texts_tell_the_spellings_apart(tmp_path: Path) -> None:
    """Otherwise the agreement above could be that of one and the same tokenizer."""
    (tmp_path / "old").mkdir()
    (tmp_path / "sd2").mkdir()
    save_old(tmp_path / "old")
    save_sd2(tmp_path / "sd2")
    text = "ink!!"
    assert len(load_counter(tmp_path / "old", "CLIPTokenizer")(text)) == 3
    assert spans(CLIPTokenizer.from_pretrained(tmp_path / "sd2"), text) == list(
        load_counter(tmp_path / "sd2", "CLIPTokenizer")(text)
    )


def test_truncation_and_padding_are_off(tmp_path: Path) -> None:
    tokenizer = clip_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=20)
    tokenizer.save_pretrained(tmp_path)
    assert len(load_counter(tmp_path, "CLIPTokenizer")("rocket " * 9)) == 9
    assert list(load_counter(tmp_path, "CLIPTokenizer")("rocket")) == [(0, 6)]


def test_other_classes_are_taken_as_they_stand(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "B": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert list(load_counter(tmp_path, "PreTrainedTokenizerFast")("a  B")) == [(0, 1), (3, 4)]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"spiece.model": b"\0"},
        {"vocab.json": b"{}"},
        {"tokenizer.json": b"not json"},
        {"tokenizer.json": b"[]"},
        {"tokenizer.json": b'{"model": {}}'},
        {"tokenizer.json": b"[" * 99_999},
        {"vocab.json": b'{"a": 0, "a</w>": 1}', "merges.txt": b"#version: 0.2\n"},
        {
            "vocab.json": b'{"a": 0}',
            "merges.txt": b"#version: 0.2\n",
            "tokenizer_config.json": b'{"added_tokens_decoder": []}',
        },
        {"tokenizer.json": b"{}", "tokenizer_config.json": b"\xff"},
        {
            "tokenizer.json": b'{"model": {"vocab": {}, "merges": [["a", "b"]]}}',
            "tokenizer_config.json": b'{"tokenizer_class": "CLIPTokenizer"}',
        },
    ],
)
def test_unreadable_folders_are_named(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_counter(tmp_path, "CLIPTokenizer")


def test_a_vocabulary_without_its_unknown_token_is_named(tmp_path: Path) -> None:
    vocabulary = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}
    text = json.dumps({"version": "1.0", "model": vocabulary, "added_tokens": []})
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(WeightsError, match=r"Missing \[UNK\] token"):
        load_counter(tmp_path, "PreTrainedTokenizerFast")


def test_a_pattern_that_the_tokenizer_gives_up_on_is_named(tmp_path: Path) -> None:
    """A failure in Rust is no Exception, and would end the thread that plans or runs."""
    vocabulary = {"type": "WordLevel", "vocab": {"a": 0, "?": 1}, "unk_token": "?"}
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    text = json.dumps(
        {
            "version": "1.0",
            "model": vocabulary,
            "pre_tokenizer": {**split, "invert": False},
            "added_tokens": [],
        }
    )
    (tmp_path / "tokenizer.json").write_text(text)
    (tmp_path / "tokenizer_config.json").write_text('{"unk_token": "?"}')
    count = load_counter(tmp_path, "PreTrainedTokenizerFast")
    assert len(count("b")) == 1
    with pytest.raises(WeightsError, match="fails on this text"):
        count("a" * 40 + "!")


def test_counting_needs_no_torch(tmp_path: Path) -> None:
    save_whole(tmp_path)
    program = (
        "import sys; from pathlib import Path; from studio.library.tokens import load_counter;"
        "assert not {'tokenizers', 'transformers'} & sys.modules.keys();"
        f"print(len(load_counter(Path({str(tmp_path)!r}), 'CLIPTokenizer')('a rocket')));"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
