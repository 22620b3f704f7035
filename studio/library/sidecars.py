"""What other programs put beside a weight file: values, each with who said it, and pictures.

Read, never written: ``NAME.civitai.info`` (CivitAI Helper), ``NAME.metadata.json``
(ComfyUI-LoRA-Manager), ``NAME.cm-info.json`` (Stability Matrix), ``NAME.rgthree-info.json``,
``NAME.swarm.json``, ``NAME.json`` (A1111's card of a LoRA, or this studio's own facts), and
``NAME.txt``, in which people keep trigger words on one line (RuinedFooocus reads them there).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.contract.settings import MAX_STRENGTH
from studio.presets.model_card import read_published
from studio.presets.rules import split_phrases
from studio.storage.atomic import read_file

SUFFIXES = (
    ".json",
    ".txt",
    ".metadata.json",
    ".civitai.info",
    ".cm-info.json",
    ".rgthree-info.json",
    ".swarm.json",
)
"""After the weights' name, what a person writes before what a site was asked for."""
MAX_BYTES = 2**21
MAX_TEXT = 1000
MAX_NOTE = 200
"""Characters of trigger words in a text file."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What one sidecar says; empty texts and None are not said.

    Attributes:
        who: in words.
        prompt, negative: trigger words and negative terms, comma-separated.
        base_model: in the publisher's own words.
        sha256: of the file that is meant.
        tags: as a site or a person sorts it.
        problem: why it cannot be read, after its name; nothing else is said then.
    """

    who: str
    label: str = ""
    prompt: str = ""
    negative: str = ""
    strength: float | None = None
    notes: str = ""
    base_model: str = ""
    sha256: str = ""
    tags: tuple[str, ...] = ()
    problem: str = ""

    @property
    def sentence(self) -> str:
        """Of one that cannot be read."""
        return f"{self.who} beside it {self.problem}, so nothing of it counts."


def unread_beside(weights: Path) -> tuple[str, ...]:
    """A sentence for each sidecar of ``weights`` that cannot be read."""
    stem = weights.stem if weights.suffix.lower() == ".safetensors" else weights.name
    there = (weights.with_name(stem + suffix) for suffix in SUFFIXES)
    read = (read_sidecar(each) for each in there if each.is_file())
    return tuple(each.sentence for each in read if each is not None and each.problem)


def read_sidecar(path: Path) -> Sidecar | None:
    """What it says, or why it cannot be read; None where it is of no kind known here, as a text
    may be anything."""
    try:
        data = read_file(path, MAX_BYTES + 1)
        if path.suffix == ".txt":
            return _note(data.decode("utf-8-sig")) if len(data) <= MAX_BYTES else None
        if len(data) > MAX_BYTES:
            return _unread(path, f"has more than {MAX_BYTES // 2**20} MiB")
        said = json.loads(data)
    except OSError as error:
        return _unread(path, f"cannot be read ({error.strerror or error})")
    except (ValueError, RecursionError):
        return None if path.suffix == ".txt" else _unread(path, "is not valid JSON")
    if not isinstance(said, dict):
        return _unread(path, "is not a JSON object")
    reader = next((read for end, read in _READERS.items() if path.name.endswith(end)), None)
    if reader is not None:
        return reader(said)
    if said.get("made_by") == "lora-studio":
        if read_published(data) is None:
            return _unread(path, "is not as the studio writes it")
        return of_publisher(said)
    return _card(said)


def _unread(path: Path, problem: str) -> Sidecar:
    return Sidecar(who=_text(path.name), problem=problem)


def _note(text: str) -> Sidecar | None:
    """One line of words and commas; a longer text is no trigger, and may be anything."""
    line = text.strip()
    if not line or "\n" in line or len(line) > MAX_NOTE or re.search(r"[.!?:=/](?:\s|/|$)", line):
        return None
    return Sidecar(who="the .txt beside it", prompt=_words(line))


def _matrix(said: Mapping[str, Any]) -> Sidecar:
    hashes = said.get("Hashes")
    return Sidecar(
        who="Stability Matrix's .cm-info.json",
        label=_text(said.get("ModelName")),
        prompt=_words(said.get("TrainedWords")),
        base_model=_text(said.get("BaseModel")),
        sha256=_text(hashes.get("SHA256")).lower() if isinstance(hashes, dict) else "",
        tags=_tags(said.get("Tags")),
    )


def _version(said: Mapping[str, Any], who: str) -> Sidecar:
    """A version as CivitAI's interface gives it."""
    model, words = said.get("model"), said.get("trainedWords")
    return Sidecar(
        who=who,
        label=_text(model.get("name")) if isinstance(model, dict) else "",
        prompt=_words(words),
        base_model=_text(said.get("baseModel")),
        sha256=_sha256_of(said.get("files")),
        tags=_tags(model.get("tags")) if isinstance(model, dict) else (),
    )


