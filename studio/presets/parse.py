"""Preset text → models and LoRAs, and every problem with its file, line, entry and field."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from studio.contract.base import Contract
from studio.presets.catalog import Catalog
from studio.presets.messages import Sentence, did_you_mean, in_words, sentences
from studio.presets.rules import clip, split_phrases
from studio.presets.schema import LoraPreset, ModelPreset, Preset, TriggerRule
from studio.presets.syntax import Fault, Located, Path
from studio.presets.text import read_json, read_yaml

KINDS: Mapping[str, type[Preset]] = {"models": ModelPreset, "loras": LoraPreset}
"""Top-level key → what its entries are."""

_IGNORED = frozenset({"$schema"})


class PresetProblem(Contract):
    """Something wrong in a preset file. The entry is not loaded; the others are.

    Attributes:
        file: as the reader was given it.
        line: from 1; None when the whole file is meant.
        entry: for example ``loras[2] (pen-ink)``; empty when the whole file is meant.
        field: dotted, for example ``settings.strength``; empty when the entry is meant.
    """

    file: str
    line: int | None
    entry: str
    field: str
    message: str
    way_out: str

    def describe(self) -> str:
        """One line for a log or a terminal."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        entry = f"{self.entry}: " if self.entry else ""
        return f"{place}: {entry}{self.message} {self.way_out}"


@dataclass(frozen=True, slots=True)
class ParsedPresets:
    """What one file holds; its slugs are unique.

    Attributes:
        origin: the file, as it stands in problems.
        paths: slug → where its entry stands in ``located``.
    """

    models: tuple[ModelPreset, ...]
    loras: tuple[LoraPreset, ...]
    problems: tuple[PresetProblem, ...]
    origin: str = ""
    paths: Mapping[str, Path] = field(default_factory=dict)
    located: Located | None = field(default=None, repr=False)

    def line_of(self, slug: str) -> int | None:
        """The line where the entry of ``slug`` starts."""
        return self.located.line(self.paths[slug]) if self.located else None


def read_text(text: str, origin: str) -> Located:
    """``text`` as JSON where ``origin`` ends in ``.json``, else as YAML; never raises."""
    return read_json(text) if origin.lower().endswith(".json") else read_yaml(text)


def parse(text: str, origin: str) -> ParsedPresets:
    """Every sound entry of ``text``, and what is wrong with the others; never raises.

    The guide's own files need no change: a LoRA without ``slug`` gets one from its label, and
    one without ``trigger`` has it required if its prompt holds trigger words, else none.
    """
    return _Reading(origin, read_text(text, origin)).parsed()


class _Reading:
    """One pass over one file."""

    def __init__(self, origin: str, located: Located) -> None:
        self.origin = origin
        self.located = located
        self.found: list[PresetProblem] = []
        self.presets: dict[str, Preset] = {}
        self.paths: dict[str, Path] = {}

    def parsed(self) -> ParsedPresets:
        for fault in self.located.faults:
            self._add_fault(fault)
        for path, value in self._entries():
            self._read_entry(path, value)
        presets = self.presets.values()
        return ParsedPresets(
            models=tuple(preset for preset in presets if isinstance(preset, ModelPreset)),
            loras=tuple(preset for preset in presets if isinstance(preset, LoraPreset)),
            problems=tuple(sorted(self.found, key=lambda problem: problem.line or 0)),
            origin=self.origin,
            paths=self.paths,
            located=self.located,
        )

    def _add(self, path: Path, entry: str, sentence: Sentence, line: int | None = None) -> None:
        # What a file says may hold characters that cannot be printed again.
        texts = (entry, sentence.field, sentence.message, sentence.way_out)
        safe = [text.encode("utf-8", "backslashreplace").decode("utf-8") for text in texts]
        self.found.append(
            PresetProblem(
                file=self.origin,
                line=line if line is not None else self.located.line(path),
                entry=safe[0],
                field=safe[1],
                message=safe[2],
                way_out=safe[3],
            )
        )

    def _add_fault(self, fault: Fault) -> None:
        where = _entry_path(fault.path)
        field = ".".join(str(part) for part in fault.path[2:] if part != "again")
        sentence = Sentence(field, fault.message, fault.way_out)
        self._add(fault.path, self._name(where) if where else "", sentence, fault.line)

    def _entries(self) -> Iterator[tuple[Path, object]]:
        top = self.located.value
        if top is None:
            return
        if not isinstance(top, dict):
            message = f"The file holds {in_words(top)} where models: and loras: are expected."
            self._add((), "", Sentence("", message, "Put the entries below models: or loras:."), 1)
            return
        for key in top:
            if key not in KINDS and key not in _IGNORED:
                message = f"{clip(key)} is not a part of a preset file."
                self._add((key,), "", Sentence(key, message, did_you_mean(key, list(KINDS))))
        for key in KINDS:
            entries = top.get(key)
            if isinstance(entries, list):
                yield from (((key, index), entry) for index, entry in enumerate(entries))
            elif entries is not None:
                message = f"{key} is {in_words(entries)} where a list of entries is expected."
                self._add((key,), "", Sentence(key, message, "Start each entry with a dash."))

    def _name(self, path: Path) -> str:
        entry: object = self.located.value
        for part in path:
            entry = entry[part]  # type: ignore[index]  # the path came from this value
        name = f"{path[0]}[{path[1]}]"
        said = (entry.get("slug") or entry.get("label")) if isinstance(entry, dict) else None
        return f"{name} ({said[:60]})" if isinstance(said, str) else name

    def _read_entry(self, path: Path, value: object) -> None:
        if any(_entry_path(fault.path) == path for fault in self.located.faults):
            return
        if not isinstance(value, dict):
            sentence = Sentence(
                "", f"The entry is {in_words(value)}.", "Write field: value lines."
            )
            self._add(path, self._name(path), sentence)
            return
        kind = KINDS[str(path[0])]
        try:
            preset = kind.model_validate(_completed(value, kind))
        except ValidationError as error:
            for sentence in sentences(error, kind):
                self._add((*path, *sentence.field.split(".")), self._name(path), sentence)
            return
        self._keep(preset, path)

    def _keep(self, preset: Preset, path: Path) -> None:
        if preset.slug in self.paths:
            first = self.located.line(self.paths[preset.slug])
            sentence = _taken(preset, f"in line {first} of the same file")
            self._add((*path, "slug"), self._name(path), sentence)
            return
        self.presets[preset.slug] = preset
        self.paths[preset.slug] = path


