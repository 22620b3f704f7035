"""``parameters`` text of AUTOMATIC1111, Forge, SD.Next, CivitAI and others → Said."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from studio.presets.air import LORA_TYPES
from studio.presets.prompt_tags import PromptTag, prompt_tags, without_tags
from studio.recall import infotext
from studio.recall.infotext import InfoText
from studio.recall.said import MOST_LORAS, Said, SaidWeights, entries, hash_of, number, text, whole

_NO_REQUEST = {
    "Denoising strength": "It was made from another picture, or in two passes (denoising strength "
    "{}); the request makes it in one, from noise.",
    "Hires upscale": "It was enlarged by {} in a second pass; the request has one pass.",
    "Hires resize": "It was enlarged to {} in a second pass; the request has one pass.",
    "Mask blur": "It was inpainted; the request has no mask.",
    "ControlNet 0": "A ControlNet took part; the request has none.",
    "Refiner": "A second base, {}, refined it; the request has one base.",
    "Variation seed": "It mixed in a variation seed, {}; the request has one seed.",
    "ENSD": "Its seeds were shifted (ENSD {}); the same seed gives another noise here.",
    "Schedule type": "Its schedule of noise levels is {}; the request has the base's own.",
    "VAE": "It was decoded with the VAE {}; the request has the base's own.",
    "Token merging ratio": "Tokens were merged ({}); the request does not.",
    "TI hashes": "Textual inversion embeddings took part: {}; the request has none.",
}
"""Parameter → what it did that a request cannot say."""

_ORDINARY = {("Schedule type", "automatic"), ("VAE", "automatic"), ("VAE", "none")}
_MAX_SHOWN = 80
OWN = "LoRA Studio"


def read(written: str) -> Said:
    """What ``written`` says. Text without parameters is one long prompt."""
    seen = infotext.read(written)
    found = seen.parameters
    distilled = number(found.get("Distilled CFG Scale"))
    guidance = number(found.get("CFG scale"))
    resources = _resources(found.get("Civitai resources", "[]"))
    if found.get("Version", "").startswith(OWN):
        prompt, tags = seen.prompt, list(seen.loras)
        left: list[str] = []
    else:
        prompt, tags, left = split_tags(seen.written)
    return Said(
        tool=_tool(found.get("Version", ""), found.get("App", "")),
        prompt=prompt,
        negative_prompt=seen.negative_prompt,
        base=_base(seen, resources),
        loras=tuple(_loras(tags, seen.hashes, resources)),
        seed=seen.seed,
        steps=seen.steps,
        guidance_scale=guidance if distilled is None else distilled,
        true_cfg_scale=_true_cfg(found.get("True CFG scale"), distilled, guidance),
        clip_skip=infotext.integer(found.get("Clip skip")),
        width=seen.size[0] if seen.size else None,
        height=seen.size[1] if seen.size else None,
        sampler=found.get("Sampler"),
        left=(*left, *_left(seen)),
    )


def _tool(version: str, app: str) -> str:
    if app:
        return app[:_MAX_SHOWN]
    if version.startswith(OWN):
        return version[:_MAX_SHOWN]
    if version.startswith(("f", "neo", "classic")):
        return "Forge"
    return "AUTOMATIC1111" if version.startswith("v") else "a tool that writes A1111's text"


def _true_cfg(own: str | None, distilled: float | None, guidance: float | None) -> float | None:
    """Forge writes FLUX's own guidance as the distilled one, and classifier-free as "CFG"."""
    if own is not None:
        return number(own)
    return guidance if distilled is not None and guidance is not None and guidance > 1 else None


def _base(seen: InfoText, resources: list[Mapping[str, Any]]) -> SaidWeights | None:
    name, found = seen.parameters.get("Model", ""), hash_of(seen.parameters.get("Model hash"))
    named = [each for each in resources if each.get("type") == "checkpoint"]
    version = whole(named[0].get("modelVersionId")) if len(named) == 1 else None
    if not name and named:
        name = _title(named[0])
    known = name or found or version is not None
    return SaidWeights(name, found, None, version) if known else None


def _loras(
    tags: list[PromptTag], hashes: Mapping[str, str], resources: list[Mapping[str, Any]]
) -> Iterator[SaidWeights]:
    """The tags; where the text has none, what only its list of resources names."""
    listed = [each for each in resources if each.get("type") in LORA_TYPES]
    # The two have no common key: they are joined only where each entry can mean one tag.
    versions = [whole(each.get("modelVersionId")) for each in listed]
    paired = versions if len(listed) == len(tags) else [None] * len(tags)
    for tag, version in zip(tags, paired, strict=True):
        found = hash_of(hashes.get(tag.name))
        yield SaidWeights(tag.name, found, tag.strength, version, tag.parts)
    if not tags:
        for each, version in zip(listed, versions, strict=True):
            yield SaidWeights(_title(each), None, number(each.get("weight")), version)


def _title(resource: Mapping[str, Any]) -> str:
    return text(resource.get("modelName")) or text(resource.get("modelVersionName"))


def _resources(listed: str) -> list[Mapping[str, Any]]:
    try:
        return entries(json.loads(listed))[:MOST_LORAS]
    except (ValueError, RecursionError):  # the rest of the text can still be read
        return []


def split_tags(prompt: str) -> tuple[str, list[PromptTag], list[str]]:
    """The prompt without its tags, each LoRA's first, and what else they say.

    A1111 takes a tag out and leaves the commas around it; so do we.
    """
    found: dict[str, PromptTag] = {}
    left: list[str] = []
    for tag in prompt_tags(prompt):
        if tag.kind == "hypernet":
            left.append(f"The hypernetwork {tag.name!r} took part; the request has none.")
        elif tag.strength is None:
            text = f"The strength of the LoRA {tag.name!r} is no number: {tag.written[:80]}."
            left.append(text)
        else:
            found.setdefault(tag.name, tag)
            if tag.more:
                left.append(
                    f"The LoRA {tag.name!r} had settings of its own for blocks or steps "
                    f"({':'.join(tag.more)[:_MAX_SHOWN]}), which the request leaves out."
                )
    return without_tags(prompt).strip(), list(found.values())[:MOST_LORAS], left


def _left(seen: InfoText) -> Iterator[str]:
    for key, sentence in _NO_REQUEST.items():
        value = seen.parameters.get(key, "")
        if value and (key, value.lower()) not in _ORDINARY:
            yield sentence.format(value[:_MAX_SHOWN])