def _manager(said: Mapping[str, Any]) -> Sidecar:
    """ComfyUI-LoRA-Manager's: its own fields over those of the CivitAI answer it keeps."""
    who = "LoRA Manager's .metadata.json"
    version, tips = said.get("civitai"), said.get("usage_tips")
    inner = _version(version if isinstance(version, dict) else {}, who)
    try:
        tips = json.loads(tips) if isinstance(tips, str) else tips
    except (ValueError, RecursionError):
        tips = None
    return Sidecar(
        who=who,
        label=_text(said.get("model_name")) or inner.label,
        prompt=inner.prompt,
        strength=_strength(tips.get("strength")) if isinstance(tips, dict) else None,
        notes=_text(said.get("notes")),
        base_model=_text(said.get("base_model")) or inner.base_model,
        sha256=_text(said.get("sha256")).lower(),
        tags=_tags(said.get("tags")) or inner.tags,
    )


def _card(said: Mapping[str, Any]) -> Sidecar | None:
    """A1111's card of a LoRA; None where it has none of its fields."""
    keys = ("activation text", "preferred weight", "negative text", "sd version", "notes")
    if not any(key in said for key in keys):
        return None
    return Sidecar(
        who="A1111's .json",
        prompt=_words(said.get("activation text")),
        negative=_words(said.get("negative text")),
        # A1111 writes 0 where nobody chose a weight.
        strength=_strength(said.get("preferred weight")) or None,
        notes=_text(said.get("notes")),
        base_model=_text(said.get("sd version")),
    )


def of_publisher(said: Mapping[str, Any]) -> Sidecar:
    """A site's facts, as ``Published`` is written."""
    return Sidecar(
        who="CivitAI" if said.get("source") == "civitai" else "Hugging Face",
        label=_text(said.get("model_name")),
        prompt=_words(said.get("trained_words")),
        strength=_strength(said.get("recommended_strength")),
        base_model=_text(said.get("base_model")),
        sha256=_text(said.get("sha256")),
    )


def _rgthree(said: Mapping[str, Any]) -> Sidecar:
    return _version({**said, "model": said}, "rgthree's .rgthree-info.json")


def _swarm(said: Mapping[str, Any]) -> Sidecar:
    return Sidecar(
        who="SwarmUI's .swarm.json",
        label=_text(said.get("modelspec.title")),
        prompt=_words(said.get("modelspec.trigger_phrase")),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Sidecar]] = {
    ".civitai.info": lambda said: _version(said, "CivitAI Helper's .civitai.info"),
    ".metadata.json": _manager,
    ".cm-info.json": _matrix,
    ".rgthree-info.json": _rgthree,
    ".swarm.json": _swarm,
}


def _text(value: object) -> str:
    """One printable line."""
    if not isinstance(value, str):
        return ""
    line = "".join(char if char.isprintable() else " " for char in value[: 4 * MAX_TEXT])
    return " ".join(line.split())[:MAX_TEXT]


def _words(value: object) -> str:
    """Trigger words, a text or a list of them; each phrase once."""
    parts = value if isinstance(value, list | tuple) else [value]
    # rgthree keeps each word in an object of its own.
    words = [part.get("word") if isinstance(part, dict) else part for part in parts[:64]]
    phrases = [phrase for word in words for phrase in split_phrases(_text(word))]
    return ", ".join(dict.fromkeys(phrases))[:MAX_TEXT]


def _tags(value: object) -> tuple[str, ...]:
    parts = value[:64] if isinstance(value, list) else []
    return tuple(dict.fromkeys(tag for part in parts if (tag := _text(part).casefold()[:60])))


def _strength(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -MAX_STRENGTH <= value <= MAX_STRENGTH else None


def _sha256_of(files: object) -> str:
    """Of the one file of a version that has several, nobody knows which is meant."""
    if not isinstance(files, list) or len(files) != 1 or not isinstance(files[0], dict):
        return ""
    hashes = files[0].get("hashes")
    return _text(hashes.get("SHA256")).lower() if isinstance(hashes, dict) else ""


PICTURES = tuple(
    f"{part}.{kind}" for part in (".preview", "") for kind in ("png", "jpg", "jpeg", "webp")
)


def video(weights: Path) -> str | None:
    """The name of a video beside ``weights`` where no picture is: nothing reads its frames."""
    stem = weights.stem if weights.suffix.lower() == ".safetensors" else weights.name
    names = [stem + suffix for suffix in (".preview.mp4", ".mp4", ".webm")]
    if any(weights.with_name(stem + suffix).is_file() for suffix in PICTURES):
        return None
    return next((name for name in names if weights.with_name(name).is_file()), None)
