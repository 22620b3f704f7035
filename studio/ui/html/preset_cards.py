"""Presets as cards: a picture, where there is one, and what matters beneath."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from studio.architecture import TRAITS
from studio.library.transfers import Transfer
from studio.presets import LoraPreset, Preset
from studio.ui.html import icons, preset_tables
from studio.ui.html.picture import file_url
from studio.ui.html.tags import EMPTY, Html, div, span, tag

Preview = Callable[[str], Path | None]


def cards(
    found: Sequence[Preset],
    present: Mapping[str, bool],
    transfers: Mapping[str, Transfer],
    picked: str,
    preview: Preview,
) -> Html:
    """One card each; a click picks it."""
    alike = preset_tables.of_one_label(found)
    made = [
        card(
            each,
            _own_slug(each, alike) + TRAITS[each.base_architecture].label + _theme(each),
            preset_tables.weights(present[each.slug], transfers.get(each.slug)),
            preview(each.slug),
            picked=each.slug == picked,
        )
        for each in found
    ]
    return div("ls-cards", *made)


def card(
    preset: Preset,
    under: str,
    foot: Html,
    preview: Path | None,
    *,
    picked: bool = False,
    taken: bool = False,
) -> Html:
    """A button whose key is the preset's slug.

    Args:
        under: a line beneath the label.
        preview: where its small picture lies.
        taken: it cannot be picked, because it was before.
    """
    words = preset.prompt if isinstance(preset, LoraPreset) else ""
    return tag(
        "button",
        picture(preview),
        span(
            "ls-card-text",
            span("ls-strong", preset.label),
            span("ls-dim", under) if under else EMPTY,
            span("ls-words", words) if words else EMPTY,
            foot,
        ),
        type="button",
        data_pick=preset.slug,
        class_="ls-lora-card ls-picked" if picked else "ls-lora-card",
        aria_pressed="true" if picked else "false",
        aria_disabled="true" if taken else None,
    )


def picture(preview: Path | None) -> Html:
    """The small picture; without one, an empty frame."""
    if preview is None:
        return span("ls-card-blank", icons.FRAME)
    return tag("img", src=file_url(preview), alt="", loading="lazy")


def _own_slug(preset: Preset, alike: Collection[str]) -> str:
    return f"{preset.slug} · " if preset.label in alike else ""


def _theme(preset: Preset) -> str:
    theme = preset.theme if isinstance(preset, LoraPreset) else None
    return f" · {theme}" if theme else ""
