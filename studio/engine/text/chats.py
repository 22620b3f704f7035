"""A tokenizer's chat template around a message, as text."""

from __future__ import annotations

from collections.abc import Sequence
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
