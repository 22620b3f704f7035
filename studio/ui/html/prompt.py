"""A resolved prompt as markup: trigger words with their LoRA, cut words struck through."""

from collections.abc import Mapping, Sequence

from studio.contract.prompt import PartKind, PromptPart, ResolvedPrompt
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

LONG = 900
"""Characters from which a prompt scrolls in a box of its own."""


def prompts(text: ResolvedPrompt, labels: Mapping[str, str]) -> Html:
    prompt = tag("p", marked_text(text.parts, labels), class_="ls-prompt")
    negative = EMPTY
    if text.negative_parts:
        negative = tag(
            "p",
            span("ls-key", "negative"),
            marked_text(text.negative_parts, labels),
            class_="ls-negative",
        )
    parts = (*text.parts, *text.negative_parts)
    if sum(len(part.text) for part in parts) <= LONG:
        return div("ls-prompts", prompt, negative)
    # A box that scrolls must be reached by keys.
    return div(
        "ls-prompts ls-long", prompt, negative, tabindex=0, role="group", aria_label="The prompt"
    )


def marked_text(parts: Sequence[PromptPart], labels: Mapping[str, str]) -> Html:
    """The resolved text; a LoRA's words carry its name, cut words are struck through."""
    return join(_run(run, labels) for run in _runs(parts))


def _runs(parts: Sequence[PromptPart]) -> list[list[PromptPart]]:
    """Neighbours that come from the same LoRAs together, with the glue between them."""
    runs: list[list[PromptPart]] = []
    for part in parts:
        if runs and _continues(runs[-1], part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _continues(run: Sequence[PromptPart], part: PromptPart) -> bool:
    return bool(run[0].slugs) and (part.kind is PartKind.GLUE or part.slugs == run[0].slugs)


def _run(run: Sequence[PromptPart], labels: Mapping[str, str]) -> Html:
    slugs = run[0].slugs
    if not slugs:
        return join(_text(part) for part in run)
    words_of = list(run)
    trailing = []
    while words_of[-1].kind is PartKind.GLUE:
        trailing.append(words_of.pop())
    names = ", ".join(labels.get(slug, slug) for slug in slugs)
    marked = tag("mark", *(_text(part) for part in words_of), span("ls-from", names))
    return join((marked, *(_text(part) for part in trailing)))


def _text(part: PromptPart) -> Html:
    if part.cut:
        return tag("del", part.text, title="cut: no room in the window")
    return join((part.text,))
