"""What a model family says of itself, once: names, layers, and what holds for its models.

Sources: the pipelines of diffusers 0.42 (their text encoders and size checks) and the model
cards; the CLIP window of 77 counts the start and end tokens.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.architecture.layer_names import LayerNames
from studio.architecture.names import Architecture
from studio.architecture.pipelines import PipelineTraits


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family that files are told to belong to, whether or not the studio runs it.

    Attributes:
        name: in records, presets and verdicts.
        called: how publishers, trainers and the SAI model spec begin their name of it, as a
            regular expression for text in lower case; no two families' ever match one text.
        words: what other tools' presets call it, to the letter, in lower case.
        ecosystems: the AIR ecosystems whose LoRAs belong here, to the letter.
        denoiser: the pipeline component that LoRAs mostly change.
        variants: found in such a name → the variant it claims; the first that is found.
        alike: variant → others that the layers which tell it do not tell from it.
        undecidable: variant → the sentence that says what layers cannot tell.
        embedding: the widths of its textual inversions; empty where they are not told.
        layer_names: other names of its layers, beside diffusers'.
        checkpoint: component → each way to name its tensors in a single-file checkpoint: their
            prefix, and one it cannot be without; diffusers reads the first. Empty where a base
            of it is a folder.
    """

    name: str
    label: str
    called: str
    words: tuple[str, ...] = ()
    ecosystems: tuple[str, ...] = ()
    denoiser: str = "transformer"
    variants: tuple[tuple[str, str], ...] = ()
    alike: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    undecidable: Mapping[str | None, str] = field(default_factory=dict)
    embedding: tuple[int, ...] = ()
    layer_names: tuple[LayerNames, ...] = ()
    checkpoint: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """One text encoder of an architecture.

    Attributes:
        component: its name in the pipeline, for example ``text_encoder_2``.
        tokenizer: the name of its tokenizer in the pipeline.
        window: the most tokens it reads, special tokens included; None where the run's
            ``max_sequence_length`` says.
        layers: transformer layers that clip skip can count back from; None without clip skip.
        summary: it gives only a summary vector beside an encoder that reads on, so what
            exceeds its window is not lost.
        pooled: beside its words it gives a summary vector, of its first window alone.
    """

    component: str
    tokenizer: str
    window: int | None = None
    layers: int | None = None
    summary: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A part of a model that a LoRA may have a strength of its own in.

    Attributes:
        name: in records, and as it is typed.
        label: in sentences.
        layers: what the names of its layers in the denoiser begin with, as a regular expression.
    """

    name: str
    label: str
    layers: str = ""


TEXT_ENCODERS = ModelPart("te", "text encoders")
"""All of a base's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits(Family):
    """A family whose models the studio knows how to use; what holds for all of them.

    Attributes:
        pipelines: the diffusers classes that run it, the usual one first.
        clip_skip: the one its models were trained with, where they have any.
        size_multiple: width and height must be multiples of this, in pixels.
        flow_matching: trained on straight paths, so that only flow-match schedulers fit.
        block_groups: the parts of the denoiser; a layer is in the first that has it, or in none.
        runnable: whether this release's engine can run it.
    """

    pipelines: tuple[PipelineTraits, ...]
    text_encoders: tuple[TextEncoder, ...]
    clip_skip: int | None = None
    compel: bool = False
    size_multiple: int
    flow_matching: bool
    block_groups: tuple[ModelPart, ...] = ()
    runnable: bool = True

    @property
    def architecture(self) -> Architecture:
        return Architecture(self.name)

    @property
    def parts(self) -> tuple[ModelPart, ...]:
        """Those that a LoRA may have a strength of its own in."""
        return (TEXT_ENCODERS, *self.block_groups)

    def part_of(self, component: str, module: str) -> str | None:
        """The name of the part that has this module; None where it has the LoRA's own strength."""
        if component != self.denoiser:
            return TEXT_ENCODERS.name
        return next(
            (each.name for each in self.block_groups if re.match(each.layers, module)), None
        )

    @property
    def pipeline(self) -> str:
        """The class of a model of which nothing more is known."""
        return self.pipelines[0].name


def clip(component: str, layers: int, summary: bool = False, pooled: bool = False) -> TextEncoder:
    """A CLIP text encoder, whose window is 77 tokens."""
    tokenizer = component.replace("text_encoder", "tokenizer")
    return TextEncoder(component, tokenizer, 77, layers, summary, pooled)


def clip_skip_in_words(clip_skip: int) -> str:
    """The layer in words; CivitAI's and A1111's convention, 1 is the last layer."""
    if clip_skip == 1:
        return "last layer"
    if clip_skip == 2:
        return "the layer before the last"
    return f"{clip_skip - 1} layers before the last"
