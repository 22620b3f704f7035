"""A tokenizer's own chat template around a text, as transformers renders it.

Like transformers' ``utils/chat_template_utils.py``: a sandboxed jinja2 environment that trims
blocks. Its tag for training masks and its clock are left out: no text-to-image pipeline's
template has them, and one that does is refused rather than rendered otherwise.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from studio.architecture import Chat
from studio.storage.apart import TooMuch, apart

LIMITS = (2**30, 5)
"""Bytes of address space and seconds for a base's template, which is a program of strangers."""


def render(tokenizer: Any, chat: Chat, text: str) -> str:
    """The whole text that ``tokenizer``, transformers' own, reads for the user's ``text``.

    Raises:
        ValueError: there is no template, or it does not render in bounded memory and time.
    """
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise ValueError("it has no chat template, and the pipeline's prompts need one") from error
    values = {**tokenizer.special_tokens_map, "messages": _messages(chat, text)}
    values["add_generation_prompt"] = chat.answer
    if chat.thinking is not None:
        values["enable_thinking"] = chat.thinking
    asked = json.dumps({"template": template, "values": values})
    try:
        answer = json.loads(apart(f"{__name__}:main", asked.encode("ascii"), *LIMITS))
    except TooMuch as error:
        raise ValueError("its chat template needs too much memory or time") from error
    if "reason" in answer:
        raise ValueError(f"its chat template does not render ({answer['reason']})")
    return str(answer["text"])


def main() -> None:
    """In the process apart: template and values on standard input, the text on the output."""
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    asked = json.loads(sys.stdin.buffer.read())
    try:
        answer = {"text": environment.from_string(asked["template"]).render(**asked["values"])}
    except TemplateError as error:
        answer = {"reason": str(error)[:300]}
    sys.stdout.write(json.dumps(answer))


def _messages(chat: Chat, text: str) -> list[dict[str, Any]]:
    """As the pipelines spell them: typed parts where there is a system message (FLUX.2)."""
    if chat.system is None:
        return [{"role": "user", "content": text}]
    return [
        {"role": role, "content": [{"type": "text", "text": part}]}
        for role, part in (("system", chat.system), ("user", text))
    ]


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)
