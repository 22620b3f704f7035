"""Presets as cards: a picture from disk, where there is one, and what matters beneath."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

from studio.architecture import TRAITS
from studio.library.transfers import Transfer
from studio.presets import LoraPreset, Preset
from studio.ui.html import icons, preset_tables
from studio.ui.html.tags import Html, div, span, tag

Preview = Callable[[str], bytes | None]


def cards(
    found: Sequence[Preset],
    present: Mapping[str, bool],
    transfers: Mapping[str, Transfer],
    picked: str,
    preview: Preview,
) -> Html:
    """One card each; a click picks it."""
    made = [
        _card(each, present[each.slug], transfers.get(each.slug), each.slug == picked, preview)
        for each in found
    ]
    return div("ls-cards", *made)


def _card(
    preset: Preset, there: bool, transfer: Transfer | None, picked: bool, preview: Preview
) -> Html:
    data = preview(preset.slug)
    return tag(
        "button",
        _picture(data) if data is not None else span("ls-card-blank", icons.FRAME),
        span(
            "ls-card-text",
            span("ls-strong", preset.label),
            span("ls-dim", TRAITS[preset.base_architecture].label, *_theme(preset)),
            preset_tables.weights(there, transfer),
        ),
        type="button",
        data_pick=preset.slug,
        class_="ls-lora-card ls-picked" if picked else "ls-lora-card",
        aria_pressed="true" if picked else "false",
    )


def _theme(preset: Preset) -> tuple[str, ...]:
    theme = preset.theme if isinstance(preset, LoraPreset) else None
    return (" · ", theme) if theme else ()


def _picture(data: bytes) -> Html:
    source = f"data:image/jpeg;base64,{b64encode(data).decode('ascii')}"
    return tag("img", src=source, alt="", loading="lazy")
