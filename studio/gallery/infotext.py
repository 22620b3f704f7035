"""RunRecord ⇄ the ``parameters`` text that A1111-style tools and CivitAI read.

    prompt <lora:pen-ink-mini:0.8>
    Negative prompt: blurry
    Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 128x128, …

Everything about the run comes from the receipt: a LoRA stands here because it was applied.
One at strength 0 gives the base's own pixels and is left out; the record beside the text has
it. The prompt is the resolved one, as the encoders got it. Tags are appended to its last line,
since other tools take names and weights of LoRAs from there only.

The grammar has no escaping: a prompt with a line "Negative prompt: x" or "Steps: 9" ends
early in other tools, and one with ``<lora:…>`` claims a LoRA that was never applied. So
such words get a blank where no reader looks for one ("Negative prompt : x", "< lora:…>"),
control characters become blanks, and whenever the plain text would not read back exactly
the exact one follows as a parameter, ``Prompt JSON`` or ``Negative JSON``. Its commas,
colons, quotes and backslashes are spelt ``\\uXXXX``, so that readers which only split at
commas and colons see one unknown parameter and nothing else.

Hashes are AutoV2 (first 10 digits of the file's SHA-256). A base of several files has no
such hash; the first 10 digits of the studio's own base hash stand in, and match nothing
elsewhere.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from studio.architecture import TEXT_ENCODERS
from studio.architecture.pipelines import SAMPLERS
from studio.contract.receipt import LoraReceipt, Receipt, RunRecord
from studio.contract.settings import BY_NAME, SettingKind
from studio.presets.air import Air
from studio.recall.infotext import EXACT_NEGATIVE, EXACT_PROMPT, InfoText, read

__all__ = ["InfoText", "read", "write"]

_FIRST = ("steps", "scheduler", "guidance_scale", "true_cfg_scale")
"""Settings that stand before the seed, where tools expect them; the others follow the model."""

AUTOV2 = 10
_FINER = "Lora finer strength"
"""Strengths of parts and steps, which A1111's tags have no words for."""

