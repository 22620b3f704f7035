"""A picture of any tool, or the text that one wrote → the request that makes it again."""

import secrets
from dataclasses import replace
from pathlib import PurePath

from studio.architecture import TRAITS
from studio.contract.receipt import RunRecord
from studio.contract.request import SEED_LIMIT
from studio.errors import HeaderError, RecallError, WeightsError
from studio.gallery import record_png
from studio.gallery.comparisons import files as comparisons
from studio.gallery.verification import examine
from studio.imaging import png
from studio.imaging.embedded_text import embedded_texts
from studio.library.files import hash_file, read_header
from studio.presets import LoraPreset, ModelPreset
from studio.presets.air import Air
from studio.recall import read
from studio.recall.request import KnownBy, Recalled, Shelved, fill, of_plan
from studio.recall.said import Said, SaidWeights
from studio.workspace.workspace import Workspace


def recall_file(workspace: Workspace, data: bytes) -> Recalled:
    """What the picture ``data`` makes: a PNG, JPEG or WebP.

    Raises:
        RecallError: it does not say how it was made, or unreadably.
        NewerRecord, RecordError: its record is a later release's, or is none.
    """
    if len(data) > png.MAX_FILE:
        raise RecallError(
            f"The file has {len(data):,} bytes; at most {png.MAX_FILE:,} are read.",
            "Give the picture as the tool saved it.",
        )
    texts = embedded_texts(data)
    if comparisons.RECORD_KEY in texts:
        raise RecallError(
            "This is the contact sheet of a comparison, not a single picture.",
            "Open the comparison in the gallery, or give one of its pictures.",
        )
    if record_png.RECORD_KEY in texts:
        return _own(workspace, record_png.parse_record(texts[record_png.RECORD_KEY]), data)
    return _filled(workspace, read.read(texts))


def recall_text(workspace: Workspace, text: str) -> Recalled:
    """What a ``parameters`` text makes.

    Raises:
        RecallError: it is JSON of a tool that is not known.
    """
    return _filled(workspace, read.read_parameters(text))


def _own(workspace: Workspace, record: RunRecord, data: bytes) -> Recalled:
    """The record's own plan; weights that have another slug by now are found by their hash."""
    plan = record.plan
    verified = examine(data, signed=False).ok
    base = SaidWeights(plan.base.slug, plan.base.sha256)
    loras = tuple(SaidWeights(use.slug, use.sha256, use.strength.value) for use in plan.loras)
    said = Said("LoRA Studio", base=base, loras=loras)
    bases, shelved = _shelves(workspace, said)
    found = fill(said, bases, shelved, 0)
    slugs = {match.said.name: match.slug for match in found.matched}
    asked = of_plan(plan, record.receipt.image.seed, workspace.catalog)
    request = asked.model_copy(
        update={
            "base": slugs.get(plan.base.slug, plan.base.slug),
            "loras": tuple(
                each.model_copy(update={"slug": slugs.get(each.slug, each.slug)})
                for each in asked.loras
            ),
        }
    )
    return replace(found, request=request, verified=verified, left=())


def _filled(workspace: Workspace, said: Said) -> Recalled:
    drawn = secrets.randbelow(SEED_LIMIT)
    bases, loras = _shelves(workspace, said)
    return fill(said, bases, loras, drawn)


def _shelves(workspace: Workspace, said: Said) -> tuple[list[Shelved], list[Shelved]]:
    """The library's bases and LoRAs; those of a name that is said are hashed."""
    hashes = workspace.stock.known_hashes()
    catalog = workspace.catalog
    bases = [_shelved(preset, hashes) for preset in catalog.models.values()]
    loras = [_shelved(preset, hashes) for preset in catalog.loras.values()]
    hashed = [each for each in said.loras if each.hash is not None]
    found = fill(replace(said, loras=tuple(hashed)), bases, loras, 0)
    named = {match.slug for match in found.matched if match.by is KnownBy.NAME}
    return bases, [_hashed(workspace, each) if each.slug in named else each for each in loras]


def _hashed(workspace: Workspace, each: Shelved) -> Shelved:
    """With both hashes of its file; a file that cannot be read is the plan's to refuse."""
    path = workspace.expected_at(each.slug)
    try:
        found = hash_file(path, read_header(path).size)
    except (HeaderError, WeightsError):
        return each
    return replace(each, sha256=found.sha256, tensors_sha256=found.data_sha256)


def _shelved(preset: ModelPreset | LoraPreset, hashes: dict[str, str]) -> Shelved:
    air = preset.air if isinstance(preset, LoraPreset) else None
    version = Air.parse(air).version if air else None
    places = [preset.path, preset.source.file if preset.source else None]
    return Shelved(
        slug=preset.slug,
        label=preset.label,
        names=(preset.slug, preset.label, *(PurePath(place).name for place in places if place)),
        sha256=hashes.get(preset.slug),
        civitai_version=int(version) if version and version.isdigit() else None,
        flow_matching=TRAITS[preset.base_architecture].flow_matching,
        triggers=preset.trigger_phrases if isinstance(preset, LoraPreset) else (),
    )
