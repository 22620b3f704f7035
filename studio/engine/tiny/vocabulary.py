"""Real tokenizers with a vocabulary of a few words: no text is unknown to them.

CLIP's, T5's, and byte-level ones in the layouts of Qwen2 and of Mistral's newer models. There,
the 256 bytes are tokens, and each word of some given texts is one: whatever is written can be
read, and templates have as many tokens as with the real vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer, T5Tokenizer

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


Merge = tuple[str, str]

QWEN_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# What Qwen3's own template gives for messages without tools and thoughts.
QWEN3_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
MISTRAL_TOKENS = (
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[IMG]",
    "[IMG_BREAK]",
    "[IMG_END]",
    "<pad>",
)
MISTRAL_TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}"
    "{%- set mark = 'SYSTEM_PROMPT' if message.role == 'system' else 'INST' %}"
    "{{- '[' + mark + ']' }}"
    "{%- for part in message.content %}{{- part.text }}{%- endfor %}"
    "{{- '[/' + mark + ']' }}{%- endfor %}"
)
_MISTRAL_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+"


def qwen_tokenizer(texts: Sequence[str], template: str | None = None) -> Qwen2Tokenizer:
    """Qwen2's tokenizer with the words of ``texts``; ``template`` is its chat template."""
    bare = Qwen2Tokenizer(vocab=_vocabulary(()), merges=[])
    merges = _merges(_pieces(bare.backend_tokenizer.pre_tokenizer, texts, QWEN_TOKENS))
    tokenizer = Qwen2Tokenizer(
        vocab=_vocabulary(merges), merges=merges, extra_special_tokens=list(QWEN_TOKENS)
    )
    if template is not None:
        tokenizer.add_tokens(["<think>", "</think>"])
        tokenizer.chat_template = template
    return tokenizer


def mistral_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer as Mistral Small 3 has it: byte-level, with marks for roles and images."""
    words = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_MISTRAL_WORDS), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    merges = _merges(_pieces(words, texts, MISTRAL_TOKENS))
    backend = Tokenizer(models.BPE(vocab=_vocabulary(merges), merges=merges))
    backend.pre_tokenizer = words
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=list(MISTRAL_TOKENS[3:-1]),
        padding_side="left",
        chat_template=MISTRAL_TEMPLATE,
    )


def _pieces(words: Any, texts: Sequence[str], marks: Sequence[str]) -> list[str]:
    """WORDS and the words of ``texts`` between ``marks``, spelled in byte-level letters."""
    found: dict[str, None] = {}
    for text in (*texts, *(f"{word} {word}" for word in WORDS)):
        for mark in marks:
            text = text.replace(mark, "\0")
        for stretch in text.split("\0"):
            found.update((piece, None) for piece, _ in words.pre_tokenize_str(stretch))
    return list(found)


def _merges(pieces: Sequence[str]) -> list[Merge]:
    """Merges that build each piece from its start.

    Those of words after a blank come first and short ones before long ones, so that no merge
    of another word breaks into the middle of one.
    """
    merges = {(piece[:end], piece[end]): None for piece in pieces for end in range(1, len(piece))}
    return sorted(merges, key=lambda merge: (not merge[0].startswith("Ġ"), len(merge[0]), merge))


def _vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    tokens = [*byte_alphabet(), *(left + right for left, right in merges)]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}
