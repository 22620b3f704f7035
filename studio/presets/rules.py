"""The rules of presets that are more than a range: paths, pipelines, AIRs, FLUX.2.

Each raises a pydantic error that carries its own sentence, field and way out. Last, how the
phrases of a prompt are read.
"""

import re
from pathlib import PurePosixPath

from pydantic_core import PydanticCustomError

from studio.architecture import TRAITS, Architecture, architecture_of
from studio.contract.base import is_empty_hash
from studio.presets.air import LORA_TYPES, Air

_NO_PICKLE = "Use a .safetensors file: a pickle can run code when it is read."
_FLUX2 = re.compile(r"flux[\s._-]*2(?![0-9])", re.IGNORECASE)
# Pickles run code when they are read, so the studio reads none.
_PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


def refuse(field: str, message: str, way_out: str) -> PydanticCustomError:
    """The error of a rule that holds between fields; ``field`` is where to mend it."""
    return PydanticCustomError(
        "preset", "{message}", {"message": message, "field": field, "way_out": way_out}
    )


def clip(value: str, limit: int = 60) -> str:
    """``value`` in quotes, shortened, safe to print and to encode."""
    short = value if len(value) <= limit else value[: limit - 1] + "…"
    return repr(short).encode("utf-8", "backslashreplace").decode("utf-8")


def says_flux2(*texts: str | None) -> bool:
    """Whether a label, path or repository names FLUX.2, whose LoRAs fit no FLUX.1 model."""
    return any(text is not None and _FLUX2.search(text) for text in texts)


def identifies(sha256: str) -> str:
    """Refuse the hash that some trainers write for every file."""
    if is_empty_hash(sha256):
        raise refuse(
            "sha256",
            "sha256 is the hash of an empty file, which identifies none.",
            "Write the SHA-256 of the file itself, or leave it out: it is pinned on first use.",
        )
    return sha256


def inside(path: str) -> str:
    """Refuse a path that could leave the folder it is relative to."""
    pure = PurePosixPath(path.replace("\\", "/"))
    leaves = pure.is_absolute() or ".." in pure.parts or path.startswith("~")
    if leaves or not pure.parts or re.match(r"[A-Za-z]:", path) or not path.isprintable():
        raise ValueError("must stay inside the folder it is relative to")
    return str(pure)


def check_place(field: str, places: tuple[object, ...]) -> None:
    """Some place must say where the weights are."""
    if all(place is None for place in places):
        raise refuse(
            field, "Nothing says where the weights are.", "Give path, or source, or a LoRA's air."
        )


def check_no_pickle(path: str | None) -> None:
    """A model may be a folder or one file, but no pickle."""
    if path is not None and PurePosixPath(path).suffix.lower() in _PICKLES:
        raise refuse("path", f"{clip(path)} is a pickle file.", _NO_PICKLE)


def check_checkpoint(single_file: bool, variant: str | None, config: str | None) -> None:
    """A variant is a folder's, configurations from elsewhere are a checkpoint's."""
    if single_file and variant is not None:
        raise refuse(
            "variant",
            "path is one file, and variant chooses among the files of a folder.",
            "Leave variant out.",
        )
    if not single_file and config is not None:
        raise refuse(
            "config",
            "path is a folder, which has its own configurations.",
            "Leave config out, or let path name a .safetensors file.",
        )


def check_safetensors(field: str, file: str | None) -> None:
    """A LoRA is a .safetensors file."""
    if file is not None and not file.lower().endswith(".safetensors"):
        raise refuse(field, f"{clip(file)} is not a .safetensors file.", _NO_PICKLE)


def check_pipeline(architecture: Architecture, pipeline: str) -> None:
    """The pipeline class must be one that runs the architecture."""
    fitting = pipelines_of(architecture)
    if pipeline not in fitting:
        owners = [a.value for a in Architecture if pipeline in pipelines_of(a)]
        whose = f"runs {' and '.join(owners)}" if owners else "is not one the studio knows"
        raise refuse(
            "pipeline",
            f"pipeline {clip(pipeline)} {whose}; base_architecture is {architecture.value!r}.",
            f"Write {' or '.join(fitting)}, or correct base_architecture.",
        )


def pipelines_of(architecture: Architecture) -> tuple[str, ...]:
    return tuple(pipeline.name for pipeline in TRAITS[architecture].pipelines)


def check_flux2(architecture: Architecture, *names: str | None) -> None:
    """FLUX.2 under flux1, as the guide has it: refused, since the LoRAs do not fit."""
    if architecture is Architecture.FLUX1 and says_flux2(*names):
        raise refuse(
            "base_architecture",
            "base_architecture is 'flux1' but the names say FLUX.2, which is an architecture "
            "of its own here: LoRAs of one do not fit the other.",
            "Set base_architecture: flux2, or run `studio presets import` on the file.",
        )


def check_air(architecture: Architecture, text: str) -> None:
    """The AIR must parse, name a LoRA, and its ecosystem must be the architecture's."""
    try:
        air = Air.parse(text)
    except ValueError as error:
        raise refuse("air", f"air: {error}.", "Copy the AIR from the model's page.") from error
    if not air.is_lora:
        raise refuse(
            "air",
            f"air names a {clip(air.type)}, not a LoRA.",
            f"Use a LoRA's AIR: its type is one of {', '.join(sorted(LORA_TYPES))}.",
        )
    fitting = TRAITS[architecture].ecosystems
    if air.ecosystem not in fitting:
        owner = architecture_of(air.ecosystem)
        raise refuse(
            "base_architecture",
            f"air says ecosystem {clip(air.ecosystem)}"
            f"{f', which is {owner.value!r} here' if owner else ''}; base_architecture says "
            f"{architecture.value!r}, which takes {', '.join(fitting) or 'no AIR'}.",
            "Correct whichever is wrong; `studio presets import` follows the air.",
        )


def split_phrases(prompt: str) -> tuple[str, ...]:
    """The comma-separated parts of ``prompt`` as the characters they stand for, blanks collapsed,
    without empty ones."""
    parts = (" ".join(as_characters(raw).split()) for raw in re.split("[,，]", prompt))
    return tuple(part for part in parts if part)


def as_characters(text: str) -> str:
    """``text`` without the backslashes that say, in other tools and in Compel, that a bracket, a
    quote or a sign is meant as one: ``artist \\(series\\)`` is *artist (series)*."""
    return re.sub(r"\\([()\[\]{}<>\"+:|-])", r"\1", text)
