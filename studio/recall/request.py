"""What a picture says, and what is in the library → the request that makes it again.

A file is known by its hash, then by its CivitAI version, then by its name; which one it was is
told, because a name proves nothing. What the hash contradicts is not taken for its name's sake.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from studio.architecture import Mode
from studio.architecture.pipelines import scheduler_named
from studio.contract.origin import IntSetting, Origin
from studio.contract.plan import LoraUse, RunPlan, TriggerUse
from studio.contract.request import GenerationRequest, LoraChoice, Overrides, PartStrength
from studio.presets import Catalog
from studio.recall.said import Said, SaidWeights


class KnownBy(StrEnum):
    """How a file of the library was found; the value is the word that is shown."""

    SHA256 = "SHA-256"
    AUTOV2 = "AutoV2"
    AUTOV3 = "AutoV3"
    VERSION = "CivitAI version"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Shelved:
    """A base or a LoRA of the library.

    Attributes:
        names: every name it goes by: slug, label, file name.
        sha256, tensors_sha256: of the file, and of its tensors alone; None while unknown.
        triggers: the phrases that its prompt needs.
        flow_matching: of a base, whether it takes only flow-match schedulers.
    """

    slug: str
    label: str
    names: tuple[str, ...]
    sha256: str | None = None
    tensors_sha256: str | None = None
    civitai_version: int | None = None
    triggers: tuple[str, ...] = ()
    flow_matching: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """``said`` is this ``slug`` of the library, and what shows it."""

    said: SaidWeights
    slug: str
    by: KnownBy


@dataclass(frozen=True, slots=True)
class Missing:
    """``said`` is not in the library; ``reason`` and ``way_out`` are one sentence each."""

    said: SaidWeights
    reason: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Recalled:
    """A beginning made from a picture.

    Attributes:
        request: filled with everything known; its base is empty where the base is missing.
        said: what the picture says.
        verified: whether the studio's own record stood behind it and holds.
        left: what the request cannot say, one sentence each.
    """

    request: GenerationRequest
    said: Said
    matched: tuple[Match, ...] = ()
    missing: tuple[Missing, ...] = ()
    verified: bool = False
    left: tuple[str, ...] = ()


def of_plan(plan: RunPlan, seed: int, catalog: Catalog) -> GenerationRequest:
    """The request that asks for ``plan`` again, with ``seed``.

    Settings that came from the model or a LoRA come from there again; a LoRA's strength only
    where its preset still says the same.
    """
    uses = {use.slug: use for use in plan.loras}
    phrases = {use.slug: _phrases(use, catalog) for use in plan.triggers}
    choices = [
        LoraChoice(
            slug=use.slug,
            strength=_strength(use, catalog),
            allow_partial=bool(use.waived),
            phrases=phrases.get(use.slug),
            parts=_parts(use, catalog),
            first_step=_step(use, "first_step", 1, catalog),
            last_step=_step(use, "last_step", plan.settings.steps.value, catalog),
        )
        for use in plan.loras
    ]
    choices += [
        LoraChoice(slug=use.slug, phrases=phrases[use.slug])
        for use in plan.triggers
        if use.slug not in uses
    ]
    given = {name: getattr(plan.settings, name) for name in Overrides.model_fields}
    askers = (Origin.USER, Origin.COMPARISON)
    said = {name: each for name, each in given.items() if each and each.origin in askers}
    return GenerationRequest(
        base=plan.base.slug,
        mode=plan.mode,
        prompt=plan.prompt.typed,
        negative_prompt=plan.prompt.negative_typed,
        loras=tuple(choices),
        references=plan.references,
        settings=Overrides(**{name: each.value for name, each in said.items()}),
        prompt_encoder=plan.prompt_encoder,
        allow_cut=any(entry.cut for entry in plan.prompt.ledger),
        seed=seed,
        held=tuple(name for name, each in said.items() if each.origin is Origin.COMPARISON),
    )


def _strength(use: LoraUse, catalog: Catalog) -> float | None:
    preset = catalog.loras.get(use.slug)
    same = preset is not None and preset.usual_strength == use.strength.value
    return None if same and use.strength.origin is not Origin.USER else use.strength.value


def _parts(use: LoraUse, catalog: Catalog) -> tuple[PartStrength, ...]:
    """Without those of which the preset says the same by itself."""
    preset = catalog.loras.get(use.slug)
    own = {} if preset is None else preset.settings.parts
    off = use.strength.value == 0 and use.strength.origin is Origin.USER
    said = [
        PartStrength(part=each.part, strength=each.strength.value)
        for each in use.parts
        if each.strength.origin is Origin.USER or own.get(each.part) != each.strength.value
    ]
    there = {each.part for each in use.parts}
    whole = use.strength.value
    since = () if off else (PartStrength(part=p, strength=whole) for p in own if p not in there)
    return (*said, *since)


def _step(use: LoraUse, name: str, usual: int, catalog: Catalog) -> int | None:
    """None where the preset says the same by itself."""
    said: IntSetting | None = getattr(use, name)
    preset = catalog.loras.get(use.slug)
    own: int | None = None if preset is None else getattr(preset.settings, name)
    if said is not None and said.origin is Origin.USER:
        return said.value
    value = None if said is None else said.value
    return None if value == own else usual if value is None else value


def _phrases(use: TriggerUse, catalog: Catalog) -> tuple[str, ...] | None:
    """None where the preset, as it is now, says the same by itself, or has other words."""
    preset = catalog.loras.get(use.slug)
    if preset is None or not set(use.words) <= set(preset.trigger_phrases):
        return None
    usual = preset.trigger_phrases[:1] if preset.alternatives else preset.trigger_phrases
    return None if use.words == usual else use.words


def fill(said: Said, bases: Iterable[Shelved], loras: Iterable[Shelved], drawn: int) -> Recalled:
    """The request that ``said`` makes with what is in the library.

    Args:
        drawn: the seed where the picture says none.
    """
    matched: list[Match] = []
    missing: list[Missing] = []
    shelf = list(loras)
    base = None if said.base is None else _find(said.base, list(bases), matched, missing)
    found = [_find(each, shelf, matched, missing) for each in said.loras]
    chosen = {
        each.slug: weights
        for each, weights in zip(found, said.loras, strict=True)
        if each is not None
    }
    prompt = " ".join(said.prompt.lower().split())
    wanted = [phrase for each in found if each is not None for phrase in each.triggers]
    with_trigger = any(" ".join(phrase.lower().split()) in prompt for phrase in wanted)
    scheduler, left = _scheduler(said, base is not None and base.flow_matching)
    request = GenerationRequest(
        base="" if base is None else base.slug,
        mode=_mode(bool(chosen), with_trigger and bool(wanted)),
        prompt=said.prompt,
        negative_prompt=said.negative_prompt,
        loras=tuple(
            LoraChoice(slug=slug, strength=weights.strength, parts=weights.parts)
            for slug, weights in chosen.items()
        ),
        settings=Overrides(
            steps=said.steps,
            guidance_scale=said.guidance_scale,
            true_cfg_scale=said.true_cfg_scale,
            clip_skip=said.clip_skip,
            width=said.width,
            height=said.height,
            scheduler=scheduler,
        ),
        seed=drawn if said.seed is None else said.seed,
    )
    return Recalled(request, said, tuple(matched), tuple(missing), False, (*said.left, *left))


def _mode(any_lora: bool, with_trigger: bool) -> Mode:
    """Trigger words that the text has are asked for; to a foreign text none are added."""
    if not any_lora:
        return Mode.BASE
    return Mode.LORA_WITH_TRIGGER if with_trigger else Mode.LORA


def _scheduler(said: Said, flow_matching: bool) -> tuple[str | None, tuple[str, ...]]:
    if said.sampler is None:
        return None, ()
    found = scheduler_named(said.sampler, flow_matching)
    if found is None:
        sentence = f"Its sampler, {said.sampler[:80]!r}, is not one of the studio's schedulers."
        return None, (sentence,)
    return found, ()


def _find(
    said: SaidWeights, shelf: list[Shelved], matched: list[Match], missing: list[Missing]
) -> Shelved | None:
    for by in KnownBy:
        for each in shelf:
            if _is(said, each, by):
                matched.append(Match(said, each.slug, by))
                return each
    missing.append(_missing(said, shelf))
    return None


def _is(said: SaidWeights, each: Shelved, by: KnownBy) -> bool:
    digits = said.hash or ""
    if by is KnownBy.SHA256:
        return len(digits) == 64 and digits in (each.sha256, each.tensors_sha256)
    if by is KnownBy.AUTOV2:
        return 10 <= len(digits) < 64 and (each.sha256 or "").startswith(digits)
    if by is KnownBy.AUTOV3:
        return 10 <= len(digits) < 64 and (each.tensors_sha256 or "").startswith(digits)
    if by is KnownBy.VERSION:
        return said.civitai_version is not None and said.civitai_version == each.civitai_version
    return _same_name(said, each) and not _contradicted(said, each)


def _same_name(said: SaidWeights, each: Shelved) -> bool:
    return _plain(said.name) in {_plain(name) for name in each.names} - {""}


def _contradicted(said: SaidWeights, each: Shelved) -> bool:
    """Whether both hashes that the text's could be are known, and it is neither."""
    return len(said.hash or "") >= 10 and None not in (each.sha256, each.tensors_sha256)


def _plain(name: str) -> str:
    """What two spellings of one file's name share: no folders, no ending, no case, no marks."""
    last = re.split(r"[\\/]", name)[-1].lower()
    return re.sub(r"[\W_]+", "", re.sub(r"\.(safetensors|ckpt|pt|gguf)$", "", last))


def _missing(said: SaidWeights, shelf: list[Shelved]) -> Missing:
    name = f"{said.name!r}" if said.name else "A file without a name"
    same = next((each for each in shelf if _same_name(said, each)), None)
    if same is not None:
        reason = f"{name} is here as {same.slug!r}, with other content (hash {said.hash})."
    else:
        reason = f"{name} is not in the library."
    if said.civitai_version is not None:
        page = f"civitai.com/api/download/models/{said.civitai_version}"
        return Missing(
            said, reason, f"Fetch CivitAI's model version {said.civitai_version} ({page})."
        )
    if said.hash is not None:
        return Missing(
            said, reason, f"Look for the hash {said.hash} at CivitAI, and fetch the file."
        )
    return Missing(said, reason, "Put the file into the library, or choose another one.")
