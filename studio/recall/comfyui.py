"""The node graph that ComfyUI writes into its pictures (its API format) → Said.

A graph is a program. It is followed backwards from the sampler that starts from an empty
latent: its model, its two conditionings and its numbers. What stands on these ways and is not
known is named; nothing is guessed from nodes that lie elsewhere.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.errors import RecallError
from studio.recall.said import (
    MAX_JSON,
    MOST_LORAS,
    Said,
    SaidWeights,
    mapping,
    number,
    text,
    text_encoders,
    whole,
)

TOOL = "ComfyUI"
MAX_NODES = 5_000
_MAX_STEPS = 2_000
"""Nodes of one way through the graph; a cap beside the memory of what was visited."""

_LITERALS = ("value", "text", "string", "seed", "noise_seed", "int", "float", "number", "prompt")
_PLAIN_MODEL = {
    "ModelSamplingAuraFlow",
    "ModelSamplingFlux",
    "ModelSamplingSD3",
    "Reroute",
    "CLIPSetLastLayer",
}
_ENCODERS = ("text", "text_g", "t5xxl", "clip_l", "text_l", "prompt")
_TWO_PROMPTS = ("ConditioningCombine", "ConditioningConcat", "ConditioningAverage")

Link = tuple[str, Mapping[str, Any]]
"""A node's number and the node."""


@dataclass
class _Way:
    """What was met on the way."""

    loras: list[SaidWeights] = field(default_factory=list)
    base: SaidWeights | None = None
    clip_skip: int | None = None
    guidance: float | None = None
    left: dict[str, None] = field(default_factory=dict)

    def leave(self, sentence: str) -> None:
        self.left.setdefault(sentence)


def read(written: str) -> Said:
    """What the graph ``written`` says.

    Raises:
        RecallError: it is no graph, too large, or has no sampler.
    """
    graph = _Graph(_nodes(written))
    sampler, others = graph.sampler()
    way = _Way()
    for each in others:
        way.leave(f"A second sampler ({_kind(each)}) went over the picture; the request has one.")
    guider = graph.linked(sampler, "guider") or sampler
    graph.model(guider, way)
    positive = graph.prompt(guider, ("positive", "conditioning"), way)
    negative = graph.prompt(guider, ("negative",), way)
    size = graph.size(sampler, way)
    cfg = number(graph.value(guider, "cfg"))
    sigmas, noise = graph.linked(sampler, "sigmas"), graph.linked(sampler, "noise")
    method = graph.linked(sampler, "sampler")
    _unsayable(graph, sampler, sigmas, way)
    return Said(
        tool=TOOL,
        prompt=positive,
        negative_prompt=negative,
        base=way.base,
        loras=tuple(way.loras[:MOST_LORAS]),
        seed=whole(graph.first((sampler, noise), ("seed", "noise_seed"))),
        steps=whole(graph.first((sampler, sigmas), ("steps",))),
        guidance_scale=cfg if way.guidance is None else way.guidance,
        true_cfg_scale=cfg if way.guidance is not None and cfg is not None and cfg > 1 else None,
        clip_skip=way.clip_skip,
        width=size[0],
        height=size[1],
        sampler=text(graph.first((sampler, method), ("sampler_name",))) or None,
        left=tuple(way.left),
    )


