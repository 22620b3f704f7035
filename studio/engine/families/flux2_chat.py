"""The chats around FLUX.2's prompts, as its two pipelines write them."""

from __future__ import annotations

from typing import Any

from studio.engine.base.folder import Pipeline
from studio.engine.families.framed import Frame
from studio.engine.text.chats import render_chat
from studio.errors import PromptRefused

_PICTURE = "[IMG]"


def chat_frame(pipeline: Pipeline) -> tuple[Any, Frame]:
    """The tokenizer as the pipeline calls it on a whole chat, and that chat around a text."""
    ways = {"Flux2Pipeline": _mistral, "Flux2KleinPipeline": _qwen}
    return ways[type(pipeline).__name__](pipeline)


def _qwen(pipeline: Pipeline) -> tuple[Any, Frame]:
    tokenizer = pipeline.tokenizer

    def frame(text: str) -> str:
        chat = [{"role": "user", "content": text}]
        return render_chat(tokenizer, chat, add_generation_prompt=True, enable_thinking=False)

    return tokenizer, frame


def _mistral(pipeline: Pipeline) -> tuple[Any, Frame]:
    from diffusers.pipelines.flux2.pipeline_flux2 import format_input

    tokenizer = pipeline.tokenizer

    def frame(text: str) -> str:
        if _PICTURE in text:
            raise PromptRefused(
                f"FLUX.2's pipeline takes {_PICTURE} out of the prompt.",
                "Leave it out; reference images are chosen beside the prompt.",
            )
        (chat,) = format_input([text], system_message=pipeline.system_message)
        return render_chat(tokenizer, chat, add_generation_prompt=False)

    def without_marks(text: str) -> Any:
        # The template writes the start token itself.
        return tokenizer(text, add_special_tokens=False)

    return without_marks, frame
