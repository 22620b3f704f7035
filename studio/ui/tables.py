"""The catalogue's markup: two tables, a preset's details, and problems in preset files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.architecture import TRAITS
from studio.presets import LoraPreset, ModelPreset, Source
from studio.presets.text import PresetProblem
from studio.ui import icons, words
from studio.ui.html import EMPTY, Html, div, join, span, tag

CAP = 100
"""Most rows of a table; words find the rest."""


def problems(found: Sequence[PresetProblem]) -> Html:
    """Everything wrong in the preset files; nothing where all is well."""
    if not found:
        return EMPTY
    title = f"{words.plural(len(found), 'problem')} in the preset files; the entries are left out"
    items = (
        tag(
            "li",
            tag("code", _place(problem)),
            " ",
            f"{problem.entry}: " if problem.entry else "",
            f"{problem.message} {problem.way_out}",
        )
        for problem in found
    )
    return tag("section", tag("h3", title), tag("ul", *items), class_="ls-problems")


def _place(problem: PresetProblem) -> str:
    name = Path(problem.file).name
    return name if problem.line is None else f"{name}:{problem.line}"


def models(found: Sequence[ModelPreset], present: Mapping[str, bool], picked: str) -> Html:
    rows = [
        _row(
            model.slug,
            picked,
            _name(model.label),
            TRAITS[model.base_architecture].label,
            _weights(present[model.slug]),
            span("ls-dim", _size(model)),
        )
        for model in found[:CAP]
    ]
    return _table("Models", ("Model", "Architecture", "Weights", "Size"), rows, len(found))


def loras(found: Sequence[LoraPreset], present: Mapping[str, bool], picked: str) -> Html:
    rows = [
        _row(
            lora.slug,
            picked,
            _name(lora.label),
            TRAITS[lora.base_architecture].label,
            _weights(present[lora.slug]),
            span("ls-dim", lora.theme or ""),
            span("", lora.prompt) if lora.prompt else span("ls-dim", "none"),
        )
        for lora in found[:CAP]
    ]
    heads = ("LoRA", "Architecture", "Weights", "Theme", "Trigger words")
    return _table("LoRAs", heads, rows, len(found))


def _table(title: str, heads: Sequence[str], rows: Sequence[Html], total: int) -> Html:
    more = total - len(rows)
    return tag(
        "section",
        div("ls-table-title", tag("h2", title), span("ls-origin", total)),
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
            tag("tbody", *rows),
            class_="ls-table",
        )
        if rows
        else tag("p", "Nothing matches.", class_="ls-more"),
        tag("p", f"{more} more: narrow with words.", class_="ls-more") if more else EMPTY,
    )


def _row(slug: str, picked: str, *cells: Html | str) -> Html:
    return tag(
        "tr",
        *(tag("td", cell) for cell in cells),
        data_pick=slug,
        class_="ls-picked" if slug == picked else None,
    )


def _name(label: str) -> Html:
    return tag("button", label, type="button")


def _weights(there: bool) -> Html:
    style, text = ("ls-there", "on disk") if there else ("ls-there ls-missing", "missing")
    return span(style, span("ls-dot", ""), text)


def _size(model: ModelPreset) -> str:
    settings = model.settings
    if settings.default_width is None or settings.default_height is None:
        return ""
    return f"{settings.default_width} × {settings.default_height}"


def nothing_picked() -> Html:
    return div("ls-card ls-hint-card", "Choose a row to read its identity, source and notes.")


def details(preset: ModelPreset | LoraPreset, there: bool, place: str) -> Html:
    """One preset, opened."""
    own = _model_rows(preset) if isinstance(preset, ModelPreset) else _lora_rows(preset)
    kind = "Model" if isinstance(preset, ModelPreset) else "LoRA"
    rows = [
        ("Weights", _weights(there)),
        ("Belongs at", tag("code", place)),
        ("Source", _source(preset)),
        ("Revision", preset.revision),
        ("SHA-256", tag("code", preset.sha256 or "pinned on first use")),
        *own,
        ("Notes", preset.notes),
    ]
    return tag(
        "section",
        tag(
            "header",
            tag("h3", preset.label),
            span("ls-key", f"{kind} · {TRAITS[preset.base_architecture].label} · "),
            tag("code", preset.slug, class_="ls-dim"),
        ),
        tag(
            "dl",
            *(
                div("ls-row", tag("dt", name), tag("dd", value))
                for name, value in rows
                if value not in (None, "")
            ),
        ),
        class_="ls-card",
        aria_label=f"Details of {preset.label}",
    )


def _source(preset: ModelPreset | LoraPreset) -> str:
    source: Source | None = preset.source
    if source is not None:
        return source.describe()
    air = preset.air if isinstance(preset, LoraPreset) else None
    return air or "local"


def _model_rows(model: ModelPreset) -> list[tuple[str, object]]:
    settings = model.settings
    return [
        ("Pipeline", tag("code", model.pipeline)),
        ("Runs here", "yes" if TRAITS[model.base_architecture].runnable else "not yet"),
        ("Steps", settings.steps),
        ("Guidance", settings.guidance_scale),
        ("Size", _size(model)),
        ("Scheduler", settings.scheduler),
        ("Dtype", settings.dtype),
        ("Memory", None if settings.vram_usage is None else _memory(settings.vram_usage)),
    ]


def _memory(mib: float) -> str:
    """MiB as people read them: "512 MiB", "7.5 GiB"."""
    return f"{mib:g} MiB" if mib < 1024 else f"{round(mib / 1024, 1):g} GiB"


def _lora_rows(lora: LoraPreset) -> list[tuple[str, object]]:
    settings = lora.settings
    strength = settings.strength
    return [
        ("Theme", lora.theme),
        ("Trigger words", lora.prompt or "none"),
        ("Trigger rule", lora.trigger.value),
        ("Negative", lora.negative_prompt),
        (
            "Strength",
            None
            if strength is None
            else join((words.strength(strength), " ", span("ls-dim", words.band(strength)))),
        ),
        ("Guidance", settings.guidance_scale),
        ("Clip skip", settings.clip_skip),
    ]


def failed(line: str) -> Html:
    return tag("p", icons.ALERT, span("", line), class_="ls-said ls-problem")
