"""What a file is, told from its safetensors header: the verdict with its evidence."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field

from studio.architecture import LABELS
from studio.architecture.families import BY_NAME
from studio.architecture.layer_names import Rows
from studio.contract.base import Contract
from studio.inspection.adapter_config import with_alphas
from studio.inspection.claims import claims, conflicts, listed, trigger_hints, unproven
from studio.inspection.decompositions import TENSORS, Shape
from studio.inspection.header import SafetensorsHeader
from studio.inspection.kinds import Kind, kind_of
from studio.inspection.lora_family import Pair, denoiser_measures, family_verdict, names_known
from studio.inspection.lora_module import LoraModule, measure
from studio.inspection.lora_tensors import DENOISER, Layer, group, wrappers
from studio.inspection.problems import problems
from studio.inspection.twice import Read, find_twice
from studio.inspection.verdict import UNKNOWN, FamilyVerdict


class LoraInspection(Contract):
    """The verdict with its evidence; tensors decide, ``claims`` stand beside it.

    Attributes:
        kind: ``lora``, ``checkpoint``, ``text encoder``, ``controlnet``, ``embedding``,
            ``vae``, ``ip-adapter``, ``t2i-adapter``, ``image encoder``, ``upscaler``, an adapter
            of another kind (``oft``, ``vera``, …; all in ``kinds``) or ``unknown``.
        architecture: ``mini``, ``sd15``, ``sdxl``, … or ``unknown``; every value of
            ``Architecture`` and the families that are only recognised to be refused by name
            (``sd2``, ``sd3``, ``chroma``, ``wan``, ``lumina2``, …; all in ``LABELS``).
        variant: where the keys decide it, else None.
        format: ``diffusers``, ``peft`` (``base_model.model.``), ``kohya``, ``comfyui``,
            ``xlabs``, ``bare``, ``lokr``, ``loha``, ``dora`` or ``unknown``.
        evidence: sentences, the deciding one first; what is undecidable is said too.
        candidates: the families its layers fit alike, where they leave it open; then
            ``architecture`` is ``unknown``, or by far the commonest of them.
        claims: what the file's own metadata says (``ss_*``, ``modelspec.*``).
        conflicts: sentences where a claim contradicts the tensors.
        problems: sentences that say why no base can take the LoRA; empty when one can.
        components: component → number of layers the file changes there.
        alphas: the distinct known values, ascending.
        unaccounted: tensors that belong to no module of ``modules``, but for lone alphas and for
            what stands there twice.
        repeated: layers that the file has twice with the same weights, which are used once.
        copies: which layers are others of the file again; see ``twice``.
    """

    kind: str
    architecture: str
    variant: str | None
    format: str
    evidence: tuple[str, ...]
    candidates: tuple[str, ...] = ()
    claims: dict[str, str]
    conflicts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    components: dict[str, int]
    modules: tuple[LoraModule, ...] = Field(repr=False)
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    dtypes: tuple[str, ...]
    trigger_hints: tuple[str, ...]
    unaccounted: tuple[str, ...]
    repeated: tuple[str, ...] = ()
    copies: dict[tuple[str, str], Rows] = Field(default={}, exclude=True, repr=False)

    def disputed(self, conflicts: Sequence[str]) -> Self:
        """The same verdict with more conflicts."""
        return self.model_copy(update={"conflicts": (*self.conflicts, *conflicts)})


def inspect(
    header: SafetensorsHeader,
    alphas: Mapping[str, float] | None = None,
    read: Read | None = None,
) -> LoraInspection:
    """The verdict on a file from its ``header``; never fails for a valid header.

    Args:
        alphas: values of the file's ``.alpha`` tensors by tensor name, where a caller has
            read them (those that are one finite number); without them those alphas stay None.
        read: reads its tensors, to compare those that may stand there twice.
    """
    shapes = {name: info.shape for name, info in header.tensors.items()}
    modules, unplaced, verdict = _unwrapped(shapes)
    if not modules:
        return _other(header, kind_of(shapes))
    named = [_settled(module, verdict) for _, module in modules]
    styles = sorted({layer.style for layer, _ in modules})
    twice = find_twice(
        with_alphas(named, header.metadata, alphas or {}), header, read, len(styles) > 1
    )
    known, style = twice.modules, _format(modules)
    evidence = (
        verdict.sentence,
        *_undecided(verdict, header.metadata),
        *_text_encoder_evidence(named),
        *_undecidable(verdict),
        *_style_evidence(styles),
        *twice.evidence,
        *_bundled(unplaced),
    )
    return LoraInspection(
        kind="lora",
        architecture=verdict.architecture,
        variant=verdict.variant,
        format=style,
        evidence=evidence,
        claims=claims(header.metadata, header.left_out),
        candidates=verdict.open_to,
        conflicts=conflicts(
            verdict.architecture, verdict.variant, verdict.open_to, header.metadata
        ),
        problems=(*problems(header, known, style, alphas), *twice.problems),
        components=dict(Counter(module.component for module in known)),
        modules=known,
        ranks=tuple(sorted({m.rank for m in known if m.rank is not None})),
        alphas=tuple(sorted({m.alpha for m in known if m.alpha is not None})),
        dtypes=_dtypes(header),
        trigger_hints=trigger_hints(header.metadata),
        unaccounted=unplaced,
        repeated=twice.equal,
        copies=dict(twice.copies),
    )


def _unwrapped(shapes: Mapping[str, Shape]) -> tuple[list[Pair], tuple[str, ...], FamilyVerdict]:
    """The layers, the tensors that belong to none, and the verdict: of the names as they are, or
    without a wrapper that they share, where only the rest names layers as some family does."""
    first: tuple[list[Pair], tuple[str, ...], FamilyVerdict] | None = None
    for wrapper in wrappers(shapes):
        found = _pairs(*group(shapes, wrapper))
        if first is None:
            first = found
        if not found[0] or names_known(found[0]):
            return found
    assert first is not None  # no wrapper comes first
    return first


def _pairs(
    layers: Sequence[Layer], strays: Sequence[str]
) -> tuple[list[Pair], tuple[str, ...], FamilyVerdict]:
    measured = [(layer, measure(layer)) for layer in layers]
    modules = [(layer, module) for layer, module in measured if module is not None]
    broken = [
        name
        for layer, module in measured
        if module is None and layer.tensors.keys() != {"alpha"}  # without weights it does nothing
        for name in layer.tensors.values()
    ]
    return modules, tuple(sorted([*strays, *broken])), family_verdict(modules)


def _bundled(unplaced: Sequence[str]) -> tuple[str, ...]:
    """The words of embeddings that some sites pack into a LoRA's file."""
    words = {name.split(".")[1] for name in unplaced if name.startswith("bundle_emb.")}
    if not words:
        return ()
    return (f"It carries embeddings too, which are not loaded: {listed(sorted(words))}.",)


