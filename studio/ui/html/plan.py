"""A plan as markup: prompt with its marks, identities, settings with their origin."""

from collections.abc import Mapping, Sequence

from studio.architecture import Architecture, PipelineTraits, pipeline_traits, traits_of
from studio.contract.origin import FloatSetting, IntSetting
from studio.contract.plan import LoraPart, LoraUse, RunPlan
from studio.contract.prompt import Side, TokenLedger
from studio.contract.request import PromptEncoder, ReferenceImage
from studio.contract.settings import BY_NAME, SETTINGS, Setting, Value
from studio.resolve import Provisional
from studio.ui.html import format, notices
from studio.ui.html.prompt import prompts
from studio.ui.html.tags import EMPTY, Html, div, join, span, tag

ENCODER_NAMES = {PromptEncoder.COMPEL: "Compel", PromptEncoder.NATIVE: "Native"}


def plan_body(plan: RunPlan, seed: int | None = None) -> Html:
    """Everything of a plan; ``seed`` where a picture's own differs from the first one."""
    return join(
        (
            prompts(plan.prompt, _labels(plan)),
            notices.told(plan),
            _identities(plan),
            _settings(plan, seed),
            _ledger(plan.prompt.ledger),
            notices.folded(plan),
        )
    )


def _labels(plan: RunPlan) -> dict[str, str]:
    loras = {use.slug: use.label for use in plan.loras}
    return loras | {use.slug: use.label for use in plan.triggers}


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
        rows += [_part(each, plan.base.architecture) for each in use.parts]
        rows += [_span(use, plan.settings.steps.value)] if use.first_step or use.last_step else []
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
    name = span("ls-strong", use.label)
    return _row("LoRA", name, *_strength(use.strength), _sha(use.sha256))


def _part(part: LoraPart, architecture: Architecture) -> Html:
    label = next(each.label for each in traits_of(architecture).parts if each.name == part.part)
    modules = format.plural(part.modules, "module")
    name = span("ls-origin", f"in the {label}, {modules}")
    return _row("Part", name, *_strength(part.strength))


def _span(use: LoraUse, steps: int) -> Html:
    first, last = use.span(steps)
    origins = {each.origin for each in (use.first_step, use.last_step) if each is not None}
    return _row(
        "Steps",
        span("ls-figure", f"{first} to {last} of {steps}"),
        span("ls-origin", join(map(format.origin, sorted(origins)), " · ")),
    )


def _strength(said: FloatSetting) -> tuple[Html, Html]:
    origin = f"{format.band(said.value)} · {format.origin(said.origin)}"
    return span("ls-figure", format.strength(said.value)), span("ls-origin", origin)


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
    values = {each.name: getattr(plan.settings, each.name) for each in SETTINGS}
    cells = _cells(values, pipeline_traits(plan.base.pipeline))
    cells += [
        _fact("Images", plan.count, ""),
        _fact("Seed", plan.seed if seed is None else seed, ""),
    ]
    technical = [
        _precision(plan),
        _fact("Encoder", ENCODER_NAMES[plan.prompt_encoder], ""),
        *_memory(plan),
    ]
    return join((_grid(cells), _technical(technical)))


def _cells(values: Mapping[str, Value | None], pipeline: PipelineTraits) -> list[Html]:
    """A cell for each setting that has a value; the precision stands among the technical ones."""
    cells = []
    for setting in SETTINGS:
        value = values.get(setting.name)
        width, height = values.get("width"), values.get("height")
        if value is None or setting.name in ("height", "precision"):
            continue
        if isinstance(width, IntSetting) and isinstance(height, IntSetting) and value is width:
            cells.append(_size(width, height))
        else:
            more = setting.note(value.value, pipeline)
            origin = format.origin(value.origin)
            cells.append(_fact(setting.short, shown(value), origin, value.slug, more))
    return cells


def _grid(cells: Sequence[Html]) -> Html:
    return tag("dl", *cells, class_=f"ls-cells ls-cells-{_columns(len(cells))}")


def _technical(cells: Sequence[Html]) -> Html:
    """What a newcomer need not know."""
    return tag(
        "details",
        tag("summary", "Technical"),
        _grid(cells),
        class_="ls-technical",
        data_keep="technical",
    )


def _precision(plan: RunPlan) -> Html:
    chosen = plan.settings.precision
    if chosen is None:
        return _fact(BY_NAME["precision"].short, plan.settings.dtype, "")
    origin = format.origin(chosen.origin)
    return _fact(BY_NAME["precision"].short, chosen.value, origin, chosen.reason)


OPEN = (
    "Open until the weights are here: their hashes, how many tokens are read, the precision and "
    "how the run fits into memory, and whether each LoRA's file fits the base."
)


def provisional_body(known: Provisional) -> Html:
    """A contract as far as presets alone say it, and what stays open."""
    labels = {preset.slug: preset.label for preset, _ in known.loras}
    rows = [
        _row("Mode", span("ls-strong", known.mode.label)),
        _row("Base", span("ls-strong", known.base.label)),
        *(
            _row("LoRA", span("ls-strong", preset.label), *_strength(strength))
            for preset, strength in known.loras
            if known.mode.takes_loras
        ),
    ]
    cells = _cells(known.values, pipeline_traits(known.base.pipeline))
    cells += [_fact("Images", known.count, ""), _fact("Seed", known.seed, "")]
    parts = (
        prompts(known.prompt, labels),
        tag("dl", *rows, class_="ls-rows"),
        _grid(cells),
        tag("p", OPEN, class_="ls-open"),
    )
    return div("ls-provisional", *parts)


def shown(value: Value) -> str:
    """The value as people read it: numbers short, schedulers without their last word."""
    bare = value.value
    return format.number(bare) if isinstance(bare, float) else str(bare).removesuffix("Scheduler")


def note(plan: RunPlan, setting: Setting) -> str:
    """What the setting's value means to the plan's pipeline; empty where it says so itself."""
    value = getattr(plan.settings, setting.name)
    traits = pipeline_traits(plan.base.pipeline)
    return "" if value is None else setting.note(value.value, traits)


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
