"""From what is known of a file to a preset for it, everything prefilled. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from studio.architecture import TRAITS, Architecture, architecture_of
from studio.errors import PresetsError
from studio.inspection import LoraInspection
from studio.presets import LoraPreset, ModelPreset, TriggerRule
from studio.presets.air import Air
from studio.presets.messages import sentences
from studio.presets.model_card import Published
from studio.presets.parse import slug_of, trigger_of
from studio.presets.rules import pipelines_of
from studio.presets.schema import Preset

MAX_LABEL = 120


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A preset for a file that none names yet.

    Attributes:
        said_by: field → who said it: ``CivitAI``, ``Hugging Face``, ``the file``, ``you``.
        published: the publisher's facts, where there are any.
        is_there: whether the file lies in its place already.
    """

    preset: Preset
    said_by: Mapping[str, str]
    published: Published | None = None
    is_there: bool = False


def suggest_lora(
    published: Published | None,
    inspection: LoraInspection | None,
    place: Mapping[str, Any],
    taken: Collection[str],
    changes: Mapping[str, Any],
    beside: Mapping[str, tuple[Any, str]] | None = None,
) -> Suggestion:
    """A LoRA's preset; ``changes`` are the user's own values and go over everything.

    Args:
        place: ``air``, ``source``, ``revision``, ``path`` and ``sha256``, as they are known.
        taken: slugs in use.
        beside: field → (value, who) of what other programs wrote beside the file.

    Raises:
        PresetsError: nothing says the architecture, or a value is wrong.
    """
    said: dict[str, tuple[Any, str]] = {}
    if inspection is not None:
        _from_file(inspection, str(place.get("path", "")), said)
    if published is not None:
        _from_publisher(published, said)
    said |= beside or {}
    _from_air(place.get("air"), said)
    if "base_architecture" not in said and not changes.get("base_architecture"):
        where = "the file" if published is None else published.site
        raise PresetsError(
            f"Nothing in {where} says which of the studio's architectures it is made for.",
            "Say it: base_architecture (on the command line --base-architecture).",
        )
    entry = {field: value for field, (value, _) in said.items()} | dict(place)
    who = {field: name for field, (_, name) in said.items()}
    entry, who = _with_changes(entry, who, changes)
    entry.setdefault("slug", free(slug_of(str(entry.get("label", ""))) or "lora", taken))
    _settle_trigger(entry)
    _settle_air(entry, published)
    return Suggestion(checked(LoraPreset, entry), who, published)


def suggest_model(
    published: Published,
    index: Mapping[str, Any],
    repository: str,
    taken: Collection[str],
    changes: Mapping[str, Any],
) -> Suggestion:
    """A base model's preset from its repository and its ``model_index.json``.

    Raises:
        PresetsError: its pipeline is none that the studio runs, or a value is wrong.
    """
    pipeline = str(index.get("_class_name", ""))
    fitting = [
        a for a in Architecture if a is not Architecture.MINI and pipeline in pipelines_of(a)
    ]
    if not fitting:
        raise PresetsError(
            f"{repository} is a {pipeline or 'model of no known pipeline'}.",
            "Choose a model whose pipeline the studio runs.",
        )
    entry: dict[str, Any] = {
        "label": published.model_name[:MAX_LABEL],
        "base_architecture": fitting[0].value,
        "pipeline": pipeline,
        "path": repository,
        "source": {"huggingface": repository},
        "revision": published.version,
        "notes": _notes(published),
    }
    who = dict.fromkeys(("label", "pipeline", "base_architecture", "notes"), published.site)
    entry, who = _with_changes(entry, who, changes)
    entry.setdefault("slug", free(slug_of(str(entry["label"])) or "model", taken))
    return Suggestion(checked(ModelPreset, entry), who, published)


def checked(kind: type[Preset], entry: Mapping[str, Any]) -> Any:
    """The preset that ``entry`` says.

    Raises:
        PresetsError: with a sentence for everything that is wrong.
    """
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        found = list(sentences(error, kind))
        raise PresetsError(
            " ".join(each.message for each in found), " ".join(each.way_out for each in found)
        ) from None


def _from_file(inspection: LoraInspection, path: str, said: dict[str, tuple[Any, str]]) -> None:
    name = path.rsplit("/", 1)[-1].removesuffix(".safetensors")
    claimed = inspection.claims.get("modelspec.title")
    said["label"] = ((claimed or name)[:MAX_LABEL], "the file")
    told = {inspection.architecture, *inspection.candidates}.intersection(Architecture)
    if len(told) == 1:  # of the families it may be, the one that the studio runs
        said["base_architecture"] = (told.pop(), "the file")
    if inspection.trigger_hints:
        said["prompt"] = (inspection.trigger_hints[0], "the file")


def _from_publisher(published: Published, said: dict[str, tuple[Any, str]]) -> None:
    site = published.site
    said["label"] = (published.model_name[:MAX_LABEL] or "LoRA", site)
    # What the tensors say stands: a publisher's label can be wrong.
    if published.family in set(Architecture) and "base_architecture" not in said:
        said["base_architecture"] = (published.family, site)
    words = ", ".join(words.strip(" ,") for words in published.trained_words if words.strip(" ,"))
    if words:
        said["prompt"] = (words, site)
    if published.recommended_strength is not None:
        said["settings"] = ({"strength": published.recommended_strength}, site)
    said["notes"] = (_notes(published), site)


def _from_air(air: object, said: dict[str, tuple[Any, str]]) -> None:
    if isinstance(air, str) and "base_architecture" not in said:
        owner = architecture_of(Air.parse(air).ecosystem)
        if owner is not None:
            said["base_architecture"] = (owner.value, "the AIR")


def _notes(published: Published) -> str:
    return " ".join((*published.licence, published.page)).strip()


def _with_changes(
    entry: dict[str, Any], who: dict[str, str], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The user's values over the others; None leaves them, settings are taken one by one."""
    for field, value in changes.items():
        if value is None:
            continue
        if field == "settings":
            value = {**entry.get("settings", {}), **value}
        entry[field] = value
        who[field] = "you"
    return entry, who


def _settle_trigger(entry: dict[str, Any]) -> None:
    """Without trigger words there is nothing to require."""
    rule = trigger_of(str(entry.get("prompt", "")))
    if "trigger" not in entry or rule is TriggerRule.NONE:
        entry["trigger"] = rule.value


def _settle_air(entry: dict[str, Any], published: Published | None) -> None:
    """A link has no ecosystem: the architecture's own stands in the AIR."""
    if published is None or published.source != "civitai" or entry.get("air"):
        return
    if entry["base_architecture"] not in set(Architecture):
        return
    ecosystems = TRAITS[Architecture(entry["base_architecture"])].ecosystems
    if not ecosystems:
        return
    named = "".join((published.base_model or "").lower().split())
    ecosystem = next((each for each in ecosystems if each == named), ecosystems[0])
    model, version = published.model_id, published.version
    entry["air"] = f"urn:air:{ecosystem}:lora:civitai:{model}@{version}"


def free(slug: str, taken: Collection[str]) -> str:
    number, free = 2, slug
    while free in taken:
        free, number = f"{slug[:75]}-{number}", number + 1
    return free
