"""Plan against receipt: every way in which what happened differs from what was agreed.

The engine asks before an image is kept, and ``verify`` asks again whenever a picture is
opened later. Equality is exact, floats too: a receipt reports the number that was set, so
a rounded or nudged one is a different setting. An empty answer is the only good one.
"""

import math
from collections import Counter
from collections.abc import Iterator

from studio.architecture import TEXT_ENCODERS, traits_of
from studio.contract.plan import LoraUse, RunPlan
from studio.contract.prompt import Side
from studio.contract.receipt import EncodingReceipt, LoraReceipt, Receipt
from studio.contract.request import PromptEncoder
from studio.contract.settings import SETTINGS


def discrepancies(plan: RunPlan, receipt: Receipt) -> tuple[str, ...]:
    """Where ``receipt`` is not what ``plan`` says, one sentence each; empty if nowhere."""
    return tuple(
        sentence
        for check in (
            _base,
            _settings,
            _references,
            _lora_set,
            _each_lora,
            _ranges,
            _effect,
            _effects_alone,
            _encoding,
            _image,
            _worker,
        )
        for sentence in check(plan, receipt)
    )


def _differs(what: str, planned: object, found: object) -> Iterator[str]:
    if planned != found:
        yield f"{what}: the plan says {_shown(planned)}, the run had {_shown(found)}."


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _base(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    yield from _differs("SHA-256 of the base", plan.base.sha256, receipt.base_sha256)
    proof = receipt.base_proof
    if not proof.holds:
        yield (
            "Base proof: with every LoRA off the base no longer gives the output it gave when "
            f"it was loaded ({proof.now} instead of {proof.loaded})."
        )


def _settings(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    agreed = plan.settings
    for setting in SETTINGS:
        if setting.receipt:
            planned = getattr(getattr(agreed, setting.name), "value", None)
            yield from _differs(setting.label, planned, getattr(receipt, setting.name))
    yield from _differs("Dtype", agreed.dtype, receipt.dtype)
    yield from _differs("VAE tiling", agreed.vae_tiling, receipt.vae_tiling)
    placed = None if plan.placement is None else plan.placement.offload
    yield from _differs("Offload", placed, receipt.offload)


def _references(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    agreed = tuple(each.sha256 for each in plan.references)
    if agreed != receipt.references:
        shown = ", ".join(value[:12] for value in agreed) or "none"
        found = ", ".join(value[:12] for value in receipt.references) or "none"
        yield from _differs("Reference images", shown, found)


def _lora_set(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    planned = Counter(use.slug for use in plan.loras)
    applied = Counter(lora.slug for lora in receipt.loras)
    for slug in sorted((planned - applied).elements()):
        yield f"LoRA {slug}: the plan has it, but it was not applied."
    for slug in sorted((applied - planned).elements()):
        yield f"LoRA {slug}: it was applied, but the plan does not have it."
    if receipt.loras and not plan.mode.applies_loras:
        yield f"Mode {plan.mode.label!r} applies no LoRA, but {len(receipt.loras)} were applied."
    if not receipt.loras and plan.mode.needs_loras and plan.mode.applies_loras:
        yield f"Mode {plan.mode.label!r} applies a LoRA, but none was applied."


def _each_lora(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    uses = {use.slug: use for use in plan.loras}
    for lora in receipt.loras:
        if lora.slug in uses:
            yield from _lora(uses[lora.slug], lora)


def _lora(use: LoraUse, lora: LoraReceipt) -> Iterator[str]:
    name = f"LoRA {use.slug}"
    yield from _differs(f"{name}, SHA-256", use.sha256, lora.sha256)
    yield from _differs(f"{name}, strength", use.strength.value, lora.strength)
    if use.waived != lora.waived:
        yield (
            f"{name}: the plan leaves out {len(use.waived)} layers of the file with consent, "
            f"and the run left out {len(lora.waived)}, not the same ones."
        )
    yield from _parts(name, use, lora)
    targeted: Counter[str] = Counter()
    for part in lora.components:
        targeted[part.component] += part.targeted
        if part.applied != part.targeted:
            yield (
                f"{name}, {part.component}: {part.applied} of the {part.targeted} modules "
                "it targets carry it."
            )
        if part.scale_min > part.scale_max:
            yield (
                f"{name}, {part.component}: its smallest scale {part.scale_min} is larger than "
                f"its largest {part.scale_max}."
            )
    for component in sorted(use.modules.keys() | targeted.keys()):
        yield from _differs(
            f"{name}, modules targeted in {component}",
            use.modules.get(component, 0),
            targeted[component],
        )


def _parts(name: str, use: LoraUse, lora: LoraReceipt) -> Iterator[str]:
    """Parts with a strength of their own: the plan's, in all of their modules."""
    planned = {each.part: (each.strength.value, each.modules) for each in use.parts}
    found = {each.part: (each.strength, each.applied) for each in lora.parts}
    for part in sorted(planned.keys() | found.keys()):
        yield from _differs(
            f"{name}, strength and modules in {part}", planned.get(part), found.get(part)
        )


def _ranges(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    """LoRAs that come or go between steps: on where the plan says so, and at scale 0 elsewhere."""
    spans = plan.step_ranges if len(plan.step_ranges) > 1 else ()
    uses = {use.slug: use for use in plan.loras}
    for lora in receipt.loras:
        found = tuple((each.first_step, each.last_step) for each in lora.ranges)
        yield from _differs(f"LoRA {lora.slug}, steps", spans, found)
        if lora.slug not in uses:
            continue
        first, last = uses[lora.slug].span(plan.settings.steps.value)
        on = {
            (each.applied, each.scale_min, each.scale_max)
            for each in lora.ranges
            if first <= each.first_step and each.last_step <= last
        }
        if len(on) > 1:
            yield f"LoRA {lora.slug}: its scales are not the same in all steps in which it is on."
        for each in lora.ranges:
            outside = each.last_step < first or each.first_step > last
            if outside and (each.applied or each.scale_min or each.scale_max):
                yield (
                    f"LoRA {lora.slug}: in steps {each.first_step} to {each.last_step} it was on, "
                    "and the plan has it off."
                )
        if (
            lora.ranges
            and _planned_in_denoiser(plan, uses[lora.slug])
            and not any(applied for applied, _, _ in on)
        ):
            yield f"LoRA {lora.slug}: it was on in none of the steps that the plan has it on."


def _planned_in_denoiser(plan: RunPlan, use: LoraUse) -> bool:
    """Whether any module of the denoiser has it at another strength than 0."""
    denoiser = traits_of(plan.base.architecture).denoiser
    apart = [each for each in use.parts if each.part != TEXT_ENCODERS.name and each.modules]
    rest = use.modules.get(denoiser, 0) - sum(each.modules for each in apart)
    return bool(rest and use.strength.value) or any(each.strength.value for each in apart)


def _effect(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    """The measured effect: there when a LoRA is applied, and not nothing where one is on.

    Of a LoRA that changes the text encoders alone it is that of one denoiser call, which reads
    what they make of the probe's words; at strength 0 it is none.
    """
    del plan
    effect = receipt.effect if receipt.layer_effect is None else receipt.layer_effect
    if effect is None:
        if receipt.loras:
            yield "Effect: LoRAs were applied, but their effect was not measured."
        return
    if receipt.effect is not None and receipt.layer_effect is not None:
        yield "Effect: it was measured in two ways, and a run has one."
    if not receipt.loras:
        yield f"Effect: no LoRA was applied, but an effect of {effect} was measured."
    if not math.isfinite(effect):
        yield f"Effect: {effect} is not a number, and so no measurement."
    if effect < 0:
        yield f"Effect: {effect} is less than nothing, which no measurement gives."
    if effect == 0 and any(_is_on(lora) for lora in receipt.loras):
        yield "Effect: a LoRA is on, but it changes nothing."


def _effects_alone(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    """Each LoRA's own effect, where several were on."""
    del plan
    for lora in receipt.loras:
        effect = lora.effect if lora.layer_effect is None else lora.layer_effect
        if effect is not None and not (math.isfinite(effect) and effect >= 0):
            yield f"LoRA {lora.slug}, effect: {effect} is not a measurement."
        if effect == 0 and _is_on(lora):
            yield f"LoRA {lora.slug}, effect: by itself it changes nothing."


def _is_on(lora: LoraReceipt) -> bool:
    if lora.parts:
        return lora.acts
    return lora.strength != 0 and any(part.applied for part in lora.components)


def _encoding(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    """Tokens read per encoder and side, against the plan's ledger.

    A negative side may be unread (guidance off needs none); a side the ledger leaves out
    may be read as an empty text.
    """
    read = Counter((entry.encoder, entry.side) for entry in receipt.encoding)
    for (encoder, side), times in sorted(read.items()):
        if times > 1:
            yield f"Encoder {encoder}, {side}: reported {times} times."
    ledger = {(entry.encoder, entry.side.value): entry for entry in plan.prompt.ledger}
    for key, entry in ledger.items():
        if key not in read and entry.side is Side.PROMPT:
            yield f"Encoder {entry.encoder}: the prompt was not read."
    for found in receipt.encoding:
        agreed = ledger.get((found.encoder, found.side))
        yield from _tokens(plan.prompt_encoder, 0 if agreed is None else agreed.used, found)


def _tokens(encoder: PromptEncoder, planned: int, found: EncodingReceipt) -> Iterator[str]:
    """Exact for the native encoder, whose window cuts. Compel reads to the end, and joins
    words at weighting marks as only its parser knows, so there it is all or nothing."""
    exact = encoder is PromptEncoder.NATIVE
    if found.tokens != planned and (exact or 0 in (found.tokens, planned)):
        what = f"Encoder {found.encoder}, tokens of the {found.side}"
        yield from _differs(what, planned, found.tokens)


def _image(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    image = receipt.image
    if not 0 <= image.index < plan.count:
        yield f"Image number: the plan makes {plan.count}, counted from 0; this is {image.index}."
    yield from _differs("Seed", plan.seed + image.index, image.seed)
    yield from _differs("Width", plan.settings.width.value, image.width)
    yield from _differs("Height", plan.settings.height.value, image.height)


def _worker(plan: RunPlan, receipt: Receipt) -> Iterator[str]:
    """A plan for a class of workers ran on one of it, as the head noted and the receipt shows."""
    if plan.worker_class is None:
        return
    if receipt.worker is not None and receipt.worker.worker_class != plan.worker_class:
        planned, found = plan.worker_class.hardware, receipt.worker.worker_class.hardware
        yield f"Worker {receipt.worker.name}: it is of another class ({found}, not {planned})."
    if receipt.hardware is not None:
        yield from _differs("Hardware", plan.worker_class.hardware, receipt.hardware)
