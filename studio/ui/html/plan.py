"""A plan as markup: prompt with its marks, identities, settings with their origin."""

from collections.abc import Mapping, Sequence

from studio.architecture import pipeline_traits
from studio.contract.plan import IntSetting, LoraUse, Precision, RunPlan
from studio.contract.prompt import PartKind, PromptPart, Side, TokenLedger
from studio.contract.request import PromptEncoder, ReferenceImage
from studio.contract.settings import BY_NAME, SETTINGS, Setting, Value
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

ENCODER_NAMES = {PromptEncoder.COMPEL: "Compel", PromptEncoder.NATIVE: "Native"}


def plan_body(plan: RunPlan, seed: int | None = None) -> Html:
    """Everything of a plan; ``seed`` where a picture's own differs from the first one."""
    return join(
        (
            _prompts(plan),
            _identities(plan),
            _settings(plan, seed),
            _ledger(plan.prompt.ledger),
            _notices(plan),
        )
    )


def marked_text(parts: Sequence[PromptPart], labels: Mapping[str, str]) -> Html:
    """The resolved text; a LoRA's words carry its name, cut words are struck through."""
    return join(_run(run, labels) for run in _runs(parts))


def _runs(parts: Sequence[PromptPart]) -> list[list[PromptPart]]:
    """Neighbours that come from the same LoRAs together, with the glue between them."""
    runs: list[list[PromptPart]] = []
    for part in parts:
        if runs and _continues(runs[-1], part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _continues(run: Sequence[PromptPart], part: PromptPart) -> bool:
    return bool(run[0].slugs) and (part.kind is PartKind.GLUE or part.slugs == run[0].slugs)


def _run(run: Sequence[PromptPart], labels: Mapping[str, str]) -> Html:
    slugs = run[0].slugs
    if not slugs:
        return join(_text(part) for part in run)
    words_of = list(run)
    trailing = []
    while words_of[-1].kind is PartKind.GLUE:
        trailing.append(words_of.pop())
    names = ", ".join(labels.get(slug, slug) for slug in slugs)
    marked = tag("mark", *(_text(part) for part in words_of), span("ls-from", names))
    return join((marked, *(_text(part) for part in trailing)))


def _text(part: PromptPart) -> Html:
    if part.cut:
        return tag("del", part.text, title="cut: no room in the window")
    return join((part.text,))


def _labels(plan: RunPlan) -> dict[str, str]:
    loras = {use.slug: use.label for use in plan.loras}
    return loras | {use.slug: use.label for use in plan.triggers}


def _prompts(plan: RunPlan) -> Html:
    labels = _labels(plan)
    prompt = tag("p", marked_text(plan.prompt.parts, labels), class_="ls-prompt")
    negative = EMPTY
    if plan.prompt.negative_parts:
        negative = tag(
            "p",
            span("ls-key", "negative"),
            marked_text(plan.prompt.negative_parts, labels),
            class_="ls-negative",
        )
    return div("ls-prompts", prompt, negative)


def _identities(plan: RunPlan) -> Html:
    base = plan.base
    rows = [
        _row("Mode", span("ls-strong", plan.mode.label)),
        _row(
            "Base",
            span("ls-strong", base.label),
            _sha(base.sha256),
            span("ls-origin", base.source),
        ),
    ]
    rows += [_reference(each) for each in plan.references]
    for use in plan.loras:
        rows.append(_lora(use))
        if use.waived:
            rows.append(_waived(use))
    rows += [
        _row("Trigger", span("ls-strong", use.label), span("ls-origin", "words only, not applied"))
        for use in plan.triggers
        if use.slug not in {lora.slug for lora in plan.loras}
    ]
    if not plan.loras and not plan.triggers:
        rows.append(_row("LoRA", span("ls-origin", "none")))
    return tag("dl", *rows, class_="ls-rows")


def _lora(use: LoraUse) -> Html:
    value = use.strength.value
    return _row(
        "LoRA",
        span("ls-strong", use.label),
        span("ls-figure", format.strength(value)),
        span("ls-origin", f"{format.band(value)} · {format.origin(use.strength.origin)}"),
        _sha(use.sha256),
    )


def _waived(use: LoraUse) -> Html:
    """What of the file is left out, all of it by name."""
    count = format.plural(len(use.waived), "part")
    return _row(
        "Left out",
        tag(
            "details",
            tag("summary", f"{count} of {use.label} with your consent"),
            tag("ul", *(tag("li", tag("code", name)) for name in use.waived)),
            class_="ls-waived",
            data_keep=f"waived-{use.slug}",
        ),
    )


def _reference(reference: ReferenceImage) -> Html:
    return _row(
        "Reference",
        span("ls-figure", f"{reference.width} × {reference.height}"),
        _sha(reference.sha256),
    )


def _row(key: str, *values: object) -> Html:
    return div("ls-row", tag("dt", key), tag("dd", *values))


def _sha(value: str) -> Html:
    return span(
        "ls-sha", span("ls-key", "sha"), tag("code", format.short_hash(value)), title=value
    )


def _settings(plan: RunPlan, seed: int | None) -> Html:
    values = plan.settings
    cells = []
    for setting in SETTINGS:
        value = getattr(values, setting.name)
        if setting.name == "width":
            cells.append(_size(values.width, values.height))
        elif value is not None and setting.name != "height":
            cells.append(_cell(plan, setting, value))
    if values.precision is None:
        cells.append(_fact(BY_NAME["precision"].short, values.dtype, ""))
    cells += [
        _fact("Pictures", plan.count, ""),
        _fact("Encoder", ENCODER_NAMES[plan.prompt_encoder], ""),
        _fact("Seed", plan.seed if seed is None else seed, ""),
        *_memory(plan),
    ]
    return tag("dl", *cells, class_=f"ls-cells ls-cells-{_columns(len(cells))}")


def shown(value: Value) -> str:
    """The value as people read it: numbers short, schedulers without their last word."""
    bare = value.value
    return format.number(bare) if isinstance(bare, float) else str(bare).removesuffix("Scheduler")


def note(plan: RunPlan, setting: Setting) -> str:
    """What the setting's value means to the plan's pipeline; empty where it says so itself."""
    value = getattr(plan.settings, setting.name)
    traits = pipeline_traits(plan.base.pipeline)
    return "" if value is None else setting.note(value.value, traits)


def _cell(plan: RunPlan, setting: Setting, value: Value) -> Html:
    title = value.reason if isinstance(value, Precision) else value.slug
    origin = format.origin(value.origin)
    return _fact(setting.short, shown(value), origin, title, note(plan, setting))


def _columns(cells: int) -> int:
    """Three or four, so that no cell stands alone in its row."""
    return 3 if cells % 4 == 1 else 4


def _memory(plan: RunPlan) -> list[Html]:
    """How the run fits into memory; records of old do not say where the weights were."""
    cells = []
    placement = plan.placement
    if placement is not None:
        cells.append(_fact("Offload", placement.offload.value, "memory", placement.reason))
    return [*cells, _fact("Decoding", plan.decoding, "memory")]


def _fact(name: str, value: object, said: str, title: str | None = None, more: str = "") -> Html:
    """A cell: its value, who said it, and in ``title`` why or which preset."""
    origin = span("ls-origin", said, title=title)
    extra = span("ls-origin", f" {more}") if more else EMPTY
    return div("ls-cell", tag("dt", name), tag("dd", span("ls-figure", value), origin, extra))


def _size(width: IntSetting, height: IntSetting) -> Html:
    value = f"{width.value} × {height.value}"
    if (width.origin, width.slug) == (height.origin, height.slug):
        return _fact("Size", value, format.origin(width.origin), width.slug)
    both = f"{format.origin(width.origin)} × {format.origin(height.origin)}"
    return _fact("Size", value, both, f"width: {_said_by(width)}, height: {_said_by(height)}")


def _said_by(setting: Value) -> str:
    return " ".join(part for part in (format.origin(setting.origin), setting.slug) if part)


def _ledger(entries: Sequence[TokenLedger]) -> Html:
    lines = [_tokens(entry) for entry in entries if entry.side is Side.PROMPT or entry.used]
    return div("ls-ledger", *lines) if lines else EMPTY


def _tokens(entry: TokenLedger) -> Html:
    what = "prompt" if entry.side is Side.PROMPT else "negative"
    name = f"{entry.encoder.replace('_', ' ')}, {what}"
    if entry.limit is None:
        count, bar = f"{format.plural(entry.used, 'token')}, no limit", EMPTY
    else:
        share = min(100, round(100 * entry.used / entry.limit)) if entry.limit else 100
        count = f"{entry.used} / {entry.limit} tokens"
        bar = span("ls-meter", span("", style=f"width:{share}%"))
    cut = f"{entry.cut} cut" if entry.cut else "none cut"
    return div(
        "ls-tokens",
        span("ls-key", name),
        span("ls-figure", count),
        bar,
        span("ls-cut" if entry.cut else "ls-origin", cut),
    )


def _notices(plan: RunPlan) -> Html:
    if not plan.notices:
        return EMPTY
    items = (tag("li", notice.text, data_code=notice.code) for notice in plan.notices)
    return tag(
        "details",
        tag("summary", icons.NOTICE, format.plural(len(plan.notices), "notice")),
        tag("ul", *items),
        class_="ls-notices",
        data_keep="notices",
    )
