"""Processors of which a pipeline needs one half, built from their files without the other.

Qwen-Image-Edit has one for words, pictures and videos, FLUX.2 [dev] one for words and
pictures that reads words alone. transformers loads them whole or not at all, and the halves
nobody uses ask for torchvision. Pictures are always prepared by PIL, whatever is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from studio.errors import BaseRefused


def render_chat(tokenizer: Any, messages: Sequence[Any], **options: Any) -> str:
    """What the model would be shown of ``messages``, its marks written out.

    Args:
        options: of ``apply_chat_template``, as the pipeline gives them.

    Raises:
        BaseRefused: the tokenizer has no template, or one that fails.
    """
    try:
        whole: str = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except (TemplateError, ValueError) as error:
        raise BaseRefused(
            f"The chat template of the base's tokenizer cannot be used: {str(error)[:200]}",
            "Fetch the base model again, with all files of its tokenizer.",
        ) from error
    return whole


Processor = Any
_WAY_OUT = "Fetch the base model again, with all files of its tokenizer."


def halves(path: Path, index: Mapping[str, Any]) -> dict[str, Processor]:
    """The components of ``index`` (``model_index.json``) that are processors, by name.

    Raises:
        BaseRefused: there is no chat template, or it does not begin with the start token.
        OSError, ValueError: what transformers raises on files it cannot read.
    """
    ways: dict[tuple[str, str], Callable[[Path], Processor]] = {
        ("transformers", "PixtralProcessor"): _pixtral_words,
        ("transformers", "Qwen2VLProcessor"): qwen_words_and_pictures,
    }
    found = {}
    for name, value in index.items():
        way = ways.get(tuple(value)) if isinstance(value, list) and len(value) == 2 else None
        if way is not None:
            found[name] = way(path / name)
    return found


def _pixtral_words(folder: Path) -> Processor:
    """The tokenizer that ``PixtralProcessor`` loads and, given no picture, hands its words to.

    With a template that writes the start token itself, both read a chat alike.
    """
    from transformers import TokenizersBackend

    tokenizer = TokenizersBackend.from_pretrained(folder, local_files_only=True)
    chat = [{"role": "user", "content": [{"type": "text", "text": "words"}]}]
    start = tokenizer.bos_token
    if not start or not render_chat(tokenizer, chat).startswith(start):
        raise BaseRefused(
            f"The chat template in {folder.name!r} does not begin with the start token.", _WAY_OUT
        )
    return tokenizer


def qwen_words_and_pictures(folder: Path) -> Processor:
    """``Qwen2VLProcessor`` without its videos."""
    from transformers import AutoImageProcessor, AutoTokenizer

    return pictures_processor()(
        AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil"),
        AutoTokenizer.from_pretrained(folder, local_files_only=True),
    )


@cache
def pictures_processor() -> type[Any]:
    """``Qwen2VLProcessor`` as a class of two parts: transformers reads them off its signature."""
    from transformers import Qwen2VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class WordsAndPictures(Qwen2VLProcessor):  # type: ignore[misc]
        def __init__(self, image_processor: Any = None, tokenizer: Any = None) -> None:
            self.image_token = "<|image_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token = "<|video_pad|>"
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer)

    return WordsAndPictures
