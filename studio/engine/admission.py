"""How a LoRA file becomes resident: gate, load, check; and what happens when one fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.engine import injected
from studio.engine.device import named_errors
from studio.engine.gate import Target, fit_to_base
from studio.engine.libraries import listen
from studio.engine.lora_file import read_lora
from studio.engine.plain import plain
from studio.engine.probe import read_probe
from studio.engine.resident import Adapter, ResidentBase
from studio.errors import LoraRefused, WeightsError

MakeRoom = Callable[[int, ResidentBase, frozenset[str]], None]
_WAY_OUT = "Use another file of this LoRA; what diffusers cannot load in full is not used."
# What diffusers, transformers and peft raise on files they cannot map (read in their source).
_LOAD_ERRORS = (
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class WantedLora:
    """One LoRA a run wants: the file that must have this SHA-256, and its strength."""

    slug: str
    sha256: str
    strength: float
    path: Path


def admit(
    base: ResidentBase, lora: WantedLora, needed: frozenset[str], make_room: MakeRoom
) -> tuple[str, ...]:
    """Make one LoRA resident; returns what the libraries said, all of it expected.

    On failure the pipeline is as it was before, or ``base.spoiled`` is set.

    Args:
        needed: SHA-256 of all LoRAs of the run, which must not be evicted for this one.

    Raises:
        LoraRefused, WeightsError, OutOfMemory, DeviceError.
    """
    _check_file(lora)
    file = read_lora(lora.slug, lora.path)
    targets = fit_to_base(file, base.pipeline)
    make_room(file.numbers * base.dtype.itemsize, base, needed)
    name = f"studio_{lora.sha256}"
    base.forget_measurements()
    base.places[lora.path] = lora.slug
    done = False
    try:
        heard = _inject(base, lora, name)
        size = injected.settle(base.pipeline, name, base.dtype)
        _check_loaded(base, lora, name, targets, heard)
        done = True
    finally:
        if not done:
            _roll_back(base, name)
    base.adapters[lora.sha256] = Adapter(
        name=name,
        scales={(target.component, target.module): target.scale for target in targets},
        size=size,
        digest=injected.digest(base.pipeline, name),
    )
    return heard


def _check_file(lora: WantedLora) -> None:
    if lora.path.suffix != ".safetensors":
        # diffusers would read any other name through pickle, which runs code.
        raise LoraRefused(lora.slug, ("Its file is not named .safetensors.",), _WAY_OUT)
    try:
        with lora.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"The file of LoRA {lora.slug!r} cannot be read: {error.strerror}.",
            "Fetch it again.",
            lora.path,
        ) from error
    if found != lora.sha256:
        raise WeightsError(
            f"The file of LoRA {lora.slug!r} has SHA-256 {found[:12]}…, not {lora.sha256[:12]}….",
            "Fetch it again; it changed since the plan was made.",
            lora.path,
        )


def _inject(base: ResidentBase, lora: WantedLora, name: str) -> tuple[str, ...]:
    try:
        with (
            named_errors(base.device, f"the LoRA {lora.slug}"),
            listen(base.places) as heard,
        ):
            # From the file, not from tensors: only so does diffusers read its alpha.
            base.pipeline.load_lora_weights(
                str(lora.path.parent),
                weight_name=lora.path.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
    except _LOAD_ERRORS as error:
        text = f"diffusers cannot load it: {plain(str(error), base.places)[:300]}"
        raise LoraRefused(lora.slug, (text,), _WAY_OUT) from error
    return tuple(heard)


def _check_loaded(
    base: ResidentBase,
    lora: WantedLora,
    name: str,
    targets: Sequence[Target],
    heard: Sequence[str],
) -> None:
    problems = list(injected.check_weights(base.pipeline, name, targets))
    components = {target.component for target in targets}
    unexpected = [text for text in heard if not _is_expected(text, name, components, base)]
    problems += [f"The libraries said: {text[:300]}" for text in unexpected]
    problems += [
        f"Loading it changed the resident LoRA {other.name[:19]}…."
        for other in base.adapters.values()
        if injected.digest(base.pipeline, other.name) != other.digest
    ]
    if problems:
        shown = problems[:3]
        if len(problems) > 3:
            shown.append(f"{len(problems) - 3} more findings.")
        raise LoraRefused(lora.slug, tuple(shown), _WAY_OUT)


def _is_expected(text: str, name: str, components: set[str], base: ResidentBase) -> bool:
    """What diffusers, transformers and peft say although all is well.

    - that the file has nothing for a component it does not target;
    - that the model has adapters already;
    - transformers' report of keys "missing" for the *other* adapters of a text encoder.
    """
    if text.startswith("No LoRA keys associated to"):
        said_of = {
            component
            for component, model in injected.components_of(base.pipeline).items()
            if f"associated to {type(model).__name__} " in text
        }
        return bool(said_of) and said_of.isdisjoint(components)
    if text.startswith("Already found a `peft_config` attribute"):
        return True
    report = "LOAD REPORT" in text
    return report and name not in text and "UNEXPECTED" not in text and "MISMATCH" not in text


def _roll_back(base: ResidentBase, name: str) -> None:
    injected.remove(base.pipeline, name)
    injected.activate(base.pipeline, {})
    if read_probe(base.family, base.pipeline).digest != base.loaded.digest:
        base.spoiled = "a LoRA that failed to load has changed it"