_MISREAD = re.compile(r"(?i)(negative prompt|steps|template)(?=:)")
_TAG = re.compile(r"(?i)<(?=(?:lora|lyco|hypernet)\s*:)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE = re.compile(r"[\",:\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def write(record: RunRecord) -> str:
    """The text for ``record``; the same record always gives the same text."""
    return _written(record, list(_parameters(record)))


def spellings(record: RunRecord) -> tuple[str, ...]:
    """The texts that releases wrote of ``record``, today's first: those of schema step 4 said
    nothing of blocks and steps."""
    earlier = [each for each in _parameters(record) if each[0] != _FINER]
    return write(record), _written(record, earlier)


def _written(record: RunRecord, parameters: list[tuple[str, str]]) -> str:
    prompt, negative = record.plan.prompt.text, record.plan.prompt.negative_text
    plain = _lay_out(record, prompt, negative, parameters)
    seen = read(plain)
    if seen.prompt != prompt:
        parameters.append((EXACT_PROMPT, _exact(prompt)))
    if seen.negative_prompt != negative:
        parameters.append((EXACT_NEGATIVE, _exact(negative)))
    return _lay_out(record, prompt, negative, parameters)


def _lay_out(
    record: RunRecord, prompt: str, negative: str, parameters: list[tuple[str, str]]
) -> str:
    tags = [f"<lora:{_name(lora.slug)}:{_strengths(lora)}>" for lora in _acting(record)]
    lines = [" ".join(part for part in (_visible(prompt), *tags) if part)]
    if negative:
        lines.append(f"Negative prompt: {_visible(negative)}")
    version = ("Version", _version(record))
    lines.append(", ".join(f"{key}: {value}" for key, value in [*parameters, version]))
    return "\n".join(lines)


def _parameters(record: RunRecord) -> Iterator[tuple[str, str]]:
    receipt, image = record.receipt, record.receipt.image
    model_hash = _model_hash(record)
    yield from _settings(receipt, _FIRST)
    yield "Seed", str(image.seed)
    yield "Size", f"{image.width}x{image.height}"
    yield "Model hash", model_hash
    yield "Model", _quoted(record.plan.base.slug)
    yield from _settings(receipt, [name for name in BY_NAME if name not in _FIRST])
    yield "Mode", record.plan.mode.value
    if receipt.references:
        yield "References", _quoted(", ".join(value[:AUTOV2] for value in receipt.references))
    loras = _acting(record)
    waived = {_name(lora.slug): lora.waived for lora in loras if lora.waived}
    if waived:
        yield "Lora left out", json.dumps(waived)
    said = {use.slug: use.finer for use in record.plan.loras}
    finer = {_name(lora.slug): said[lora.slug] for lora in loras if said.get(lora.slug)}
    if finer:
        yield _FINER, _named(finer)
    hashes = {_name(lora.slug): lora.sha256[:AUTOV2] for lora in loras}
    if hashes:
        yield "Lora hashes", _named(hashes)
    named = {"model": model_hash} | {f"lora:{name}": value for name, value in hashes.items()}
    yield "Hashes", json.dumps(named)
    resources = list(_resources(record))
    if resources:
        yield "Civitai resources", json.dumps(resources, separators=(",", ":"))


def _settings(receipt: Receipt, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What the receipt says of these settings, as other tools name them."""
    for setting in map(BY_NAME.__getitem__, names):
        value = getattr(receipt, setting.name) if setting.infotext else None
        if setting.infotext is None or value is None:
            continue
        if setting.kind is SettingKind.SCHEDULER:
            yield setting.infotext, _quoted(SAMPLERS.get(value, value))
        else:
            yield setting.infotext, _number(value)


def _acting(record: RunRecord) -> tuple[LoraReceipt, ...]:
    """The LoRAs that had a part in the pixels."""
    return tuple(
        lora for lora in record.receipt.loras if lora.strength or (lora.parts and lora.acts)
    )


def _strengths(lora: LoraReceipt) -> str:
    """Of text encoders and denoiser where they differ, in A1111's order; else the one for both.
    Of blocks the text has none."""
    text = [part.strength for part in lora.parts if part.part == TEXT_ENCODERS.name]
    return ":".join(map(_number, (*text, lora.strength)))


def _model_hash(record: RunRecord) -> str:
    """AutoV2 of a base that is one file, else of the base hash (see the module)."""
    base, found = record.plan.base, record.receipt.base_sha256
    if len(base.files) == 1 and base.sha256 == found:
        return base.files[0].sha256[:AUTOV2]
    return found[:AUTOV2]


def _resources(record: RunRecord) -> Iterator[dict[str, str | int | float]]:
    """One entry per base or LoRA whose source is an AIR with a version."""
    base, receipt = record.plan.base, record.receipt
    if base.sha256 == receipt.base_sha256:
        yield from _resource(base.source, None)
    for lora in _acting(record):
        yield from _resource(_source(record, lora), lora.strength)


def _source(record: RunRecord, lora: LoraReceipt) -> str:
    """Where the plan says these very bytes come from; empty if it does not know them."""
    for use in record.plan.loras:
        if (use.slug, use.sha256) == (lora.slug, lora.sha256):
            return use.source
    return ""


def _resource(source: str, weight: float | None) -> Iterator[dict[str, str | int | float]]:
    try:
        air = Air.parse(source)
    except ValueError:
        return
    if air.version is None:
        return
    entry: dict[str, str | int | float] = {"type": air.type}
    if weight is not None:
        entry["weight"] = weight
    if air.source == "civitai":
        entry["modelVersionId"] = int(air.version)
    yield entry | {"air": str(air)}


def _version(record: RunRecord) -> str:
    """From the plan, not from the code that runs now: a record has one text for ever."""
    release = record.plan.release
    return "LoRA Studio" if release is None else _quoted(f"LoRA Studio {release}")


def _visible(text: str) -> str:
    """``text`` with whatever another reader would take for grammar defused."""
    return _CONTROL.sub(" ", _TAG.sub("< ", _MISREAD.sub(r"\1 ", text)))


def _exact(text: str) -> str:
    return '"' + _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text) + '"'


def _quoted(value: str) -> str:
    return _exact(value) if _UNSAFE.search(value) or value != value.strip() else value


def _named(said: Mapping[str, str]) -> str:
    """``"ink: a, neon: b"``, as A1111 lists hashes."""
    return '"' + ", ".join(f"{name}: {text}" for name, text in said.items()) + '"'


def _name(slug: str) -> str:
    """What tags and hash lists accept as a name."""
    return _NOT_NAME.sub("_", slug)


def _number(value: float) -> str:
    """Shortest exact decimal without an exponent, which tags do not know: 7, 0.8."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
