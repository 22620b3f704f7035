"""Tokenizer folder → counter of tokens, as exact as the encoder's own, without torch.

The one home of the ``tokenizers`` library, which is imported when a folder is first read.
CLIP's tokenizer is built from vocabulary and merges alone, as transformers 5.23 builds it:
what ``tokenizer.json`` says of normalisation and splitting is not used there. Other classes
are taken from ``tokenizer.json`` as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import WeightsError
from studio.prompt import Span, TokenCounter

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

# transformers 5.23, models/clip/tokenization_clip.py.
_CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_CLIP_CLASSES = frozenset({"CLIPTokenizer", "CLIPTokenizerFast"})
_CLIP_SPECIAL: Mapping[str, Any] = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}
_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_PROBE = "A rocket, 7 é 猫 🚀"
"""Text that asks for tokens a small or broken vocabulary has not, and then for its unknown one."""

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def load_counter(tokenizer_dir: Path) -> TokenCounter:
    """The counter of a tokenizer folder, from ``tokenizer.json`` or CLIP's two older files.

    Raises:
        WeightsError: neither is there, or a file cannot be read.
    """
    try:
        tokenizer = _tokenizer(tokenizer_dir)
        # A vocabulary without its unknown token fails only when it reads text.
        tokenizer.encode(_PROBE, add_special_tokens=False)
    except OSError as error:
        raise _unreadable(tokenizer_dir, error.strerror or str(error)) from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _unreadable(tokenizer_dir, str(error)) from error
    except Exception as error:
        # tokenizers raises Exception itself, and nothing more precise, on a bad file.
        if type(error) is not Exception:
            raise
        raise _unreadable(tokenizer_dir, str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> list[Span]:
        offsets: list[Span] = tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    return count


def _tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    config = _read_object(folder / "tokenizer_config.json")
    whole = _read_object(folder / "tokenizer.json")
    if whole and config.get("tokenizer_class") not in _CLIP_CLASSES:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    if not whole and not (folder / "vocab.json").is_file():
        raise ValueError("it has neither tokenizer.json nor vocab.json and merges.txt")
    tokenizer = _clip_backbone(folder, whole)
    tokenizer.add_tokens(list(_added_tokens(folder, config, whole)))
    tokenizer.encode_special_tokens = config.get("split_special_tokens") is True
    return tokenizer


def _clip_backbone(folder: Path, whole: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    if whole:
        model = whole["model"]
        pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
        vocabulary, merges = model["vocab"], [(left, right) for left, right in pairs]
    else:
        vocabulary, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=_CLIP_SPECIAL["unk_token"],
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


def _added_tokens(
    folder: Path, config: Mapping[str, Any], whole: Mapping[str, Any]
) -> Iterator[AddedToken]:
    """Tokens that stand for themselves, in transformers' order (a later one wins).

    A pad token such as "!" is one of them and changes how "!!" is read.
    """
    special = {**_CLIP_SPECIAL, **config}
    listed: dict[int, AddedToken] = {}
    if "added_tokens_decoder" in config:
        for number, entry in config["added_tokens_decoder"].items():
            listed[int(number)] = _added(entry)
    else:
        special |= _read_object(folder / "special_tokens_map.json")
        for entry in whole.get("added_tokens", ()):
            listed[entry["id"]] = _added(entry)
    by_text = {token.content: token for token in listed.values()}
    yield from (listed[number] for number in sorted(listed))
    extra = special.get("extra_special_tokens") or special.get("additional_special_tokens") or ()
    for entry in (*(special.get(role) for role in _ROLES), *extra):
        if entry:
            token = _added(entry)
            yield by_text.get(token.content, token)


def _added(entry: Any) -> AddedToken:
    """A token from its text, or from the object that ``tokenizer_config.json`` has for it."""
    from tokenizers import AddedToken

    if isinstance(entry, str):
        return AddedToken(entry, special=True, normalized=False)
    flags = {flag: entry[flag] for flag in _FLAGS if flag in entry}
    return AddedToken(entry["content"], **({"special": True} | flags))


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty when there is no file."""
    if not path.is_file():
        return {}
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return value


def _unreadable(folder: Path, why: str) -> WeightsError:
    return WeightsError(
        f"The tokenizer in {folder.parent.name}/{folder.name} cannot be read: {why}.",
        "Fetch the model again, with its tokenizer files.",
        folder,
    )
