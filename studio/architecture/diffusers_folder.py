"""Which files of a model's folder in diffusers layout are loaded. Pure: by their names alone.

The one rule for what is fetched, checked and loaded: ``model_index.json``, each component's
configuration and tokenizer files, and its weights as safetensors under their plain names or the
variant's. diffusers names a variant ``<stem>.fp16.safetensors`` and the index of its shards
``<stem>.safetensors.index.fp16.json``; a component without the variant asked for is read from
its plain weights (diffusers 0.42, ``_add_variant`` and ``_identify_model_variants``).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

INDEX = "model_index.json"
OPTIONAL = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
"""Components a pipeline runs without; where the folder is not there they are not loaded."""
PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})

ADAPTER = "adapter_config.json"
"""Beside a model of transformers: it then loads the weights of an adapter too."""
RENAMED_WEIGHTS = "transformers_weights"
"""In a model's ``config.json``: transformers then loads the file of that name."""
OTHER_TEMPLATE = "additional_chat_templates/default.jinja"
"""In a tokenizer's folder: transformers then takes it before the tokenizer's own."""

_READ = frozenset({".json", ".txt", ".model", ".jinja"})
_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "Processor", "FeatureExtractor")
_OF_VARIANT = re.compile(
    r"(?:.*/)?(?:diffusion_pytorch_model|model)(?:-\d{5}-of-\d{5})?"
    r"\.(\w+)(?:-\d{5}-of-\d{5})?\.safetensors"
)


@dataclass(frozen=True, slots=True)
class Component:
    """One entry of ``model_index.json``."""

    name: str
    library: str
    class_name: str

    @property
    def stem(self) -> str:
        """What its library calls its weights."""
        return "diffusion_pytorch_model" if self.library == "diffusers" else "model"

    @property
    def has_weights(self) -> bool:
        return not any(kind in self.class_name for kind in _WITHOUT_WEIGHTS)


@dataclass(frozen=True, slots=True)
class WeightNames:
    """What of a component's folder holds its weights.

    Attributes:
        whole, shards: the one file, and the index of several; either or both may be there.
        variant: of these names; None for the plain ones.
        others: variants that lie beside and are not loaded; an empty text is the plain one.
    """

    whole: str | None
    shards: str | None
    variant: str | None
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoWeights:
    """A component's folder that holds none which can be loaded.

    Attributes:
        variants: those that are there, and were not asked for.
        pickle: the first file that could run code.
        strange: the first safetensors file of another name.
    """

    variants: tuple[str, ...]
    pickle: str | None
    strange: str | None


def components(index: Mapping[str, object]) -> tuple[Component, ...]:
    """The components that the content of ``model_index.json`` names."""
    return tuple(
        Component(name, str(entry[0]), entry[1])
        for name, entry in index.items()
        if not name.startswith("_")
        and isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[1], str)
        and name.isidentifier()
    )


def is_read(name: str) -> bool:
    """Whether a file of a component's folder is a configuration or a tokenizer's; a README or
    code is not loaded, and the index of shards goes with the weights."""
    return PurePosixPath(name).suffix in _READ and ".index." not in name


def weights_of(stem: str, names: Collection[str], variant: str | None) -> WeightNames | NoWeights:
    """The weights among the ``names`` of a component's folder.

    Args:
        variant: for example ``fp16``; a component that lacks it gives its plain weights.
    """
    there = _variants(stem, names)
    chosen = variant if variant in there else None
    if chosen not in there:
        suffixes = {name: PurePosixPath(name).suffix for name in sorted(names)}
        return NoWeights(
            tuple(sorted(each for each in there if each)),
            next((name for name, suffix in suffixes.items() if suffix in PICKLES), None),
            next((name for name, suffix in suffixes.items() if suffix == ".safetensors"), None),
        )
    infix = f".{chosen}" if chosen else ""
    whole, shards = f"{stem}{infix}.safetensors", f"{stem}.safetensors.index{infix}.json"
    return WeightNames(
        whole if whole in names else None,
        shards if shards in names else None,
        chosen,
        tuple(sorted(each or "" for each in there if each != chosen)),
    )


def shards_of(stem: str, names: Iterable[str], variant: str | None) -> list[str]:
    """The shards among ``names``, by diffusers' way of naming them."""
    infix = re.escape(f".{variant}") if variant else ""
    number = r"-\d+-of-\d+"
    pattern = re.compile(rf"{re.escape(stem)}(?:{infix}{number}|{number}{infix})\.safetensors")
    return sorted(name for name in names if pattern.fullmatch(name))


def variant_of(names: Iterable[str]) -> str | None:
    """The variant that a base's weight files are of."""
    found = (match[1] for name in names if (match := _OF_VARIANT.fullmatch(name)))
    return next(found, None)


def _variants(stem: str, names: Iterable[str]) -> set[str | None]:
    name = re.escape(stem)
    pattern = re.compile(
        rf"{name}(?:\.(\w+))?\.safetensors|{name}\.safetensors\.index(?:\.(\w+))?\.json"
    )
    matches = (pattern.fullmatch(each) for each in names)
    return {match[1] or match[2] for match in matches if match}
