"""From a file of the library to what a request can name: its slug and a derived preset."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.architecture import TRAITS, Architecture
from studio.architecture.families import LABELS
from studio.contract.settings import MAX_STRENGTH
from studio.errors import PresetsError
from studio.inspection.claims import listed
from studio.inspection.original import single_file_architectures
from studio.inspection.verdict import UNKNOWN
from studio.library.reading import SUFFIX
from studio.library.scan import Held
from studio.library.state import SlugOf
from studio.presets import LoraPreset, ModelPreset, Preset, TriggerRule
from studio.presets.model_card import family_of
from studio.presets.parse import slug_of
from studio.presets.rules import pipelines_of
from studio.presets.suggest import checked

_FILE = "the file's name"
_TENSORS = "the file's tensors"
_HEADER = "the file's metadata"
_CLASS = "the pipeline's own default"

_STEPS_GUIDANCE: Mapping[str, tuple[int, float]] = {
    "StableDiffusionPipeline": (50, 7.5),
    "StableDiffusionXLPipeline": (50, 5.0),
    "FluxPipeline": (28, 3.5),
    "FluxKontextPipeline": (28, 3.5),
    "Flux2Pipeline": (50, 4.0),
    "Flux2KleinPipeline": (50, 4.0),
    "QwenImagePipeline": (50, 4.0),
    "QwenImageEditPipeline": (50, 4.0),
    "QwenImageEditPlusPipeline": (50, 4.0),
    "ZImagePipeline": (50, 6.0),
}
"""What ``__call__`` of the diffusers class takes where nobody says (diffusers 0.42). Guidance is
in the presets' convention, in which Z-Image's 5.0 is 6.0."""
_SIDE = {Architecture.SD15: 512}
_USUAL_SIDE = 1024
"""Pixels of the square that the class makes where nobody says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the library.

    Attributes:
        preset: what is derived from it; None where it cannot be used.
        said_by: field of the preset → who said it, in words.
        reason: why it cannot be used, in sentences; empty where it can.
        others: (field, value, who) of what was said and does not count, because somebody else
            said another value before.
    """

    slug: str
    held: Held
    preset: Preset | None
    said_by: Mapping[str, str]
    reason: str = ""
    others: tuple[tuple[str, str, str], ...] = ()


def name_files(
    held: Sequence[Held], known: Mapping[str, SlugOf], taken: Collection[str]
) -> dict[str, str]:
    """Whole path, as ``key_of`` spells it → slug; two files never share one.

    A file keeps its slug when it moves: it is known again by its hash, else by size, time and
    inode, else by size, time and name. A file that takes the place of another takes its slug
    too, unless the other one moved; the pin tells when it is not the file that was used.

    Args:
        known: the slugs that were given before.
        taken: those that presets have.
    """
    files = {each.key: _known_by(each) for each in held}
    left = {slug: file for slug, file in known.items() if slug not in taken}
    named = {
        file.path: slug
        for slug, file in left.items()
        if file.path in files and _is_same(file, files[file.path])
    }
    _follow(files, {slug: left[slug] for slug in left.keys() - named.values()}, named)
    used = {*taken, *known}
    for each in held:
        path = each.key
        if path not in named:
            named[path] = _free(slug_of(_stem(each.path)) or "file", used)
            used.add(named[path])
    return named


def _follow(
    files: Mapping[str, SlugOf], left: Mapping[str, SlugOf], named: dict[str, str]
) -> None:
    """Give the slugs of files that are not where they were to where they went, else to what
    took their place."""
    moved = defaultdict(list)
    for path in files.keys() - named.keys():
        for mark in _marks(files[path]):
            moved[mark].append(path)
    for slug in sorted(left):
        file = left[slug]
        found = next((p for mark in _marks(file) for p in moved[mark] if p not in named), None)
        if found is not None:
            named[found] = slug
    for slug in sorted(left.keys() - named.values()):
        path = left[slug].path
        if path in files:
            named.setdefault(path, slug)


def given(named: Mapping[str, str], held: Iterable[Held]) -> dict[str, SlugOf]:
    """Slug → what the file is known by, to be remembered."""
    return {named[each.key]: _known_by(each) for each in held}


def _known_by(held: Held) -> SlugOf:
    size, mtime, _, inode = held.stamp
    return SlugOf(held.key, size, mtime, inode, held.sha256)


def _is_same(one: SlugOf, other: SlugOf) -> bool:
    if one.sha256 is not None and other.sha256 is not None:
        return one.sha256 == other.sha256
    return (one.size, one.mtime_ns, one.inode) == (other.size, other.mtime_ns, other.inode)


def _marks(file: SlugOf) -> list[tuple[object, ...]]:
    """What tells a file that moved, the surest first."""
    name = file.path.rsplit("/", 1)[-1]
    marks: list[tuple[object, ...]] = [] if file.sha256 is None else [(file.sha256,)]
    return [
        *marks,
        (file.size, file.mtime_ns, "inode", file.inode),
        (file.size, file.mtime_ns, "name", name),
    ]


def _free(slug: str, used: Collection[str]) -> str:
    number, free = 2, slug
    while free in used:
        free, number = f"{slug[:75].rstrip('-')}-{number}", number + 1
    return free


def _stem(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def derive(held: Held, slug: str) -> Entry:
    """The entry of a file: what can be used comes with its preset, all else with the reason."""
    facts = held.verdict
    if facts.kind == "pickle":
        return _refused(held, slug, "A pickle can run code when it is read, so it is not opened.")
    if facts.problem is not None:
        return _refused(held, slug, facts.problem)
    if not held.path.isprintable():
        return _refused(held, slug, "Its name cannot be written down: rename it.")
    if facts.kind == "lora":
        return _lora(held, slug)
    if facts.kind in ("checkpoint", "model"):
        return _model(held, slug)
    if facts.kind == UNKNOWN:
        return _refused(held, slug, "Its tensors are those of no LoRA and no base.")
    return _refused(held, slug, f"It is neither a LoRA nor a base: {facts.kind}.")


def _refused(held: Held, slug: str, reason: str) -> Entry:
    return Entry(slug, held, None, {}, reason)


def _lora(held: Held, slug: str) -> Entry:
    facts = held.verdict
    said = _values(held)
    if facts.architecture in set(Architecture):
        said["base_architecture"] = [
            (facts.architecture, _TENSORS),
            *((family, each.who) for each in held.said if (family := family_of(each.base_model))),
        ]
    else:
        said["base_architecture"] = [
            (family, each.who)
            for each in held.said
            if (family := family_of(each.base_model)) in facts.candidates
            and family in set(Architecture)
        ]
        runnable = set(Architecture).intersection(facts.candidates)
        if len(runnable) == 1:  # of the families it may be, the one that the studio runs
            said["base_architecture"].append((runnable.pop(), _TENSORS))
    if not said["base_architecture"]:
        return _refused(held, slug, _no_family(held))
    return _checked(LoraPreset, held, slug, said)


def _values(held: Held) -> dict[str, list[tuple[Any, str]]]:
    """Field → what was said of it, and by whom: what a person wrote beside the file, what a site
    said, the header, the name."""
    facts = held.verdict
    said: dict[str, list[tuple[Any, str]]] = {
        "label": [(each.label, each.who) for each in held.said],
        "prompt": [(each.prompt, each.who) for each in held.said],
        "negative_prompt": [(each.negative, each.who) for each in held.said],
        "notes": [(each.notes, each.who) for each in held.said],
        "settings": [
            (_at_strength(each.strength), each.who)
            for each in held.said
            if each.strength is not None
        ],
    }
    said["prompt"] += [(facts.trigger, _HEADER), (facts.tag, _HEADER)]
    said["label"] += [(facts.title, _HEADER), (_stem(held.path), _FILE), (facts.called, _HEADER)]
    return {field: [each for each in values if each[0]] for field, values in said.items()}


def _at_strength(strength: float) -> dict[str, float]:
    """One below 0 is a slider's, and allows what is below 0."""
    return {"strength": strength} | ({"min_strength": -MAX_STRENGTH} if strength < 0 else {})


