"""A folder's tokenizer, and what stands around a text that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.architecture import TRAITS, Chat, Wrapped, pipeline_traits
from studio.contract.identity import FileIdentity
from studio.contract.prompt import Span, TokenCounter
from studio.errors import WeightsError
from studio.library.tokens.builds import CLIP, Build, build_of
from studio.library.tokens.chat import render
from studio.presets import ModelPreset
from studio.resolve.inventory import BaseWeights

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

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

_CONTROL = re.compile(r"<[^<>\s]+>|\[[A-Z_/]+\]")
"""How a token looks that no prompt means as words; ``!``, which some pad with, does not."""

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def load_counter(
    tokenizer_dir: Path, frame: Wrapped | Chat | None = None, class_name: str | None = None
) -> TokenCounter:
    """The counter of a tokenizer folder, from ``tokenizer.json`` or CLIP's two older files.

    Args:
        frame: what the pipeline puts around a text.
        class_name: the class that loads it, as the model's index names it; where that does
            not say how it is built, the folder's own ``tokenizer_class`` does.

    Raises:
        WeightsError: neither is there, a file cannot be read, or a chat template that the
            frame needs is missing or does not render.
    """
    try:
        config = _read_object(tokenizer_dir / "tokenizer_config.json")
        build = build_of(class_name) or build_of(config.get("tokenizer_class"))
        tokenizer = _tokenizer(tokenizer_dir, config, build)
        # A vocabulary without its unknown token fails only when it reads text.
        tokenizer.encode(_PROBE, add_special_tokens=False)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        around = _around(tokenizer, tokenizer_dir, config, build, frame)
    except OSError as error:
        raise _unreadable(tokenizer_dir, error.strerror or str(error)) from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _unreadable(tokenizer_dir, str(error)) from error
    except Exception as error:
        # tokenizers raises Exception itself, and nothing more precise, on a bad file.
        if type(error) is not Exception:
            raise
        raise _unreadable(tokenizer_dir, str(error)) from error

    def spans(text: str) -> list[Span]:
        offsets: list[Span] = tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    return TokenCounter(spans, around, _controls(tokenizer))


def _tokenizer(folder: Path, config: Mapping[str, Any], build: Build | None) -> Tokenizer:
    from tokenizers import Tokenizer

    whole = _read_object(folder / "tokenizer.json")
    if whole and build is None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        known = tokenizer.get_vocab(with_added_tokens=True)
        special = (config.get(role) for role in _ROLES)
        added = (_added(entry) for entry in special if entry)
        tokenizer.add_tokens([token for token in added if token.content not in known])
    else:
        build = build or CLIP
        tokenizer = build.make(folder, whole)
        tokenizer.add_tokens(list(_added_tokens(folder, config, whole, build)))
    tokenizer.encode_special_tokens = config.get("split_special_tokens") is True
    return tokenizer


def _around(
    tokenizer: Tokenizer,
    folder: Path,
    config: Mapping[str, Any],
    build: Build | None,
    frame: Wrapped | Chat | None,
) -> int:
    """Tokens that the window must hold beside a text."""
    if frame is None:
        if build is not None:
            return build.around
        return len(tokenizer.encode("a").ids) - _length(tokenizer, "a")
    if isinstance(frame, Wrapped):
        return _length(tokenizer, frame.after)
    return _length(tokenizer, render(folder, config, frame, "a")) - _length(tokenizer, "a")


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def _controls(tokenizer: Tokenizer) -> tuple[str, ...]:
    added = tokenizer.get_added_tokens_decoder().values()
    return tuple(sorted({each.content for each in added if _CONTROL.fullmatch(each.content)}))


def _added_tokens(
    folder: Path, config: Mapping[str, Any], whole: Mapping[str, Any], build: Build
) -> Iterator[AddedToken]:
    """Tokens that stand for themselves, in transformers' order (a later one wins).

    A pad token such as "!" is one of them and changes how "!!" is read.
    """
    special = {**build.special, **config}
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
        raise ValueError(f"{path.name} is not a JSON object")
    return value


def _unreadable(folder: Path, why: str) -> WeightsError:
    return WeightsError(
        f"The tokenizer in {folder.parent.name}/{folder.name} cannot be read: {why}.",
        "Fetch the model again, with its tokenizer files.",
        folder,
    )


_Key = tuple[Path, tuple[FileIdentity, ...], Wrapped | Chat | None]


class Counters:
    """Counters by folder, files and what the pipeline puts around a text."""

    def __init__(self) -> None:
        self._known: dict[_Key, TokenCounter] = {}

    def of(self, base: BaseWeights, model: ModelPreset) -> dict[str, TokenCounter]:
        """Text encoder → the counter of its tokenizer, for every encoder of the family.

        Raises:
            WeightsError: the base has no such tokenizer, or it cannot be read.
        """
        traits, frame = TRAITS[model.base_architecture], pipeline_traits(model.pipeline).frame
        for encoder in traits.text_encoders:
            if encoder.tokenizer not in base.classes:
                raise WeightsError(
                    f"Its model_index.json names no {encoder.tokenizer}, which every "
                    f"{traits.label} model has.",
                    "Correct the preset's base_architecture, or put such a model there.",
                    base.path,
                )
        return {
            encoder.component: self._counter(base, encoder.tokenizer, frame)
            for encoder in traits.text_encoders
        }

    def _counter(
        self, base: BaseWeights, tokenizer: str, frame: Wrapped | Chat | None
    ) -> TokenCounter:
        files = tuple(file for file in base.files if file.name.startswith(f"{tokenizer}/"))
        key = (base.place(tokenizer), files, frame)
        if key not in self._known:
            folder, class_name = base.place(tokenizer), base.classes.get(tokenizer)
            self._known[key] = load_counter(folder, frame, class_name)
        return self._known[key]
