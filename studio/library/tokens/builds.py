"""The tokenizer classes that transformers builds anew from vocabulary and merges alone.

Of these, what ``tokenizer.json`` says of normalisation and splitting is not used when a model
is loaded, so it is not used for counting either. Each is spelt as in transformers 5.23
(``models/{clip,qwen2,t5}/tokenization_*.py``); other classes stand as ``tokenizer.json`` has
them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_T5_UNKNOWN = 2
"""The place of ``<unk>`` in every T5 vocabulary."""


@dataclass(frozen=True, slots=True)
class Build:
    """How transformers makes one class.

    Attributes:
        make: (folder, ``tokenizer.json`` or nothing) → the tokenizer without added tokens.
        special: its special tokens where the folder names none.
        around: special tokens it puts around a text.
    """

    make: Callable[[Path, Mapping[str, Any]], Tokenizer]
    special: Mapping[str, Any]
    around: int


def _bpe_parts(
    folder: Path, whole: Mapping[str, Any]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    from tokenizers.models import BPE

    if not whole:
        if not (folder / "vocab.json").is_file():
            raise ValueError("it has neither tokenizer.json nor vocab.json and merges.txt")
        vocabulary, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
        return vocabulary, merges
    model = whole["model"]
    if "merges" not in model:
        raise ValueError("its tokenizer.json has no merges")
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
    return model["vocab"], [(left, right) for left, right in pairs]


def _clip(folder: Path, whole: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary, merges = _bpe_parts(folder, whole)
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=CLIP.special["unk_token"],
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _qwen(folder: Path, whole: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary, merges = _bpe_parts(folder, whole)
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
            byte_fallback=False,
        )
    )
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def _t5(_: Path, whole: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import Unigram

    if not whole:
        raise ValueError("it has no tokenizer.json, and spiece.model alone is not read here")
    vocabulary = [(str(piece), float(score)) for piece, score in whole["model"]["vocab"]]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=_T5_UNKNOWN, byte_fallback=False))
    charsmap = _charsmap(whole.get("normalizer"))
    if charsmap is not None:
        tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True),
        ]
    )
    return tokenizer


def _charsmap(normalizer: Any) -> bytes | None:
    """The table of SentencePiece's normaliser, where ``tokenizer.json`` has one."""
    if not normalizer:
        return None
    inner = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    for part in inner:
        if part.get("type") == "Precompiled":
            return base64.b64decode(part["precompiled_charsmap"])
    return None


CLIP = Build(
    _clip,
    {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    },
    around=2,
)
_QWEN = Build(
    _qwen,
    {
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    },
    around=0,
)
_T5 = Build(_t5, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}, around=1)

BUILDS: Mapping[str, Build] = {
    "CLIPTokenizer": CLIP,
    "Qwen2Tokenizer": _QWEN,
    "T5Tokenizer": _T5,
}
"""By class name, without the ``Fast`` that older releases put behind it."""


def build_of(class_name: str | None) -> Build | None:
    """The build of a class as an index or a configuration names it; None stands as it is."""
    return None if class_name is None else BUILDS.get(class_name.removesuffix("Fast"))
