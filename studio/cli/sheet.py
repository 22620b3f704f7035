"""The contract and the receipt as lines of text."""

from collections.abc import Sequence

from studio.architecture import pipeline_traits
from studio.cli.console import Console
from studio.contract.events import Finished
from studio.contract.origin import IntSetting, Precision
from studio.contract.plan import LoraUse, RunPlan
from studio.contract.prompt import PartKind, PromptPart, TokenLedger
from studio.contract.receipt import LoraReceipt, Receipt
from studio.contract.settings import BY_NAME, SETTINGS, Setting, Value


def show_plan(console: Console, plan: RunPlan) -> None:
    """The whole contract: what will happen, and who said each value."""
    base = plan.base
    rows = [
        ("Contract", plan.fingerprint),
        ("Mode", plan.mode.label),
        ("Base", f"{base.label} ({base.slug}), {base.source}, sha256 {base.sha256[:12]}"),
    ]
    rows += [("LoRA", _use(use)) for use in plan.loras]
    rows += [
        ("Left out", console.paint(f"of {use.label}: {', '.join(use.waived)}", "bad"))
        for use in plan.loras
        if use.waived
    ]
    rows += [
        ("Reference", f"{each.width} × {each.height}, pixels {each.sha256[:12]}")
        for each in plan.references
    ]
    rows.append(("Prompt", _marked(console, plan.prompt.parts)))
    if plan.prompt.negative_parts:
        rows.append(("Negative", _marked(console, plan.prompt.negative_parts)))
    rows += [("Tokens", _ledger(entry)) for entry in plan.prompt.ledger]
    rows += _settings(plan)
    rows += [("Notice", notice.text) for notice in plan.notices]
    console.fields(rows)


def _use(use: LoraUse) -> str:
    parts = "".join(f", {each.part} at {_said(each.strength)}" for each in use.parts)
    steps = (("from", use.first_step), ("until", use.last_step))
    parts += "".join(f", {name} step {_said(each)}" for name, each in steps if each is not None)
    return f"{use.label} ({use.slug}) at {_said(use.strength)}{parts}, sha256 {use.sha256[:12]}"


def _settings(plan: RunPlan) -> list[tuple[str, str]]:
    values = plan.settings
    rows = []
    for setting in SETTINGS:
        value = getattr(values, setting.name)
        if setting.name == "width":
            rows.append(("Size", _size(values.width, values.height)))
        elif value is not None and setting.name != "height":
            rows.append((setting.short, _with_note(plan, setting, value)))
    if values.precision is None:
        rows.append((BY_NAME["precision"].short, values.dtype))
    rows += [("Encoder", plan.prompt_encoder.value), ("Seed", _seeds(plan))]
    if plan.placement is not None:
        rows.append(("Offload", f"{plan.placement.offload.value}: {plan.placement.reason}"))
    return [*rows, ("Decoding", plan.decoding)]


def _with_note(plan: RunPlan, setting: Setting, value: Value) -> str:
    """A value, who said it, and what it means here or why."""
    note = setting.note(value.value, pipeline_traits(plan.base.pipeline))
    reason = value.reason if isinstance(value, Precision) else note
    return f"{_said(value)}: {reason}" if reason else _said(value)


def _said(setting: Value) -> str:
    return f"{setting.value} [{setting.origin.words}]"


def _size(width: IntSetting, height: IntSetting) -> str:
    """Both sides, each with who said it; said once where that is the same."""
    if width.origin is height.origin:
        return f"{width.value} × {_said(height)}"
    return f"{_said(width)} × {_said(height)}"


def _seeds(plan: RunPlan) -> str:
    if plan.count == 1:
        return str(plan.seed)
    return f"{plan.seed} to {plan.seed + plan.count - 1}, {plan.count} images"


def _marked(console: Console, parts: Sequence[PromptPart]) -> str:
    """The prompt with trigger words marked and words that are cut in brackets."""
    return "".join(_part(console, part) for part in parts)


def _part(console: Console, part: PromptPart) -> str:
    if part.cut:
        return console.paint(f"[cut: {part.text}]", "faint")
    return console.paint(part.text, "mark") if part.kind is PartKind.TRIGGER else part.text


def _ledger(entry: TokenLedger) -> str:
    limit = "no limit" if entry.limit is None else f"{entry.limit} fit"
    return f"{entry.encoder}, {entry.side.value}: {entry.used} used, {limit}, {entry.cut} cut"


def show_receipt(console: Console, finished: Finished) -> None:
    """One finished image: where it lies and what it was really made with."""
    receipt = finished.record.receipt
    console.say()
    console.say(console.paint(str(finished.path), "strong"))
    console.fields(
        [
            ("Seed", str(receipt.image.seed)),
            *(("LoRA", _applied(lora)) for lora in receipt.loras),
            *_effect(receipt),
            ("Base", _proof(receipt)),
            ("Time", f"{receipt.timings.total:.1f} s on {receipt.device}"),
            *(("Reference", f"marked: {each.words}") for each in finished.record.inherited),
            *(("Warning", text) for text in receipt.warnings),
        ]
    )


def _proof(receipt: Receipt) -> str:
    if not receipt.base_proof.holds:
        return "not proven: its output changed since it was loaded"
    if receipt.base_proof.fresh:
        return "proven: bit-identical to when it was loaded, measured in this run"
    return "proven: no weight of it was written since it was last measured"


def _effect(receipt: Receipt) -> list[tuple[str, str]]:
    if receipt.layer_effect is not None:
        return [("Effect", f"{receipt.layer_effect:.1%} of what the base gives at its layers")]
    if receipt.effect is None:
        return []
    return [("Effect", f"{receipt.effect:.1%} of one denoiser call")]


def _applied(lora: LoraReceipt) -> str:
    parts = ", ".join(
        f"{part.component} {part.applied} of {part.targeted} modules" for part in lora.components
    )
    waived = f", {len(lora.waived)} left out with consent" if lora.waived else ""
    finer = "".join(
        f", {part.part} at {part.strength} ({part.applied} modules)" for part in lora.parts
    )
    finer += "".join(
        f", {each.applied} modules on in steps {each.first_step} to {each.last_step}"
        for each in lora.ranges
    )
    return f"{lora.slug} at {lora.strength}{finer}: {parts}{waived}"
