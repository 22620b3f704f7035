"""The JSON that InvokeAI, Fooocus and SwarmUI write into their pictures → Said."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from studio.errors import RecallError
from studio.recall.said import (
    MAX_JSON,
    MOST_LORAS,
    Said,
    SaidWeights,
    entries,
    hash_of,
    mapping,
    number,
    text,
    text_encoders,
    whole,
)


def parse(written: str, tool: str) -> Mapping[str, Any]:
    """The JSON object that ``written`` spells.

    Raises:
        RecallError: it is none, or too large.
    """
    try:
        if len(written) > MAX_JSON:
            raise ValueError("too large")
        found = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise _unreadable(tool) from error
    if not isinstance(found, dict):
        raise _unreadable(tool)
    return found


def _unreadable(tool: str) -> RecallError:
    return RecallError(
        f"What {tool} wrote into this picture is not a JSON object of at most {MAX_JSON:,} "
        "characters.",
        f"Take the picture as {tool} saved it.",
    )


def invokeai(found: Mapping[str, Any]) -> Said:
    """``invokeai_metadata``, of version 3 and later."""
    left = [
        f"{sentence}; the request has none."
        for key, sentence in (
            ("controlnets", "ControlNets took part"),
            ("ipAdapters", "IP-Adapters took part"),
            ("t2iAdapters", "T2I-Adapters took part"),
            ("refiner_model", "A second base refined it"),
            ("vae", "It was decoded with a VAE of its own"),
        )
        if found.get(key)
    ]
    if text(found.get("generation_mode")).endswith(("img2img", "inpaint", "outpaint")):
        left.append("It was made from another picture; the request is not.")
    skipped = whole(found.get("clip_skip"))
    return Said(
        tool="InvokeAI",
        prompt=text(found.get("positive_prompt")),
        negative_prompt=text(found.get("negative_prompt")),
        base=_invoke_weights(mapping(found.get("model")), None),
        loras=tuple(_invoke_loras(found)),
        seed=whole(found.get("seed")),
        steps=whole(found.get("steps")),
        guidance_scale=number(found.get("guidance", found.get("cfg_scale"))),
        # InvokeAI counts the layers that are left out, the field the layer that is read.
        clip_skip=skipped + 1 if skipped else None,
        width=whole(found.get("width")),
        height=whole(found.get("height")),
        sampler=text(found.get("scheduler")) or None,
        left=tuple(left),
    )


def _invoke_loras(found: Mapping[str, Any]) -> Iterator[SaidWeights]:
    for each in entries(found.get("loras"))[:MOST_LORAS]:
        model = mapping(each.get("model")) or mapping(each.get("lora"))
        weights = _invoke_weights(model, number(each.get("weight")))
        if weights is not None:
            yield weights


def _invoke_weights(model: Mapping[str, Any], strength: float | None) -> SaidWeights | None:
    # Its hashes are BLAKE3 unless they say otherwise, which nothing here is known by.
    said = text(model.get("hash"))
    found = hash_of(said) if said.startswith("sha256:") else None
    name = text(model.get("name")) or text(model.get("model_name"))
    return SaidWeights(name, found, strength) if name else None


_COMBINED = re.compile(r"(.{1,200}) : (-?[0-9.]{1,20})")


def fooocus(found: Mapping[str, Any]) -> Said:
    """``parameters`` of Fooocus's own scheme."""
    size = re.findall(r"[0-9]{1,9}", text(found.get("resolution")))[:2]
    width, height = (int(size[0]), int(size[1])) if len(size) == 2 else (None, None)
    left = []
    if found.get("styles") not in (None, "[]", []):
        left.append(
            f"Fooocus added its styles to the prompt ({str(found['styles'])[:80]}); the prompt is "
            "taken as it was typed."
        )
    if text(found.get("refiner_model")) not in ("", "None"):
        left.append("A second base refined it; the request has one base.")
    if found.get("adm_guidance") or found.get("sharpness"):
        left.append("Fooocus's sharpness and ADM guidance took part; the request has neither.")
    return Said(
        tool=text(found.get("version"))[:80] or "Fooocus",
        prompt=text(found.get("prompt")),
        negative_prompt=text(found.get("negative_prompt")),
        base=SaidWeights(text(found.get("base_model")), hash_of(found.get("base_model_hash"))),
        loras=tuple(_fooocus_loras(found))[:MOST_LORAS],
        seed=whole(found.get("seed")),
        steps=whole(found.get("steps")),
        guidance_scale=number(found.get("guidance_scale")),
        clip_skip=whole(found.get("clip_skip")),
        width=width,
        height=height,
        sampler=text(found.get("sampler")) or None,
        left=tuple(left),
    )


def _fooocus_loras(found: Mapping[str, Any]) -> Iterator[SaidWeights]:
    listed = found.get("loras")
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, list) and len(each) >= 2 and isinstance(each[0], str):
            yield SaidWeights(each[0], hash_of(each[2:] and each[2]), number(each[1]))
    for key in sorted(key for key in found if key.startswith("lora_combined_"))[:MOST_LORAS]:
        match = _COMBINED.fullmatch(text(found[key]))
        if match is not None:
            yield SaidWeights(match[1], None, number(match[2]))


def swarmui(found: Mapping[str, Any]) -> Said:
    """``parameters`` with ``sui_image_params``."""
    said = mapping(found.get("sui_image_params"))
    hashes = {
        (text(each.get("param")), _stem(text(each.get("name")))): hash_of(each.get("hash"))
        for each in entries(found.get("sui_models"))
    }
    left = [
        f"SwarmUI's {key} took part; the request has none."
        for key in ("initimage", "controlnetmodel", "refinermodel", "refinerupscale", "vae")
        if key in said and text(said[key]).lower() not in ("none", "automatic")
    ]
    base = text(said.get("model"))
    return Said(
        tool="SwarmUI",
        prompt=text(said.get("prompt")),
        negative_prompt=text(said.get("negativeprompt")),
        base=SaidWeights(base, hashes.get(("model", _stem(base)))) if base else None,
        loras=tuple(_swarm_loras(said, hashes)),
        seed=whole(said.get("seed")),
        steps=whole(said.get("steps")),
        guidance_scale=number(said.get("fluxguidancescale", said.get("cfgscale"))),
        # SwarmUI has ComfyUI's count, −1 for the last layer.
        clip_skip=-skip if (skip := whole(said.get("clipstopatlayer"))) and skip < 0 else None,
        width=whole(said.get("width")),
        height=whole(said.get("height")),
        sampler=text(said.get("sampler")) or None,
        left=tuple(left),
    )


def _swarm_loras(
    said: Mapping[str, Any], hashes: Mapping[tuple[str, str], str | None]
) -> Iterator[SaidWeights]:
    keys = ("loras", "loraweights", "loratencweights")
    names, weights, texts = (_listed(said.get(key)) for key in keys)
    for place, name in enumerate(names[:MOST_LORAS]):
        strength = number(weights[place]) if place < len(weights) else None
        own = number(texts[place]) if place < len(texts) else None
        found = hashes.get(("loras", _stem(text(name))))
        yield SaidWeights(text(name), found, strength, parts=text_encoders(own, strength))


def _listed(value: Any) -> list[Any]:
    """A JSON list, or the comma-separated text that older versions wrote."""
    if isinstance(value, list):
        return value
    return [part.strip() for part in text(value).split(",") if part.strip()]


def _stem(name: str) -> str:
    return name.removesuffix(".safetensors")
