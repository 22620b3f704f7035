"""A receipt as markup: what really happened, counted and measured."""

from collections.abc import Sequence

from studio.contract.receipt import (
    ComponentReceipt,
    LoraReceipt,
    RangeReceipt,
    Receipt,
    RunRecord,
    Timings,
)
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, div, span, tag

STAGES = ("load", "loras", "encode", "denoise", "decode")


def receipt_line(record: RunRecord) -> Html:
    """One line: modules, scale, effect, base proof, time."""
    return tag("p", " · ".join(_facts(record)), class_="ls-receipt-line")


def _facts(record: RunRecord) -> list[str]:
    receipt = record.receipt
    parts = [part for lora in receipt.loras for part in lora.components]
    facts = []
    if parts:
        applied, targeted = sum(p.applied for p in parts), sum(p.targeted for p in parts)
        facts.append(f"{applied} of {targeted} modules")
        facts.append(f"scale {_scale(parts)}")
    else:
        facts.append("no LoRA applied")
    for effect in (receipt.layer_effect, receipt.effect):
        if effect is not None:
            facts.append(f"effect {format.percent(effect)}")
    facts.append("base proven" if receipt.base_proof.holds else "base not proven")
    facts.append(format.seconds(receipt.timings.total))
    return facts


def _scale(parts: Sequence[ComponentReceipt | RangeReceipt]) -> str:
    low, high = min(p.scale_min for p in parts), max(p.scale_max for p in parts)
    if format.strength(low) == format.strength(high):
        return format.strength(low)
    return f"{format.strength(low)} to {format.strength(high)}"


def receipt_body(record: RunRecord) -> Html:
    """The receipt in full, as the lower part of the sheet."""
    receipt = record.receipt
    labels = {use.slug: use.label for use in record.plan.loras}
    rows = [_lora_row(lora, labels.get(lora.slug, lora.slug)) for lora in receipt.loras]
    for effect, meaning in (
        (
            receipt.layer_effect,
            "what the LoRAs add to the outputs of their layers, measured against what the base "
            "gives there on fixed inputs",
        ),
        (receipt.effect, "change of one denoiser call on a fixed probe"),
    ):
        if effect is not None:
            figure = span("ls-figure", format.percent(effect))
            rows.append(_row("Effect", True, figure, span("ls-origin", meaning)))
    rows += [_proof_row(receipt), _encoding_row(receipt), _pixels_row(receipt)]
    rows += [_row("Reference", True, span("", f"marked: {x.words}")) for x in record.inherited]
    return tag(
        "section",
        tag("h2", "Receipt"),
        tag("ul", *rows, class_="ls-checks"),
        _timings(receipt.timings),
        _warnings(receipt),
        tag(
            "p",
            f"{receipt.device} · {receipt.dtype} · {_clock(receipt.finished_at)}",
            class_="ls-origin",
        ),
        class_="ls-receipt",
        aria_label="Receipt",
    )


def _lora_row(lora: LoraReceipt, label: str) -> Html:
    applied = sum(part.applied for part in lora.components)
    targeted = sum(part.targeted for part in lora.components)
    detail = " · ".join(
        f"{part.component.replace('_', ' ')} {part.applied}/{part.targeted}, "
        f"scale {_scale([part])}"
        for part in lora.components
    )
    finer = " · ".join(
        f"{part.part} at {format.strength(part.strength)}, {format.plural(part.applied, 'module')}"
        for part in lora.parts
    )
    steps = " · ".join(
        f"steps {each.first_step} to {each.last_step}: {each.applied} on, scale {_scale([each])}"
        for each in lora.ranges
    )
    return _row(
        label,
        applied == targeted,
        span("ls-figure", f"{applied} of {targeted} modules"),
        span("ls-origin", detail),
        span("ls-origin", finer) if finer else EMPTY,
        span("ls-origin", steps) if steps else EMPTY,
        span("ls-waived", f"{format.plural(len(lora.waived), 'part')} left out with consent")
        if lora.waived
        else EMPTY,
    )


def _proof_row(receipt: Receipt) -> Html:
    proof = receipt.base_proof
    if not proof.holds:
        said = "not the output it was loaded with"
    elif proof.fresh:
        said = "bit-identical with every LoRA off, measured in this run"
    else:
        said = "no weight of it was written since it was proven"
    return _row(
        "Base",
        proof.holds,
        span("", said),
        tag("code", format.short_hash(proof.now), title=proof.now),
    )


def _encoding_row(receipt: Receipt) -> Html:
    read = " · ".join(
        f"{entry.encoder.replace('_', ' ')} {entry.tokens} ({entry.side})"
        for entry in receipt.encoding
    )
    return _row("Tokens read", True, span("", read))


def _pixels_row(receipt: Receipt) -> Html:
    image = receipt.image
    return _row(
        "Pixels",
        True,
        span("ls-figure", f"{image.width} × {image.height}"),
        tag("code", format.short_hash(image.pixels_sha256), title=image.pixels_sha256),
        _noise(image.noise_sha256),
    )


def _noise(sha256: str | None) -> Html:
    if sha256 is None:
        return EMPTY
    code = tag("code", format.short_hash(sha256), title=sha256)
    return span("ls-origin", "from noise ", code)


def _row(name: str, holds: bool, *values: object) -> Html:
    return tag(
        "li",
        icons.CHECK if holds else icons.CROSS,
        span("ls-check-name", name),
        span("ls-check-value", *values),
        class_=None if holds else "ls-bad",
    )


def _timings(timings: Timings) -> Html:
    values = [(name, float(getattr(timings, name))) for name in STAGES]
    whole = sum(value for _, value in values) or 1.0
    bar = (
        span(f"ls-t-{name}", style=f"width:{100 * value / whole:.2f}%") for name, value in values
    )
    said = " · ".join(f"{name} {format.seconds(value)}" for name, value in values if value > 0)
    return div(
        "ls-timings",
        span("ls-timebar", *bar, aria_hidden="true"),
        tag("p", said, class_="ls-origin"),
    )


def _warnings(receipt: Receipt) -> Html:
    if not receipt.warnings:
        return EMPTY
    return tag(
        "details",
        tag("summary", icons.NOTICE, format.plural(len(receipt.warnings), "library message")),
        tag("ul", *(tag("li", text) for text in receipt.warnings)),
        class_="ls-notices",
        data_keep="warnings",
    )


def _clock(stamp: str) -> str:
    """``2026-11-23T00:08:50.123+00:00`` → ``2026-11-23 00:08:50``."""
    return stamp[:19].replace("T", " ")
