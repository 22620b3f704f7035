"""Trigger words where no LoRA is there to answer them."""

import re

from studio.architecture import Architecture
from studio.presets import Catalog
from studio.presets.rules import as_characters
from studio.resolve.compose import Wanted, find_phrases


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
