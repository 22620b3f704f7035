"""What a file says of itself in its metadata; shown beside the verdict, never deciding it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.architecture import LABELS, family_called
from studio.architecture.families import BY_NAME
from studio.architecture.fingerprint import UNKNOWN
from studio.contract.base import is_empty_hash
from studio.inspection.header import ADAPTER_METADATA

SHOWN = (
    "modelspec.architecture",
    "modelspec.title",
    "modelspec.author",
    "modelspec.license",
    "modelspec.trigger_phrase",
    "modelspec.usage_hint",
    "modelspec.prediction_type",
    "modelspec.resolution",
    "ss_base_model_version",
    "ss_sd_model_name",
    "ss_output_name",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_v2",
    "ss_clip_skip",
    "ss_resolution",
    "ss_training_comment",
    "sshs_model_hash",
    "software",
    "name",
    "version",
)
"""The keys that matter most to someone who uses the file."""
PREFIXES = ("modelspec.", "ss_", "sshs_")
"""Of everything else that is shown: what kohya-ss and the SAI model spec write."""
MAX_CLAIMS = 120
"""Keys that are shown, the important ones first; kohya-ss writes some 80."""

_FAMILY_KEYS = ("modelspec.architecture", "ss_base_model_version")
"""Of kohya-ss, musubi and ai-toolkit, and of the SAI model spec."""
MAX_TEXT = 300
_MAX_CLAIM = 60
MAX_JSON = 256 * 1024
"""Characters of metadata that are read as JSON; a hostile text costs some 20 times its
length."""
MAX_HINTS = 8


def claims(metadata: Mapping[str, str], left_out: Mapping[str, int]) -> dict[str, str]:
    """What the file says of itself: the keys of ``SHOWN``, each cut to ``MAX_TEXT`` characters;
    then those with one of ``PREFIXES`` by name, of which a longer text is only measured."""
    said = {key: shorten(metadata[key]) for key in SHOWN if metadata.get(key)}
    others = {
        key: f"({len(text):,} characters, too long to show)" if len(text) > MAX_TEXT else text
        for key, text in metadata.items()
        if text and key not in SHOWN and key.startswith(PREFIXES)
    }
    others |= {
        key: f"({length:,} bytes, too long to read)"
        for key, length in left_out.items()
        if key in SHOWN or key.startswith(PREFIXES)
    }
    said |= {key[:MAX_TEXT]: shorten(others[key]) for key in sorted(others)}
    return dict(list(said.items())[:MAX_CLAIMS])


def shorten(text: str) -> str:
    """One line of at most ``MAX_TEXT`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def hash_conflicts(metadata: Mapping[str, str], data_sha256: str | None) -> tuple[str, ...]:
    """Where the hash that kohya-ss writes for the tensors is not that of the tensors.

    Args:
        data_sha256: of the bytes after the header; None where they were not read.
    """
    claim = metadata.get("sshs_model_hash", "").lower()[:64]
    if not claim:
        return ()
    if is_empty_hash(claim):
        return (
            f"The file names the empty hash {claim[:12]} as its own (sshs_model_hash); "
            "it identifies no file.",
        )
    if data_sha256 is None or data_sha256.startswith(claim):
        return ()
    return (
        f"The file says that its tensors hash to {claim[:12]} (sshs_model_hash); "
        f"they hash to {data_sha256[:12]}.",
    )


def trigger_hints(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Words that may be trigger words, the likeliest first; at most ``MAX_HINTS``."""
    hints = [metadata.get("modelspec.trigger_phrase", "")]
    hints += _folder_hints(read_json(metadata, "ss_tag_frequency"))
    return tuple(dict.fromkeys(line for hint in hints if (line := shorten(hint))))[:MAX_HINTS]


def _folder_hints(frequency: Any) -> list[str]:
    """kohya's {folder: {tag: count}}: tags that stand in nearly every caption of a folder."""
    if not isinstance(frequency, dict):
        return []
    hints: list[str] = []
    for folder, tags in frequency.items():
        counts = _counts(tags)
        most = max(counts.values(), default=0)
        constant = [tag for tag, count in counts.items() if count >= 0.95 * most]
        if len(constant) <= 3:
            hints += constant
        hints.append(_folder_words(folder))
    return hints


def _folder_words(folder: str) -> str:
    """``10_sks dog`` → ``sks dog``: the folder's name after its number of repeats."""
    match = re.fullmatch(r"\d+_(.+)", folder, re.DOTALL)
    return match.group(1) if match else ""


def _counts(tags: Any) -> dict[str, int]:
    if not isinstance(tags, dict):
        return {}
    return {tag: count for tag, count in tags.items() if type(count) is int and count > 0}


def read_json(metadata: Mapping[str, str], key: str) -> Any:
    """The value of a key that holds JSON; None when it is absent, too long or no JSON."""
    text = metadata.get(key, "")
    if not text or len(text) > MAX_JSON:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_PARTS = frozenset({"unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3"})


def adapter_settings(
    metadata: Mapping[str, str], components: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """diffusers' ``lora_adapter_metadata``: component → peft's LoraConfig fields.

    A pipeline's ``save_lora_weights`` writes ``unet.r``; a model's own ``save_lora_adapter``
    (diffusers, ``loaders/peft.py``) writes ``r``, which is then the only component's.
    """
    everything = read_json(metadata, ADAPTER_METADATA)
    if not isinstance(everything, dict):
        return {}
    named = sorted(components)
    if len(named) == 1 and not any("." in key for key in everything):
        return {named[0]: everything}
    return {
        component: {
            key.removeprefix(f"{component}."): value
            for key, value in everything.items()
            if key.startswith(f"{component}.")
        }
        for component in named
    }


def stray_settings(metadata: Mapping[str, str], components: Iterable[str]) -> tuple[str, ...]:
    """The keys of ``lora_adapter_metadata`` that speak of none of ``components``.

    What speaks of another part of a pipeline by its name says nothing of these, as long as
    these are known by name themselves.
    """
    everything = read_json(metadata, ADAPTER_METADATA)
    if not isinstance(everything, dict):
        return ()
    settings = adapter_settings(metadata, components)
    if everything in settings.values():
        return ()
    used = {f"{component}.{key}" for component, fields in settings.items() for key in fields}
    elsewhere = _PARTS if settings.keys() <= _PARTS else frozenset()
    return tuple(
        key for key in everything if key not in used and key.partition(".")[0] not in elsewhere
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """What one key of the metadata says; ``variant`` is None where it says none."""

    key: str
    architecture: str
    variant: str | None = None


def claimed(metadata: Mapping[str, str]) -> tuple[Claim, ...]:
    """Every claim that names a known family.

    It never decides: ai-toolkit writes ``sd_1.5`` for whatever it was not told. It is held
    against the tensors, and each one that contradicts them is said.
    """
    texts = {key: metadata.get(key, "").lower()[:MAX_TEXT] for key in _FAMILY_KEYS}
    found = [claim for key, text in texts.items() if (claim := _claim(key, text))]
    if metadata.get("ss_v2", "").lower() == "true":
        found.append(Claim("ss_v2", "sd2"))
    return tuple(found)


def _claim(key: str, text: str) -> Claim | None:
    family = family_called(text)
    if family is None:
        return None
    found = (name for pattern, name in family.variants if re.search(pattern, text))
    return Claim(key, family.name, next(found, None))


def conflicts(
    architecture: str,
    variant: str | None,
    open_to: Sequence[str],
    metadata: Mapping[str, str],
) -> tuple[str, ...]:
    """A sentence for each claim that the tensors' verdict contradicts, or that is not known."""
    if architecture == UNKNOWN and not open_to:
        return ()
    told = _told(architecture, open_to)
    sentences = [
        f"The file claims {text!r} ({key}), which is not a family known here; its tensors say "
        f"{told}."
        for key in _FAMILY_KEYS
        if (text := shorten(metadata.get(key, ""))[:_MAX_CLAIM]) and not _claim(key, text.lower())
    ]
    for claim in claimed(metadata):
        if claim.architecture == architecture:
            says, found = claim.variant, variant
            alike = says in (found, *BY_NAME[architecture].alike.get(found or "", ()))
            if says is None or found is None or alike:
                continue
            said, told = (f"{LABELS[architecture]} {name}" for name in (says, found))
        elif claim.architecture in open_to:
            continue
        else:
            said, told = LABELS[claim.architecture], _told(architecture, open_to)
        sentences.append(f"The file claims {said} ({claim.key}); its tensors say {told}.")
    return tuple(sentences)


def _told(architecture: str, open_to: Sequence[str]) -> str:
    if architecture != UNKNOWN:
        return LABELS[architecture]
    return listed([LABELS[name] for name in open_to], "or")


def unproven(open_to: Sequence[str], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Which of the families that the layers leave open the file claims to be."""
    return tuple(
        f"The file claims {LABELS[claim.architecture]} ({claim.key}); nothing proves it."
        for claim in claimed(metadata)
        if claim.architecture in open_to
    )


def listed(items: Sequence[object], word: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    texts = [str(item) for item in items]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"
