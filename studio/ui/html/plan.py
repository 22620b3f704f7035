"""A plan as markup: prompt with its marks, identities, settings with their origin."""

from collections.abc import Mapping, Sequence

from studio.architecture import clip_skip_in_words, pipeline_traits
from studio.contract.plan import (
    FloatSetting,
    IntSetting,
    LoraUse,
    PlanSettings,
    RunPlan,
    TextSetting,
)
from studio.contract.prompt import PartKind, PromptPart, Side, TokenLedger
from studio.contract.request import PromptEncoder, ReferenceImage
from studio.ui.html import format, icons
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

Setting = IntSetting | FloatSetting | TextSetting

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
    settings = plan.settings
    scheduler = settings.scheduler.value.removesuffix("Scheduler")
    cells = [
        _cell("Steps", settings.steps.value, settings.steps),
        _guidance(plan),
        *_some(plan),
        _size(settings.width, settings.height),
        _fact("Pictures", plan.count, ""),
        _fact("Encoder", ENCODER_NAMES[plan.prompt_encoder], ""),
        _fact("Seed", plan.seed if seed is None else seed, ""),
        _cell("Scheduler", scheduler, settings.scheduler),
        _precision(settings),
        *_memory(plan),
    ]
    return tag("dl", *cells, class_=f"ls-cells ls-cells-{_columns(len(cells))}")


def _precision(settings: PlanSettings) -> Html:
    chosen = settings.precision
    if chosen is None:
        return _fact("Precision", settings.dtype, "")
    return _fact("Precision", chosen.value, format.origin(chosen.origin), chosen.reason)


def _columns(cells: int) -> int:
    """Three or four, so that no cell stands alone in its row."""
    return 3 if cells % 4 == 1 else 4


def _guidance(plan: RunPlan) -> Html:
    setting = plan.settings.guidance_scale
    origin = span("ls-origin", format.origin(setting.origin), title=setting.slug)
    figure = span("ls-figure", format.number(setting.value))
    return div(
        "ls-cell",
        tag("dt", "Guidance"),
        tag("dd", figure, origin, pipeline_guidance(plan)),
    )


def pipeline_guidance(plan: RunPlan) -> Html:
    """The pipeline's own number, where it counts otherwise than the plan."""
    scale = plan.settings.guidance_scale.value
    theirs = pipeline_traits(plan.base.pipeline).guidance.in_pipeline(scale)
    if theirs == scale:
        return EMPTY
    return span("ls-origin", f" {format.number(theirs)} in diffusers")


def _some(plan: RunPlan) -> list[Html]:
    """The settings that only some pipelines have."""
    settings = plan.settings
    cells = []
    if settings.true_cfg_scale is not None:
        value = settings.true_cfg_scale.value
        shown = format.number(value) if value > 1 else "off"
        cells.append(_cell("True CFG", shown, settings.true_cfg_scale))
    if settings.clip_skip is not None:
        cells.append(_clip_skip(settings.clip_skip))
    if settings.max_sequence_length is not None:
        longest = settings.max_sequence_length
        cells.append(_cell("Sequence", longest.value, longest))
    return cells


def _memory(plan: RunPlan) -> list[Html]:
    """How the run fits into memory; records of old do not say where the weights were."""
    cells = []
    placement = plan.placement
    if placement is not None:
        cells.append(_fact("Offload", placement.offload.value, "memory", placement.reason))
    return [*cells, _fact("Decoding", plan.decoding, "memory")]


def _cell(name: str, value: object, setting: Setting) -> Html:
    return _fact(name, value, format.origin(setting.origin), setting.slug)


def _fact(name: str, value: object, note: str, title: str | None = None) -> Html:
    return div(
        "ls-cell",
        tag("dt", name),
        tag("dd", span("ls-figure", value), span("ls-origin", note, title=title)),
    )


def _size(width: IntSetting, height: IntSetting) -> Html:
    value = f"{width.value} × {height.value}"
    if (width.origin, width.slug) == (height.origin, height.slug):
        return _cell("Size", value, width)
    note = f"{format.origin(width.origin)} × {format.origin(height.origin)}"
    return _fact("Size", value, note, f"width: {_said_by(width)}, height: {_said_by(height)}")


def _said_by(setting: Setting) -> str:
    return " ".join(part for part in (format.origin(setting.origin), setting.slug) if part)


def _clip_skip(setting: IntSetting) -> Html:
    return _fact(
        "Clip skip",
        setting.value,
        format.origin(setting.origin),
        clip_skip_in_words(setting.value),
    )


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
