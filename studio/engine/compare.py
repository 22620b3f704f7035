"""Plan against receipt: what happened must be what was decided."""

from __future__ import annotations

from studio.errors import ContractBroken
from studio.plan import RunPlan
from studio.receipt import Receipt
from studio.request import PromptEncoder


def demand_plan(plan: RunPlan, receipt: Receipt) -> None:
    """Compare field by field.

    Raises:
        ContractBroken: naming everything that differs.
    """
    differing = differences(plan, receipt)
    if differing:
        raise ContractBroken(
            f"What happened is not what was planned: {'; '.join(differing)}.",
            "The picture is not kept; report it with the plan's fingerprint.",
        )


def differences(plan: RunPlan, receipt: Receipt) -> tuple[str, ...]:
    """``field: planned → happened`` for all that differ; empty when the contract held."""
    settings, image = plan.settings, receipt.image
    skip = settings.clip_skip.value if settings.clip_skip else None
    pairs: tuple[tuple[str, object, object], ...] = (
        ("base", plan.base.sha256, receipt.base_sha256),
        ("dtype", settings.dtype, receipt.dtype),
        ("scheduler", settings.scheduler.value, receipt.scheduler),
        ("steps", settings.steps.value, receipt.steps),
        ("guidance scale", settings.guidance_scale.value, receipt.guidance_scale),
        ("clip skip", skip, receipt.clip_skip),
        ("seed", plan.seed + image.index, image.seed),
        ("width", settings.width.value, image.width),
        ("height", settings.height.value, image.height),
        ("base proof", receipt.base_proof.loaded, receipt.base_proof.now),
        ("LoRAs", _planned_loras(plan), _applied_loras(receipt)),
        ("tokens", _planned_tokens(plan, receipt), _read_tokens(plan, receipt)),
    )
    return tuple(f"{name}: {want} → {got}" for name, want, got in pairs if want != got)


def _planned_loras(plan: RunPlan) -> list[tuple[object, ...]]:
    return [
        (use.slug, use.sha256, use.strength.value, sorted(use.modules.items()))
        for use in plan.loras
    ]


def _applied_loras(receipt: Receipt) -> list[tuple[object, ...]]:
    return [
        (
            lora.slug,
            lora.sha256,
            lora.strength,
            sorted((c.component, c.applied) for c in lora.components),
        )
        for lora in receipt.loras
    ]


def _planned_tokens(plan: RunPlan, receipt: Receipt) -> dict[tuple[str, str], int]:
    """The ledger's promise, for what the native encoder read.

    With Compel the ledger counts the text's tokens and Compel reads them without its syntax,
    so there is nothing to compare; without guidance no negative prompt is read.
    """
    if plan.prompt_encoder is not PromptEncoder.NATIVE:
        return {}
    read = {(entry.encoder, entry.side) for entry in receipt.encoding}
    return {
        (entry.encoder, str(entry.side)): entry.used
        for entry in plan.prompt.ledger
        if (entry.encoder, str(entry.side)) in read
    }


def _read_tokens(plan: RunPlan, receipt: Receipt) -> dict[tuple[str, str], int]:
    if plan.prompt_encoder is not PromptEncoder.NATIVE:
        return {}
    return {(entry.encoder, entry.side): entry.tokens for entry in receipt.encoding}
