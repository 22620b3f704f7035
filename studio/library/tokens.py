"""Tokenizer folder → counter of tokens: transformers' own tokenizer, which needs no torch.

transformers is imported when a folder is first read; that takes about a second.
"""

from __future__ import annotations

import importlib
import re
import threading
from pathlib import Path
from typing import Any

from studio.architecture import TRAITS, Chat, Wrapped, pipeline_traits
from studio.contract.base import FileIdentity
from studio.contract.prompt import Span, TokenCounter
from studio.errors import WeightsError, is_failure
from studio.library.chat_template import render
from studio.presets import ModelPreset
from studio.resolve.inventory import BaseWeights

_PROBE = "A rocket, 7 é 猫 🚀"
"""Text that asks for tokens a small or broken vocabulary has not, and then for its unknown one."""

_CONTROL = re.compile(r"<[^<>\s]+>|\[[A-Z_/]+\]")
"""How a token looks that no prompt means as words; ``!``, which some pad with, does not."""


_IMPORTING = threading.Lock()


def tokenizer_class(name: str) -> Any:
    """A class of transformers, without torch.

    While transformers is imported it puts other modules in its own place. A thread whose
    ``import`` comes meanwhile keeps the first one, in which nothing is found, so that no two may
    do it at once.

    Raises:
        AttributeError: it has no such class.
    """
    with _IMPORTING:
        return getattr(importlib.import_module("transformers"), name)


def load_counter(
    folder: Path, class_name: str, frame: Wrapped | Chat | None = None
) -> TokenCounter:
    """The counter of a tokenizer folder.

    Args:
        class_name: the class that loads it, as the model's index names it.
        frame: what the pipeline puts around a text.

    Raises:
        WeightsError: its files are missing or cannot be read, or a chat template that the
            frame needs is missing or does not render.
    """
    try:
        tokenizer = _tokenizer(folder, class_name)
    except BaseException as error:
        # transformers and tokenizers raise whatever they meet on a bad file.
        if not is_failure(error):
            raise
        why = f"{error} is missing in it" if isinstance(error, KeyError) else str(error)
        raise _unreadable(folder, why) from error
    backend = tokenizer.backend_tokenizer

    def spans(text: str) -> list[Span]:
        try:
            offsets: list[Span] = backend.encode(text, add_special_tokens=False).offsets
        except BaseException as error:
            if not is_failure(error):
                raise
            raise _unreadable(folder, f"it fails on this text ({error})") from error
        return offsets

    try:
        around = _around(tokenizer, frame)
    except ValueError as error:
        raise _unreadable(folder, str(error)) from error
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    return TokenCounter(spans, around, tuple(sorted(filter(_CONTROL.fullmatch, added))))


def _tokenizer(folder: Path, class_name: str) -> Any:
    """As the pipeline loads it; the words of a processor stand in ``tokenizer.json``."""
    is_processor = "Tokenizer" not in class_name
    loader = tokenizer_class("TokenizersBackend" if is_processor else class_name)
    older = set(loader.vocab_files_names.values()) - {"tokenizer.json"}
    # Without its files, a class makes up a vocabulary of its special tokens.
    if not any(
        names and all((folder / name).is_file() for name in names)
        for names in ({"tokenizer.json"}, older)
    ):
        raise ValueError(" and ".join(sorted(older)) + " or tokenizer.json is missing")
    tokenizer = loader.from_pretrained(folder, local_files_only=True)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    # A vocabulary without its unknown token fails only when it reads text.
    backend.encode(_PROBE, add_special_tokens=False)
    return tokenizer


def _around(tokenizer: Any, frame: Wrapped | Chat | None) -> int:
    """Tokens that the window must hold beside a text.

    Raises:
        ValueError: a chat template is missing or does not render.
    """
    if frame is None:
        return int(tokenizer.num_special_tokens_to_add())
    if isinstance(frame, Wrapped):
        return _length(tokenizer, frame.after)
    return _length(tokenizer, render(tokenizer, frame, "a")) - _length(tokenizer, "a")


def _length(tokenizer: Any, text: str) -> int:
    return len(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False))


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
            self._known[key] = load_counter(base.place(tokenizer), base.classes[tokenizer], frame)
        return self._known[key]
