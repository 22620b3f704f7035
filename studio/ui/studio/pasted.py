"""LoRAs that a pasted text names, as ``<lora:name:0.8>``: told what they are here, and chosen."""

from collections.abc import Sequence
from typing import Any

from studio.contract.settings import MAX_LORAS
from studio.contract.violations import LoraTagInPrompt, Violation
from studio.presets.prompt_tags import prompt_tags, without_tags
from studio.recall.request import Recalled
from studio.ui.html.tags import EMPTY, Html, join, span, tag
from studio.ui.studio.form import Values, preset_strength, strengths, with_finer, with_loras
from studio.workspace.recalling import recall_text
from studio.workspace.workspace import Workspace

KEY = "tags"
"""What the button answers."""


def offer(typed: str, found: Sequence[Violation], workspace: Workspace) -> Html:
    """Beneath a prompt that holds tags: which LoRA each is and what shows it, and one button that
    chooses them all; or which of them are not here."""
    if not any(isinstance(each, LoraTagInPrompt) and each.field == "prompt" for each in found):
        return EMPTY
    here = _recalled(typed, workspace)
    if here.missing:
        said = (f"{each.reason} {each.way_out}" for each in here.missing)
        return join(span("ls-problem", sentence) for sentence in said)
    lines = [
        span("ls-aside", f"{each.said.name} is {each.slug}, known by its {each.by}.")
        for each in here.matched
    ]
    lines += [span("ls-changed", sentence) for sentence in here.left]
    if not here.matched:
        return join(lines)
    what = "it" if len(here.matched) == 1 else "them"
    text = f"Take {what} out of the text, and choose {what}"
    return join((*lines, tag("button", text, type="button", class_="ls-link", data_pick=KEY)))


def taken(values: Values, workspace: Workspace) -> dict[str, Any] | str:
    """``values`` with the LoRAs chosen at the strengths of their tags, and the prompt without
    them; or why not, in a sentence."""
    found = _recalled(values["prompt"], workspace)
    choices = found.request.loras
    chosen, numbers = list(values["chosen"]), strengths(values)
    for each in choices:
        if each.slug not in chosen:
            chosen.append(each.slug)
            numbers.append(preset_strength(each.slug, workspace.catalog))
        if each.strength is not None:
            numbers[chosen.index(each.slug)] = each.strength
    if found.missing or not choices:
        return "The library has changed: not every LoRA of the text is there any more."
    if len(chosen) > MAX_LORAS:
        return f"You can use up to {MAX_LORAS} LoRAs. Remove some first."
    said = dict.fromkeys((*values["said"], *(each.slug for each in choices)))
    values = {**values, "said": tuple(said), "prompt": without_tags(values["prompt"]).strip()}
    values = with_loras(values, chosen, numbers)
    for each in choices:
        values = with_finer(values, each)
    return values


def _recalled(typed: str, workspace: Workspace) -> Recalled:
    """What the tags alone make, as of a picture's text."""
    return recall_text(workspace, " ".join(each.written for each in prompt_tags(typed)))
