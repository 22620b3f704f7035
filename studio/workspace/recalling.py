"""A picture of any tool, or the text that one wrote → the request that makes it again."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from studio.architecture import TRAITS
from studio.comparison.axes import Axis, AxisName, ComparisonRequest
from studio.comparison.record import ComparisonRecord
from studio.contract.base import parse_written
from studio.contract.receipt import RunRecord
from studio.contract.request import SEED_LIMIT, GenerationRequest
from studio.errors import HeaderError, RecallError, WeightsError
from studio.gallery import record_png
from studio.gallery.comparisons import files as comparisons
from studio.gallery.record_png import sha256_of_text
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

_SHEET_WAY_OUT = "Take it from a copy that was not changed."


@dataclass(frozen=True, slots=True)
class RecalledComparison(Recalled):
    """A comparison to ask again; ``request`` is what its cells start from.

    Attributes:
        wanted: the comparison, with the slugs that its weights have by now.
    """

    wanted: ComparisonRequest | None = None


def recall_file(workspace: Workspace, data: bytes) -> Recalled:
    """What the picture ``data`` makes: a PNG, JPEG or WebP. Of a contact sheet, it is a
    ``RecalledComparison``.

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
        return _compared(workspace, texts, data)
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
    return replace(found, request=_renamed(asked, slugs), verified=verified, left=())


def _compared(workspace: Workspace, texts: Mapping[str, str], data: bytes) -> RecalledComparison:
    """The comparison whose sheet ``data`` is; its record has no hashes, so names must do."""
    text = texts[comparisons.RECORD_KEY]
    record = parse_written(ComparisonRecord, text, "This contact sheet", _SHEET_WAY_OUT)
    image = record_png.decode(data)
    whole = sha256_of_text(text) == texts.get(comparisons.HASH_KEY)
    verified = whole and png.pixels_sha256(image) == record.sheet_pixels_sha256
    wanted = record.wanted
    named = {each.slug: SaidWeights(each.slug) for each in wanted.request.loras}
    for axis in wanted.axes:
        if axis.name is AxisName.LORA:
            named |= {str(slug): SaidWeights(str(slug)) for slug in axis.values if slug}
    said = Said(
        "LoRA Studio, a comparison",
        base=SaidWeights(wanted.request.base),
        loras=tuple(named.values()),
    )
    found = fill(said, *_shelves(workspace, said), 0)
    slugs = {match.said.name: match.slug for match in found.matched}
    wanted = _with_slugs(wanted, slugs)
    # The count of its seeds is the comparison's own.
    request = wanted.request.model_copy(update={"count": 1})
    return RecalledComparison(request, said, found.matched, found.missing, verified, (), wanted)


def _with_slugs(wanted: ComparisonRequest, slugs: Mapping[str, str]) -> ComparisonRequest:
    def renamed(axis: Axis | None) -> Axis | None:
        if axis is None or axis.name not in (AxisName.LORA, AxisName.BASE):
            return axis
        values = tuple(slugs.get(str(value), value) for value in axis.values)
        return axis.model_copy(update={"values": values})

    return wanted.model_copy(
        update={
            "request": _renamed(wanted.request, slugs),
            "rows": renamed(wanted.rows),
            "columns": renamed(wanted.columns),
        }
    )


def _renamed(request: GenerationRequest, slugs: Mapping[str, str]) -> GenerationRequest:
    """With the slugs that its weights have by now."""
    loras = tuple(
        each.model_copy(update={"slug": slugs.get(each.slug, each.slug)}) for each in request.loras
    )
    base = slugs.get(request.base, request.base)
    return request.model_copy(update={"base": base, "loras": loras})


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


def _shelved(
    preset: ModelPreset | LoraPreset, hashes: Mapping[str, tuple[str | None, str | None]]
) -> Shelved:
    air = preset.air if isinstance(preset, LoraPreset) else None
    version = Air.parse(air).version if air else None
    sha256, tensors = hashes[preset.slug]
    places = [preset.path, preset.source.file if preset.source else None]
    return Shelved(
        slug=preset.slug,
        label=preset.label,
        names=(preset.slug, preset.label, *(PurePath(place).name for place in places if place)),
        sha256=sha256,
        tensors_sha256=tensors,
        civitai_version=int(version) if version and version.isdigit() else None,
        flow_matching=TRAITS[preset.base_architecture].flow_matching,
        triggers=preset.trigger_phrases if isinstance(preset, LoraPreset) else (),
    )
