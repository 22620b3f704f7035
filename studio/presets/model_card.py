"""What a weight file's publisher says of it; kept beside the file, never mixed with presets."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from studio.architecture import Architecture, family_called
from studio.contract.base import Contract


class Published(Contract):
    """The facts a publisher states, as they were read when the file was fetched.

    Attributes:
        made_by: tells this studio's files from other tools' beside the same weights.
        version: CivitAI's version number, or the Hub's commit.
        base_model: in the publisher's own words.
        hashes: name → hexadecimal digits, lower case.
        recommended_strength: where one is given.
        licence: its name or its conditions, a sentence each.
        preview: the address of a picture; never loaded by the page.
        scans: kind (``pickle``, ``virus``) → the scanner's result.
    """

    made_by: Literal["lora-studio"] = "lora-studio"
    source: Literal["civitai", "huggingface"]
    page: str
    model_id: str
    version: str
    model_name: str
    version_name: str = ""
    file_name: str
    sha256: str | None = None
    size: int | None = None
    base_model: str | None = None
    trained_words: tuple[str, ...] = ()
    recommended_strength: float | None = None
    hashes: dict[str, str] = Field(default_factory=dict)
    licence: tuple[str, ...] = ()
    nsfw: bool | None = None
    preview: str | None = None
    scans: dict[str, str] = Field(default_factory=dict)
    scanned_at: str | None = None

    @property
    def family(self) -> str | None:
        """The family that ``base_model`` names, if it is one known here."""
        return family_of(self.base_model)

    @property
    def site(self) -> str:
        return "CivitAI" if self.source == "civitai" else "Hugging Face"


def family_of(base_model: str | None) -> str | None:
    """``sd15`` for "SD 1.5", ``flux2`` for "Flux.2 Klein 9B"; None where it says nothing."""
    family = family_called((base_model or "").rsplit("/", 1)[-1])
    return family.name if family else None


def read_published(text: str | bytes) -> Published | None:
    """The facts in a file beside the weights; None where another tool wrote it."""
    try:
        return Published.model_validate_json(text)
    except ValidationError:
        return None


def differences(
    published: Published, prompt: str, strength: float | None
) -> tuple[tuple[str, str, str], ...]:
    """(what, the preset's, the publisher's) where both say something and differ."""
    found = []
    own = {phrase.strip().lower() for phrase in prompt.split(",") if phrase.strip()}
    theirs = {
        phrase.strip().lower()
        for words in published.trained_words
        for phrase in words.split(",")
        if phrase.strip()
    }
    if theirs and own != theirs:
        found.append(("Trigger words", prompt or "none", ", ".join(published.trained_words)))
    recommended = published.recommended_strength
    if recommended is not None and strength is not None and recommended != strength:
        found.append(("Strength", f"{strength:g}", f"{recommended:g}"))
    return tuple(found)


def contradiction(
    published: Published, architecture: Architecture, verdict: str | None
) -> str | None:
    """One sentence where the publisher's base model names another family; None where it fits.

    Args:
        architecture: the preset's.
        verdict: the family the tensors say; None or ``unknown`` where they do not.
    """
    said = published.family
    if said is None:
        return None
    known = verdict if verdict not in (None, "unknown") else None
    if said == architecture.value and known in (None, said):
        return None
    tensors = f"its tensors say {known}" if known else "its tensors do not decide"
    return (
        f"{published.site} lists it for {published.base_model!r}, which is {said}; the preset "
        f"says {architecture.value}, and {tensors}."
    )


def beside(weights: Path) -> Path:
    """Where the facts of a weight file, or of a model's folder, lie: ``NAME.json``."""
    name = weights.stem if weights.suffix.lower() == ".safetensors" else weights.name
    return weights.with_name(f"{name}.json")