def _entry_path(path: Path) -> Path | None:
    """The entry that ``path`` is in, if it is in one."""
    return path[:2] if len(path) >= 2 and path[0] in KINDS and isinstance(path[1], int) else None


def _taken(preset: Preset, where: str) -> Sentence:
    message = f"The slug {preset.slug!r} is taken by the entry {where}, which is the one loaded."
    return Sentence("slug", message, "Give this entry another slug, or delete it.")


def _completed(entry: Mapping[str, object], kind: type[Preset]) -> dict[str, object]:
    """``entry`` without nulls, which say nothing, and with what the guide leaves to be derived."""
    full = {key: _without_nulls(value) for key, value in entry.items() if value is not None}
    if kind is LoraPreset:
        label, prompt = full.get("label"), full.get("prompt", "")
        if "slug" not in full:
            full["slug"] = slug_of(label) if isinstance(label, str) else "unnamed"
        if "trigger" not in full:
            full["trigger"] = trigger_of(prompt if isinstance(prompt, str) else "")
    return full


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if part is not None}
    return value


def trigger_of(prompt: str) -> TriggerRule:
    """What an unsaid trigger rule is."""
    return TriggerRule.REQUIRED if split_phrases(prompt) else TriggerRule.NONE


def slug_of(label: str) -> str:
    """A slug from a label; empty when the label has no Latin letter or digit."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:80].strip("-")


def merge(
    files: Iterable[ParsedPresets], local: ParsedPresets | None = None
) -> tuple[Catalog, tuple[PresetProblem, ...]]:
    """One catalog from several files; a slug belongs to the first file that has it.

    Args:
        local: the studio's own file. Its entries go over all others of the same slug, which
            is no problem and stands in the catalog's ``overrides``.
    """
    owners: dict[str, ParsedPresets] = {}
    models: list[ModelPreset] = []
    loras: list[LoraPreset] = []
    problems: list[PresetProblem] = []
    overrides: dict[str, str] = {}
    for file in (*([local] if local else []), *files):
        problems.extend(file.problems)
        presets: tuple[Preset, ...] = (*file.models, *file.loras)
        for preset in presets:
            owner = owners.setdefault(preset.slug, file)
            if owner is not file and owner is local:
                overrides.setdefault(preset.slug, f"{file.origin}:{file.line_of(preset.slug)}")
            elif owner is not file:
                problems.append(_taken_elsewhere(preset, file, owner))
            elif isinstance(preset, ModelPreset):
                models.append(preset)
            else:
                loras.append(preset)
    own = frozenset(local.paths) if local else frozenset()
    return Catalog(tuple(models), tuple(loras), own, overrides), tuple(problems)


def _taken_elsewhere(preset: Preset, file: ParsedPresets, owner: ParsedPresets) -> PresetProblem:
    sentence = _taken(preset, f"in {owner.origin}:{owner.line_of(preset.slug)}")
    path = file.paths[preset.slug]
    return PresetProblem(
        file=file.origin,
        line=file.line_of(preset.slug),
        entry=f"{path[0]}[{path[1]}] ({preset.slug})",
        field=sentence.field,
        message=sentence.message,
        way_out=sentence.way_out,
    )
