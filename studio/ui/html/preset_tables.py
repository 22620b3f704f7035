"""The catalogue's markup: two tables, a preset's details, and problems in preset files."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from studio.architecture import TRAITS
from studio.contract.request import finer_words
from studio.library.transfers import Transfer
from studio.presets import LoraPreset, ModelPreset, Preset, Source
from studio.presets.model_card import Published, differences
from studio.presets.parse import PresetProblem
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, address, div, join, link, span, tag


def of_one_label(shown: Iterable[Preset]) -> Collection[str]:
    """The labels that several of ``shown`` have: their slugs are said too, to tell them apart."""
    return {label for label, count in Counter(each.label for each in shown).items() if count > 1}


def problems(found: Sequence[PresetProblem]) -> Html:
    """Everything wrong in the preset files; nothing where all is well."""
    if not found:
        return EMPTY
    title = f"{format.plural(len(found), 'problem')} in the preset files; the entries are left out"
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
    return tag("section", tag("h2", title), tag("ul", *items), class_="ls-problems")


def _place(problem: PresetProblem) -> str:
    name = Path(problem.file).name
    return name if problem.line is None else f"{name}:{problem.line}"


def models(
    found: Sequence[ModelPreset],
    total: int,
    present: Mapping[str, bool],
    transfers: Mapping[str, Transfer],
    picked: str,
) -> Html:
    alike = of_one_label(found)
    rows = [
        _row(
            model.slug,
            picked,
            _name(model, alike),
            TRAITS[model.base_architecture].label,
            weights(present[model.slug], transfers.get(model.slug)),
            span("ls-dim", _size(model)),
        )
        for model in found
    ]
    return _table("Models", ("Model", "Architecture", "Weights", "Size"), rows, total)


def loras(
    found: Sequence[LoraPreset],
    total: int,
    present: Mapping[str, bool],
    transfers: Mapping[str, Transfer],
    picked: str,
) -> Html:
    alike = of_one_label(found)
    rows = [
        _row(
            lora.slug,
            picked,
            _name(lora, alike),
            TRAITS[lora.base_architecture].label,
            weights(present[lora.slug], transfers.get(lora.slug)),
            span("ls-dim", lora.theme or ""),
            span("", lora.prompt) if lora.prompt else span("ls-dim", "none"),
        )
        for lora in found
    ]
    heads = ("LoRA", "Architecture", "Weights", "Theme", "Trigger words")
    return _table("LoRAs", heads, rows, total)


def titled(title: str, total: int, body: Html) -> Html:
    """A section with a heading and how many there are."""
    return tag(
        "section",
        div("ls-table-title", tag("h2", title), span("ls-origin", total)),
        body if total else tag("p", "Nothing matches.", class_="ls-more"),
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[Html], total: int) -> Html:
    return titled(
        title,
        total,
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
            tag("tbody", *rows),
            class_="ls-table",
        ),
    )


def _row(slug: str, picked: str, *cells: Html | str) -> Html:
    return tag(
        "tr",
        *(tag("td", cell) for cell in cells),
        data_pick=slug,
        class_="ls-picked" if slug == picked else None,
    )


def _name(preset: Preset, alike: Collection[str]) -> Html:
    button = tag("button", preset.label, type="button")
    return join((button, div("ls-dim", preset.slug))) if preset.label in alike else button


def weights(there: bool, transfer: Transfer | None = None) -> Html:
    """A dot and a word: on disk, coming, missing, or failed to come."""
    style, text = ("ls-there", "on disk") if there else ("ls-there ls-missing", "missing")
    if transfer is not None and transfer.is_going:
        share = transfer.share
        done = "" if share is None else f" {round(100 * share)} %"
        style, text = "ls-there ls-coming", f"downloading{done}"
    elif transfer is not None and transfer.error is not None and not there:
        style, text = "ls-there ls-missing", "missing: the download failed"
    return span(style, span("ls-dot", ""), text)


def _size(model: ModelPreset) -> str:
    settings = model.settings
    if settings.default_width is None or settings.default_height is None:
        return ""
    return f"{settings.default_width} × {settings.default_height}"


def nothing_picked() -> Html:
    return div("ls-card ls-hint-card", "Choose a row to read its identity, source and notes.")


def details(
    preset: ModelPreset | LoraPreset,
    there: bool,
    place: str,
    origin: Html = EMPTY,
    published: Published | None = None,
    pinned: str | None = None,
) -> Html:
    """One preset, opened.

    Args:
        origin: a line about the file that its entry stands in.
        published: what its publisher says, shown beside the preset's own values.
        pinned: the hash it was first used with.
    """
    own = _model_rows(preset) if isinstance(preset, ModelPreset) else _lora_rows(preset)
    kind = "Model" if isinstance(preset, ModelPreset) else "LoRA"
    rows = [
        ("Weights", weights(there)),
        ("Belongs at", tag("code", place)),
        ("Source", _source(preset)),
        ("Revision", preset.revision),
        ("SHA-256", _sha256(preset, pinned)),
        *own,
        ("Notes", preset.notes),
        ("Preset", origin),
    ]
    return tag(
        "section",
        tag(
            "header",
            tag("button", "Close", type="button", class_="ls-link", data_close_details=True),
            tag("h3", preset.label),
            span("ls-key", f"{kind} · {TRAITS[preset.base_architecture].label} · "),
            tag("code", preset.slug, class_="ls-dim"),
        ),
        _rows(rows),
        _published(preset, published) if published is not None else EMPTY,
        class_="ls-card",
        aria_label=f"Details of {preset.label}",
        data_address=address(preset=preset.slug),
    )


def _sha256(preset: ModelPreset | LoraPreset, pinned: str | None) -> Html:
    if preset.sha256 is not None or pinned is None:
        return tag("code", preset.sha256 or "pinned on first use")
    return join((tag("code", pinned), " ", span("ls-dim", "pinned on first use")))


def _rows(rows: Sequence[tuple[str, object]]) -> Html:
    return tag(
        "dl",
        *(
            div("ls-row", tag("dt", name), tag("dd", value))
            for name, value in rows
            if value not in (None, "", EMPTY)
        ),
    )


def _published(preset: ModelPreset | LoraPreset, published: Published) -> Html:
    """The publisher's facts, and each difference from the preset; nothing is taken over."""
    differs = (
        differences(published, preset.prompt, preset.settings.strength)
        if isinstance(preset, LoraPreset)
        else ()
    )
    rows: list[tuple[str, object]] = [
        ("Page", link(published.page)),
        ("Version", f"{published.version_name} {published.version}".strip()),
        ("Made for", published.base_model),
        ("Trigger words", ", ".join(published.trained_words)),
        ("Strength", published.recommended_strength),
        ("Licence", " ".join(published.licence)),
        ("Adult", "yes" if published.nsfw else None),
        ("Hashes", _hashes(published)),
    ]
    said = [
        tag("li", f"{what}: the preset has {own!r}, {published.site} says {theirs!r}.")
        for what, own, theirs in differs
    ]
    return join(
        (
            tag("h4", f"What {published.site} says"),
            tag("ul", *said, class_="ls-differs") if said else EMPTY,
            _rows(rows),
        )
    )


def _hashes(published: Published) -> Html:
    return join(
        (tag("code", f"{name} {value[:16]}") for name, value in published.hashes.items()), " "
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
            else join((format.strength(strength), " ", span("ls-dim", format.band(strength)))),
        ),
        ("Finer strength", finer_words(settings.parts.items())),
        ("Guidance", settings.guidance_scale),
        ("Clip skip", settings.clip_skip),
        ("Steps", settings.steps),
        ("Scheduler", settings.scheduler),
    ]


def failed(line: str) -> Html:
    return tag("p", icons.ALERT, span("", line), class_="ls-said ls-problem")
