"""Files of the library beside what CivitAI says of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from studio.library.catalogue import Holding
from studio.library.downloads.civitai_answers import ListedModel, ListedVersion
from studio.library.state import AnswerOf
from studio.presets.model_card import Published, family_of, read_published


@dataclass(frozen=True, slots=True)
class Newer:
    """A version that a model's page lists and the library has not."""

    version: str
    name: str
    base_model: str
    published_at: str
    page: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file and what was found out about it.

    Attributes:
        published: None where CivitAI knows no such file, or was not asked.
    """

    holding: Holding
    sha256: str
    published: Published | None
    newer: Newer | None


Asked = tuple[KnownFile, ...]
"""Every file that was asked about, now or before, in the catalogue's order."""


def is_weights(holding: Holding) -> bool:
    """Whether it is one whole safetensors file of a LoRA or a base."""
    facts = holding.held.verdict
    return facts.kind in ("lora", "checkpoint") and facts.data > 0


def newest_for(
    version: str, own: Mapping[str, object], model: ListedModel
) -> ListedVersion | None:
    """The newest version for the same base model, in the publisher's words, that came after
    ``version``; None where nothing did. One for another base model is no newer version of the
    file, though it is newer: Pony's is none for SDXL, nor Klein 9B's for Klein 4B."""
    base = _plain(str(own.get("base_model") or ""))
    same = [each for each in model.versions if base and _plain(each.base_model or "") == base]
    mine = next((each for each in same if str(each.id) == version), None)
    if mine is None:
        return None
    newest = max(same, key=_age)
    return newest if _age(newest) > _age(mine) else None


def _age(version: ListedVersion) -> tuple[str, int]:
    """ISO dates sort as texts."""
    return version.published_at or "", version.id


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def as_newer(version: ListedVersion, page: str) -> Newer:
    return Newer(
        str(version.id), version.name, version.base_model or "", version.published_at or "", page
    )


def known_file(holding: Holding, sha256: str, answer: AnswerOf | None) -> KnownFile:
    published = read_published(answer.published) if answer and answer.published else None
    newer = Newer(**json.loads(answer.newer)) if answer and answer.newer else None
    return KnownFile(holding, sha256, published, newer)


def side_by_side(known: KnownFile) -> tuple[tuple[str, str, str], ...]:
    """(what, the file's own, CivitAI's), where CivitAI knows the file."""
    facts, published = known.holding.held.verdict, known.published
    if published is None:
        return ()
    family = family_of(published.base_model)
    doubt = family is not None and family not in (facts.architecture, *facts.candidates)
    made_for = (published.base_model or "") + (" (the tensors say otherwise)" if doubt else "")
    name = facts.title or facts.called or PurePath(known.holding.held.path).stem
    return (
        ("Name", name, f"{published.model_name} {published.version_name}".strip()),
        ("Trigger words", facts.trigger or facts.tag, ", ".join(published.trained_words)),
        ("Made for", facts.architecture, made_for),
    )


def news(known: Sequence[KnownFile]) -> Iterator[KnownFile]:
    """Those with a newer version that the library does not have under another file."""
    there = {each.published.version for each in known if each.published is not None}
    told = set()
    for each in known:
        if each.newer is None or each.newer.version in there or each.newer.version in told:
            continue
        told.add(each.newer.version)
        yield each