def _undecided(verdict: FamilyVerdict, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What the layers leave open, and which of it the file claims to be."""
    if not verdict.open_to:
        return ()
    choices = listed([LABELS[name] for name in verdict.open_to])
    sentence = f"{choices}: which one is not decidable from this file."
    return (sentence, *unproven(verdict.open_to, metadata))


def _undecidable(verdict: FamilyVerdict) -> tuple[str, ...]:
    """What the family's layers can never tell."""
    family = BY_NAME.get(verdict.architecture)
    sentence = family.undecidable.get(verdict.variant) if family else None
    return (sentence,) if sentence else ()


def _settled(module: LoraModule, verdict: FamilyVerdict) -> LoraModule:
    """The module with its component's name in the family's pipeline."""
    component = module.component
    denoisers = {BY_NAME[name].denoiser for name in verdict.families}
    if component == DENOISER and len(denoisers) == 1:
        (component,) = denoisers
    elif verdict.architecture == "flux1" and component == "text_encoder_3":
        component = "text_encoder_2"  # others number T5 as SD3 does; Flux's pipeline has two
    if component == module.component:
        return module
    return module.model_copy(update={"component": component})


def _format(modules: Sequence[Pair]) -> str:
    found = {module.decomposition for _, module in modules}
    for decomposition, tensors in TENSORS.items():
        if tensors.names_format and decomposition in found:
            return decomposition.value
    if any(module.dora for _, module in modules):
        return "dora"
    if any(".processor." in module.name and "_lora" in module.name for _, module in modules):
        return "xlabs"
    return Counter(layer.style for layer, _ in modules).most_common(1)[0][0]


def _style_evidence(styles: Sequence[str]) -> tuple[str, ...]:
    return (f"It mixes the spellings of {listed(styles)}.",) if len(styles) > 1 else ()


def _text_encoder_evidence(modules: Sequence[LoraModule]) -> tuple[str, ...]:
    """How wide the text encoders are, when it is the denoiser that decided."""
    if not denoiser_measures(modules):
        return ("It changes text encoders alone.",)
    sentences = []
    for component in ("text_encoder", "text_encoder_2", "text_encoder_3"):
        wide = sorted({m.in_features for m in modules if _reads_hidden(m, component)})
        if wide:
            name = component.replace("_", " ").capitalize()
            sentences.append(f"{name} is {listed(wide)} wide.")
    return tuple(sentences)


def _reads_hidden(module: LoraModule, component: str) -> bool:
    hidden = r"_proj$|fc1$|SelfAttention[._][qkv]$"
    return module.component == component and bool(re.search(hidden, module.name))


def _other(header: SafetensorsHeader, kind: Kind) -> LoraInspection:
    return LoraInspection(
        kind=kind.name,
        architecture=kind.architecture,
        variant=kind.variant,
        format=UNKNOWN,
        evidence=kind.evidence,
        claims=claims(header.metadata, header.left_out),
        candidates=kind.open_to,
        conflicts=conflicts(kind.architecture, kind.variant, kind.open_to, header.metadata),
        components={},
        modules=(),
        ranks=(),
        alphas=(),
        dtypes=_dtypes(header),
        trigger_hints=trigger_hints(header.metadata),
        unaccounted=tuple(sorted(header.tensors)),
    )


def _dtypes(header: SafetensorsHeader) -> tuple[str, ...]:
    return tuple(sorted({info.dtype for info in header.tensors.values()}))
