"""The verdict on a weight file as markup: identity, evidence, claims beside it, conflicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from studio.architecture import LABELS
from studio.contract.base import in_bytes
from studio.inspection.decompositions import TENSORS, Decomposition
from studio.resolve.inventory import Unusable
from studio.ui.html import icons
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

UNREAD = 8
"""Tensors that belong to no layer, named; the rest is counted."""
LISTED = 1000
"""Layers that are listed; the rest is counted. The largest LoRAs have some 1,100."""


def card(description: Mapping[str, Any], title: str | None = None) -> Html:
    """One file, as ``studio inspect --json`` tells it; every text in it may be hostile."""
    name = title or str(description["file"])
    return tag(
        "section",
        tag("header", tag("h3", name), span("ls-key", verdict(description))),
        _conflicts([*description["problems"], *description["conflicts"]]),
        _evidence([*description["evidence"], *description.get("notes", ())]),
        _rows(_file_rows(description)),
        _layers(description["modules"]),
        _claims(description),
        class_="ls-card ls-inspection",
        aria_label=f"What {name} is",
    )


def verdict(description: Mapping[str, Any]) -> str:
    """``LoRA · FLUX.2 · klein-4b · kohya``; what is not known is left out."""
    architecture = description["architecture"]
    kind = "LoRA" if description["kind"] == "lora" else str(description["kind"]).capitalize()
    candidates = [LABELS[name] for name in description["candidates"]]
    label = LABELS.get(architecture) or " or ".join(candidates) or "architecture unknown"
    said = [kind, label, description["variant"], description["format"]]
    return " · ".join(str(part) for part in said if part not in (None, "unknown", "Unknown"))


def unusable(found: Unusable) -> Html:
    """A file that is there and cannot be told."""
    return said(f"{found.reason} {found.way_out}")


def said(text: str) -> Html:
    """Why there is no verdict."""
    return div(
        "ls-card ls-inspection",
        tag("p", icons.ALERT, span("", text), class_="ls-said ls-problem", role="alert"),
    )


def _conflicts(sentences: list[str]) -> Html:
    return join(
        tag("p", icons.ALERT, span("", sentence), class_="ls-said ls-problem")
        for sentence in sentences
    )


def _evidence(sentences: list[str]) -> Html:
    return tag("ul", *(tag("li", sentence) for sentence in sentences), class_="ls-evidence")


def _file_rows(description: Mapping[str, Any]) -> list[tuple[str, object]]:
    counts = description["components"]
    parts = ", ".join(f"{name} {count}" for name, count in counts.items())
    strays = description["unaccounted"] if description["kind"] == "lora" else []
    return [
        ("SHA-256", _hash(description["sha256"], description["sha256_from"])),
        ("AutoV2", _hash(description["autov2"])),
        ("AutoV3", _hash(description["autov3"])),
        ("Size", in_bytes(description["size"])),
        ("Layers", parts),
        ("Rank", _numbers(description["ranks"])),
        ("Alpha", _numbers(description["alphas"])),
        ("Dtype", ", ".join(description["dtypes"])),
        ("May trigger", ", ".join(description["trigger_hints"])),
        ("Page", description.get("page")),
        ("Revision", _hash(description.get("revision"))),
        ("No place for", _some(strays)),
    ]


def _hash(digits: object, whence: object = "file") -> Html | None:
    if not digits:
        return None
    note = {"publisher": "as published", "browser": "computed by your browser"}.get(str(whence))
    return join((tag("code", digits), span("ls-dim", f" {note}") if note else EMPTY))


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _some(names: list[str]) -> str:
    more = len(names) - UNREAD
    return ", ".join(names[:UNREAD]) + (f" and {more} more" if more > 0 else "")


def _layers(modules: Sequence[Mapping[str, Any]]) -> Html:
    """Every layer that the file changes, folded away."""
    if not modules:
        return EMPTY
    rows = [(f"{each['component']}.{each['name']}", _layer(each)) for each in modules[:LISTED]]
    more = len(modules) - LISTED
    return tag(
        "details",
        tag(
            "summary",
            "The layer it changes" if len(modules) == 1 else f"Its {len(modules)} layers",
        ),
        _rows(rows),
        tag("p", f"and {more} more") if more > 0 else EMPTY,
        class_="ls-json ls-layers",
    )


def _layer(module: Mapping[str, Any]) -> str:
    """``768 → 320 · rank 8 · alpha 4``; what is plain is left out."""
    alpha = "alpha not read" if module["alpha"] is None else f"alpha {module['alpha']:g}"
    height, width = module["kernel"]
    decomposition = Decomposition(module["decomposition"])
    said = [
        f"{module['in_features']} → {module['out_features']}",
        "" if (height, width) == (1, 1) else f"{height}×{width}",
        "" if decomposition is Decomposition.LORA else TENSORS[decomposition].label,
        "" if module["rank"] is None else f"rank {module['rank']}",
        alpha if module["alpha_in_file"] else "no alpha",
        "rank-stabilised" if module["rslora"] else "",
        "DoRA" if module["dora"] else "",
        "bias" if module["bias"] else "",
    ]
    return " · ".join(part for part in said if part)


def _claims(description: Mapping[str, Any]) -> Html:
    claims = dict(description["claims"])
    if description.get("publisher_says"):
        claims["publisher"] = description["publisher_says"]
    if not claims:
        return EMPTY
    return tag(
        "details",
        tag("summary", "What the file says of itself; claims, not evidence"),
        _rows(tuple(claims.items())),
        class_="ls-json",
    )


def _rows(rows: Sequence[tuple[str, object]]) -> Html:
    return tag(
        "dl",
        *(
            div("ls-row", tag("dt", name), tag("dd", value))
            for name, value in rows
            if value not in (None, "")
        ),
    )