def _no_family(held: Held) -> str:
    facts = held.verdict
    if facts.architecture == UNKNOWN and facts.candidates:
        fits = listed([LABELS[name] for name in facts.candidates], "and")
        return f"Its layers fit {fits} alike; a preset can say which."
    if facts.architecture == UNKNOWN:
        return "Its layers are of no family that the studio knows."
    label = LABELS.get(facts.architecture, facts.architecture)
    return f"It is made for {label}, which the studio does not run."


def _model(held: Held, slug: str) -> Entry:
    facts = held.verdict
    pipeline, architecture = facts.pipeline, facts.architecture
    if facts.kind == "model":
        families = [
            each
            for each in Architecture
            if each is not Architecture.MINI and pipeline in pipelines_of(each)
        ]
        if not families:
            what = pipeline or "model of no known pipeline"
            return _refused(held, slug, f"It is a {what}, which the studio does not run.")
        architecture = families[0].value
    elif architecture not in [each.value for each in single_file_architectures()]:
        known = listed([TRAITS[each].label for each in single_file_architectures()], "and")
        return _refused(held, slug, f"Bases of one file are read for {known} only.")
    else:
        pipeline = pipelines_of(Architecture(architecture))[0]
    steps, guidance = _STEPS_GUIDANCE[pipeline]
    side = _SIDE.get(Architecture(architecture), _USUAL_SIDE)
    numbers = {"steps": steps, "guidance_scale": guidance}
    sizes = {"default_width": side, "default_height": side}
    values = _values(held)
    said: dict[str, list[tuple[Any, str]]] = {
        "label": values["label"],
        "notes": values["notes"],
        "base_architecture": [(architecture, _TENSORS)],
        "pipeline": [(pipeline, "its index" if facts.kind == "model" else _TENSORS)],
        "settings": [(numbers | sizes, _CLASS)],
    }
    return _checked(ModelPreset, held, slug, said)


def _checked(
    kind: type[Preset], held: Held, slug: str, said: Mapping[str, list[tuple[Any, str]]]
) -> Entry:
    """The first that somebody said of each field."""
    entry: dict[str, Any] = {field: values[0][0] for field, values in said.items() if values}
    entry |= {"slug": slug, "path": held.path, "label": " ".join(entry["label"].split())[:120]}
    if kind is LoraPreset:
        # Nobody said that it does not work without them, so they are never asked for.
        entry["trigger"] = (
            TriggerRule.OPTIONAL if entry.get("prompt") else TriggerRule.NONE
        ).value
    try:
        preset = checked(kind, entry)
    except PresetsError as error:
        return _refused(held, slug, error.message)
    who = {field: values[0][1] for field, values in said.items() if values}
    others = tuple(
        (field, str(value), other)
        for field, values in said.items()
        for value, other in values[1:]
        if value != values[0][0]
    )
    return Entry(slug, held, preset, who, others=others)
