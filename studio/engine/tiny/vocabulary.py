"""Real tokenizers with a vocabulary of a few words: no text is unknown to them."""

from __future__ import annotations

from transformers import CLIPTokenizer, T5Tokenizer

WORDS = ("rocket", "blue", "background", "cat", "ink", "a", "on", "the")
_START, _END = "<|startoftext|>", "<|endoftext|>"
_PLAIN_TEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()<>+-_/"


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in byte order (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]


def clip_tokenizer(pad: str = _END) -> CLIPTokenizer:
    """Whole words for WORDS, bytes for anything else; 77 tokens long, as CLIP's.

    Args:
        pad: SD 1.5 pads with the end token, SDXL's second tokenizer with ``!``.
    """
    letters = byte_alphabet()
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        tail = f"{word[-1]}</w>"
        for letter in reversed(word[:-1]):
            merges.append((letter, tail))
            tail = letter + tail
    merges = list(dict.fromkeys(merges))
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [left + right for left, right in merges]
    vocabulary = {token: index for index, token in enumerate([*tokens, _START, _END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, pad_token=pad)


def t5_tokenizer() -> T5Tokenizer:
    """A unigram tokenizer as T5's: whole words for WORDS, letters for other plain text."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces = [("▁", -2.0), *((f"▁{word}", -3.0) for word in WORDS)]
    letters = [(letter, -6.0) for letter in _PLAIN_TEXT]
    return T5Tokenizer(
        vocab=[*special, *pieces, *letters],
        extra_ids=0,
        additional_special_tokens=[],
        model_max_length=512,
    )