def _nodes(written: str) -> Mapping[str, Mapping[str, Any]]:
    if len(written) > MAX_JSON:
        raise RecallError(
            f"The graph in this picture has {len(written):,} characters; at most {MAX_JSON:,} "
            "are read.",
            "Write the settings into the form by hand.",
        )
    try:
        graph = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise RecallError(
            "The ComfyUI graph in this picture is not JSON that can be read.",
            "Take the picture as ComfyUI saved it.",
        ) from error
    nodes = {
        key: node
        for key, node in mapping(graph).items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    if not nodes or len(nodes) > MAX_NODES:
        raise RecallError(
            f"This picture's ComfyUI graph has {len(nodes)} nodes; 1 to {MAX_NODES} are read.",
            "Take the picture as ComfyUI saved it.",
        )
    return nodes


def _kind(node: Mapping[str, Any]) -> str:
    return text(node.get("class_type"))[:80] or "a node without a class"


class _Graph:
    def __init__(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        self._nodes = nodes

    def linked(self, node: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        """The node that ``node``'s input ``key`` comes from."""
        link = node["inputs"].get(key)
        if isinstance(link, list) and link and isinstance(link[0], str | int):
            return self._nodes.get(str(link[0]))
        return None

    def value(self, node: Mapping[str, Any], key: str) -> Any:
        """The input ``key``: as it stands there, or as the nodes it is linked from hold it."""
        seen: list[int] = []
        found = node["inputs"].get(key)
        while isinstance(found, list) and len(seen) < _MAX_STEPS:
            source = self.linked(node, key)
            if source is None or id(source) in seen:
                return None
            seen.append(id(source))
            node, key = source, next((k for k in _LITERALS if k in source["inputs"]), "")
            found = node["inputs"].get(key)
        return found

    def first(self, nodes: tuple[Mapping[str, Any] | None, ...], keys: tuple[str, ...]) -> Any:
        for node in nodes:
            for key in keys:
                if node is not None and key in node["inputs"]:
                    return self.value(node, key)
        return None

    def sampler(self) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
        """The sampler that the picture begins with, and the others."""
        samplers = [node for node in self._nodes.values() if self._samples(node)]
        if not samplers:
            raise RecallError(
                "The ComfyUI graph in this picture has no sampler that is known.",
                "Write the settings into the form by hand.",
            )
        first = next((node for node in samplers if self.size(node, None) != (None, None)), None)
        chosen = first or samplers[0]
        return chosen, [node for node in samplers if node is not chosen]

    @staticmethod
    def _samples(node: Mapping[str, Any]) -> bool:
        inputs = node["inputs"]
        links = [key for key in ("model", "guider") if isinstance(inputs.get(key), list)]
        return bool(links) and "latent_image" in inputs

    def _chain(
        self, node: Mapping[str, Any], keys: tuple[str, ...]
    ) -> Iterator[Mapping[str, Any]]:
        """The nodes behind ``node``, following the first of ``keys`` that is linked."""
        seen: set[int] = set()
        while len(seen) < _MAX_STEPS:
            found = next((n for key in keys if (n := self.linked(node, key)) is not None), None)
            if found is None or id(found) in seen:
                return
            seen.add(id(found))
            yield found
            node = found

    def size(self, sampler: Mapping[str, Any], way: _Way | None) -> tuple[int | None, int | None]:
        """Width and height, pixels, of the empty latent that ``sampler`` starts from."""
        for node in self._chain(sampler, ("latent_image", "samples", "latent", "pixels")):
            if self._samples(node):  # an earlier pass: its result is no beginning
                return None, None
            width, height = (whole(self.value(node, key)) for key in ("width", "height"))
            if width and height and "Empty" in _kind(node):
                return width, height
            if way is not None:
                way.leave(f"It starts from {_kind(node)}; the request starts from noise.")
        return None, None

    def model(self, sampler: Mapping[str, Any], way: _Way) -> None:
        """The base, and the LoRAs between it and ``sampler``."""
        for node in self._chain(sampler, ("model", "base_model")):
            loras = list(self._loras(node))
            way.loras += loras
            name = self.first((node,), ("ckpt_name", "unet_name", "model_name", "base_ckpt_name"))
            if isinstance(name, str):
                way.base = SaidWeights(name)
            elif (
                not loras
                and "lora" not in _kind(node).lower()
                and (_kind(node) not in _PLAIN_MODEL)
            ):
                way.leave(f"The node {_kind(node)} changes the model; the request cannot.")
            for stack in self._chain(node, ("lora_stack",)):
                way.loras += self._loras(stack)

    def _loras(self, node: Mapping[str, Any]) -> Iterator[SaidWeights]:
        inputs = node["inputs"]
        if isinstance(inputs.get("lora_name"), str):
            strength = number(
                self.first((node,), ("strength_model", "strength", "model_strength"))
            )
            clip = number(self.value(node, "strength_clip"))
            yield _lora(inputs["lora_name"], strength, clip)
        for key in sorted(inputs)[:MAX_NODES]:
            row, suffix = inputs[key], key.rsplit("_", 1)[-1]
            if key.startswith("lora_name_") and text(row) not in ("", "None"):
                keys = [f"{start}_{suffix}" for start in ("model_weight", "model_str", "lora_wt")]
                if inputs.get(f"switch_{suffix}") != "Off":
                    weights = self.first((node,), tuple(keys))
                    yield _lora(text(row), number(weights), None)
            elif isinstance(row, dict) and text(row.get("lora")) and row.get("on"):
                clip = number(row.get("strengthTwo"))
                yield _lora(text(row["lora"]), number(row.get("strength")), clip)

    def prompt(self, sampler: Mapping[str, Any], keys: tuple[str, ...], way: _Way) -> str:
        """The text that reaches ``sampler`` on its input ``keys``; empty where none does."""
        ways = (*keys, "conditioning", "conditioning_1", "conditioning_to", "positive")
        for node in self._chain(sampler, ways):
            guidance = number(self.value(node, "guidance"))
            way.guidance = way.guidance if guidance is None else guidance
            texts = [text(self.value(node, key)) for key in _ENCODERS if key in node["inputs"]]
            if texts:
                self._encoder(node, texts, way)
                return texts[0]
            if _kind(node) in _TWO_PROMPTS:
                way.leave(f"Two prompts were joined ({_kind(node)}); the first one is taken.")
            elif _kind(node) == "ConditioningZeroOut":
                return ""
            elif _kind(node) not in ("FluxGuidance", "Reroute"):
                way.leave(
                    f"The node {_kind(node)} changes the prompt's effect; the request cannot."
                )
        return ""

    def _encoder(self, node: Mapping[str, Any], texts: list[str], way: _Way) -> None:
        if len({each for each in texts if each}) > 1:
            way.leave("The text encoders had different prompts; the first one is taken.")
        for each in self._chain(node, ("clip",)):
            layer = whole(self.value(each, "stop_at_clip_layer"))
            if layer is not None and layer < 0:
                way.clip_skip = -layer


def _lora(name: str, strength: float | None, clip: float | None) -> SaidWeights:
    return SaidWeights(name, None, strength, parts=text_encoders(clip, strength))


def _unsayable(
    graph: _Graph, sampler: Mapping[str, Any], sigmas: Mapping[str, Any] | None, way: _Way
) -> None:
    denoise = number(graph.first((sampler, sigmas), ("denoise",)))
    if denoise is not None and denoise < 1:
        way.leave(f"It was made from another picture (denoise {denoise}); the request is not.")
    schedule = text(graph.first((sampler, sigmas), ("scheduler",)))
    if schedule not in ("", "normal", "simple"):
        way.leave(
            f"Its schedule of noise levels is {schedule[:80]}; the request has the base's own."
        )
