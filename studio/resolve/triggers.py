"""The words that LoRAs bring to a prompt, and those that no LoRA is there to answer."""

import re

from studio.architecture import Architecture
from studio.presets import Catalog, LoraPreset, TriggerRule
from studio.presets.rules import as_characters, split_phrases
from studio.resolve.compose import Wanted, find_phrases, merge_wanted
from studio.resolve.context import Draft


def wanted_triggers(draft: Draft) -> tuple[Wanted, ...]:
    """The trigger words that belong in the resolved prompt, added where they are absent."""
    mode = draft.request.mode
    if not mode.takes_trigger_words:
        return ()
    rule = None if mode.takes_optional_words else TriggerRule.REQUIRED
    presets = [preset for _, preset in draft.chosen if rule in (None, preset.trigger)]
    return merge_wanted(
        [(words, preset.slug) for preset in presets for words in phrases_of(draft, preset)]
    )


def phrases_of(draft: Draft, preset: LoraPreset) -> tuple[str, ...]:
    """A LoRA's trigger words: those that were chosen, else all; of alternatives those that
    are typed, else the first."""
    phrases = preset.trigger_phrases
    chosen = {choice.slug: choice.phrases for choice in draft.request.loras}[preset.slug]
    if chosen is not None:
        return tuple(phrase for phrase in phrases if phrase in chosen)
    if not preset.alternatives:
        return phrases
    wanted = merge_wanted([(phrase, preset.slug) for phrase in phrases])
    typed = {found.phrase for found in find_phrases(draft.request.prompt, wanted)}
    return tuple(phrase for phrase in phrases if phrase in typed) or phrases[:1]


def marked_triggers(draft: Draft) -> tuple[Wanted, ...]:
    """The chosen LoRAs' words that are marked where they stand, and never added."""
    if not draft.request.mode.takes_trigger_words:
        return ()
    wanted = {item.phrase.lower() for item in wanted_triggers(draft)}
    return tuple(item for item in chosen_triggers(draft) if item.phrase.lower() not in wanted)


def chosen_triggers(draft: Draft, rule: TriggerRule | None = None) -> tuple[Wanted, ...]:
    """Trigger words of the chosen LoRAs (of those with ``rule``), whatever the mode is."""
    presets = [preset for _, preset in draft.chosen if rule in (None, preset.trigger)]
    return merge_wanted(
        [(words, preset.slug) for preset in presets for words in preset.trigger_phrases]
    )


def wanted_negatives(draft: Draft) -> tuple[Wanted, ...]:
    """The applied LoRAs' negative terms, where the base takes any."""
    if not draft.takes_negative:
        return ()
    terms = [
        (term, preset.slug)
        for _, preset in draft.applied
        for term in split_phrases(preset.negative_prompt)
    ]
    return merge_wanted(terms)


def base_prompt_triggers(
    prompt: str, catalog: Catalog, architecture: Architecture
) -> tuple[tuple[str, str], ...]:
    """Required trigger phrases of the architecture's LoRAs in ``prompt``: (phrase, slug).

    Looked up by first word, so that the cost follows the prompt and not the catalogue.
    """
    index = catalog.required_phrases(architecture)
    flat = " ".join(as_characters(prompt).lower().split()).replace(" +", "+").replace(" -", "-")
    words = set(re.findall(r"\w+", flat))
    # Thousands of phrases can share a first word; only those that stand there are matched.
    candidates = [
        Wanted(phrase, (slug,))
        for word in words & index.keys()
        for phrase, slug in index[word].items()
        if phrase.replace(" +", "+").replace(" -", "-") in flat
    ]
    found = find_phrases(prompt, candidates)
    return tuple(dict.fromkeys((item.phrase, item.slugs[0]) for item in found))
