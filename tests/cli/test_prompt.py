"""``studio prompt convert``."""

from tests.cli.conftest import Cli


def test_a_text_of_another_tool_is_put_into_our_form(cli: Cli) -> None:
    answer = cli("prompt", "convert", "(cat:1.3) {a|b} <lora:ink:0.8>", "--json")
    assert answer.code == 0
    assert answer.json == {
        "text": "(cat)1.3 {a|b}",
        "loras": [{"name": "ink", "strength": 0.8}],
        "left": [{"kind": "choice", "found": "{a|b}"}],
    }


def test_what_is_left_stands_beside_the_text(cli: Cli) -> None:
    answer = cli("prompt", "convert", "[cat] __b__ <lora:ink>")
    assert answer.out.splitlines()[0] == "(cat)0.909 __b__"
    assert "__b__" in answer.err
    assert "ink" in answer.err
