"""Strangers' work in a process with bounds, and a hostile chat template in one."""

import json
import os
import time

import pytest

from studio.architecture import Chat
from studio.library import chat_template
from studio.storage import apart as module
from studio.storage.apart import TooMuch, apart


def environment() -> None:
    print(json.dumps(sorted(os.environ)))


def test_it_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "sesame")
    monkeypatch.setenv("CIVITAI_API_KEY", "sesame")
    answer = json.loads(apart(f"{__name__}:environment", b"", 2**30, 20))
    assert "HF_TOKEN" in os.environ
    assert not {"HF_TOKEN", "CIVITAI_API_KEY", "HOME"} & set(answer)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{{ 'a' | center(10**10) }}",
        "{% for i in range(99999) %}{% for j in range(9999) %}aaaaaaaa{% endfor %}{% endfor %}",
    ],
)
def test_a_hostile_chat_template_is_refused_soon(template: str) -> None:
    from transformers import CLIPTokenizer  # not above: the process apart imports this module

    tokenizer = CLIPTokenizer()
    tokenizer.chat_template = template
    start = time.perf_counter()
    with pytest.raises(ValueError, match="memory or time"):
        chat_template.render(tokenizer, Chat(), "a")
    assert time.perf_counter() - start < 4 * chat_template.LIMITS[1]


def test_what_breaks_is_no_answer() -> None:
    with pytest.raises(TooMuch):
        apart(f"{module.__name__}:nothing_of_the_kind", b"", 2**30, 20)
