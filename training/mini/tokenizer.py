"""A real CLIPTokenizer with one token for each known word and bytes for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from transformers import CLIPTokenizer

END_OF_WORD: Final = "</w>"
START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
MAX_LENGTH: Final = 77


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE, in byte order (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_ins = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in stand_ins:
            stand_ins[byte] = chr(256 + len(stand_ins) - len(printable))
    return [stand_ins[byte] for byte in range(256)]


def word_merges(word: str) -> list[tuple[str, str]]:
    """The merges that build a word from its end: k+ey</w>, and before it e+y</w>.

    Every right-hand side ends the word, so only a word's last two pieces can ever merge: the rules
    of one word cannot break up another, in whatever order they stand.
    """
    merges = list[tuple[str, str]]()
    tail = word[-1] + END_OF_WORD
    for letter in reversed(word[:-1]):
        merges.append((letter, tail))
        tail = letter + tail
    return merges


def build_tokenizer(words: Sequence[str]) -> CLIPTokenizer:
    """Byte alphabet, byte alphabet at a word's end, the words' merges, two special tokens."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(letter + END_OF_WORD for letter in alphabet)]
    merges = list(dict.fromkeys(merge for word in words for merge in word_merges(word)))
    tokens += [left + right for left, right in merges]
    vocabulary = {token: index for index, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=MAX_LENGTH,
    )


def token_ids(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """(n, 77) int64, padded with the end token as the pipeline does."""
    encoded = tokenizer(
        list(captions), padding="max_length", max_length=MAX_LENGTH, truncation=True
    )
    return torch.tensor(encoded["input_ids"], dtype=torch.int64)
