"""The guide's presets.json (or its like) → our YAML, with every change and its reason.

Nothing is dropped and nothing is changed without being listed. What cannot be mended is left
as it was and reported, as it will be when the YAML is read.
"""

import re
from dataclasses import dataclass, field

from studio.architecture import TRAITS, Architecture, architecture_called, architecture_of
from studio.contract.base import Contract, is_slug
from studio.presets.air import Air
from studio.presets.messages import in_words
from studio.presets.parse import KINDS, PresetProblem, parse, read_text, slug_of, trigger_of
from studio.presets.rules import says_flux2
from studio.presets.schema import TriggerRule
from studio.presets.text import write_yaml

_AUTO = frozenset({"AutoPipelineForText2Image", "DiffusionPipeline"})
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_SAYS_NOTHING = ("path", "air", "theme", "sha256", "revision")


class Change(Contract):
    """One thing the import did.

    Attributes:
        entry: for example ``loras[2] (Pen & Ink)``, counted as in the file that was read.
        before, after: in words; ``nothing`` where the field was absent or is gone.
    """

    entry: str
    field: str
    before: str
    after: str
    reason: str

    def describe(self) -> str:
        return f"{self.entry}: {self.field}: {self.before} → {self.after}: {self.reason}"


@dataclass(slots=True)
class EntryRepair:
    """An entry while it is mended: ``entry`` is its own copy, ``changes`` the list so far."""

    part: str
    index: int
    entry: dict[str, object]
    changes: list[Change] = field(default_factory=list)

    def text(self, name: str) -> str:
        """The text in a field, empty when it is absent or something else."""
        value = self.entry.get(name)
        return value if isinstance(value, str) else ""

    def set(self, name: str, value: object, reason: str) -> None:
        """Change a field; None takes it away."""
        before = self.entry.pop(name, None) if value is None else self.entry.get(name)
        if value is not None:
            self.entry[name] = value
        said = self.text("label") or self.text("slug")
        name_of = f"{self.part}[{self.index}]" + (f" ({in_words(said)})" if said else "")
        self.changes.append(
            Change(
                entry=name_of,
                field=name,
                before=in_words(before),
                after=_in_words(value),
                reason=reason,
            )
        )


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {part}" for key, part in value.items())
    return in_words(value)


def mend_model(draft: EntryRepair, taken: set[str]) -> None:
    """Mend a base model; ``taken`` are the slugs in use, and grows."""
    _drop_empty(draft)
    _mend_architecture(draft)
    _mend_flux2(draft)
    _mend_pipeline(draft)
    _add_source(draft)
    _mend_slug(draft, taken)


def mend_lora(draft: EntryRepair, taken: set[str]) -> None:
    """Mend a LoRA; ``taken`` are the slugs in use, and grows."""
    _drop_empty(draft)
    _mend_architecture(draft)
    _follow_air(draft)
    _mend_flux2(draft)
    _mend_slug(draft, taken)
    _say_trigger(draft)


def _drop_empty(draft: EntryRepair) -> None:
    for name, value in list(draft.entry.items()):
        if value is None or (value == "" and name in _SAYS_NOTHING):
            draft.set(name, None, "an empty field says nothing; absent means the same.")


def _mend_architecture(draft: EntryRepair) -> None:
    said = draft.text("base_architecture")
    meant = architecture_called(said)
    if meant is not None and meant.value != said:
        draft.set("base_architecture", meant.value, "this is the studio's word for it.")


def _mend_flux2(draft: EntryRepair) -> None:
    names = [draft.text(name) for name in ("slug", "label", "path", "pipeline")]
    if draft.text("base_architecture") == Architecture.FLUX1 and says_flux2(*names):
        draft.set(
            "base_architecture",
            Architecture.FLUX2.value,
            "FLUX.2 (Klein too) is an architecture of its own: FLUX.1's LoRAs do not fit it.",
        )


def _mend_pipeline(draft: EntryRepair) -> None:
    said, architecture = draft.text("pipeline"), draft.text("base_architecture")
    if architecture not in set(Architecture):
        return
    klein = "klein" in f"{draft.text('label')} {draft.text('path')}".lower()
    if architecture == Architecture.FLUX2:
        wanted = "Flux2KleinPipeline" if klein else "Flux2Pipeline"
        if said in _AUTO or said == "FluxPipeline":
            draft.set("pipeline", wanted, "FluxPipeline and the automatic ones do not run FLUX.2.")
    elif said in _AUTO:
        wanted = TRAITS[Architecture(architecture)].pipeline
        draft.set("pipeline", wanted, "an automatic pipeline would choose; the contract names it.")


def _add_source(draft: EntryRepair) -> None:
    path = draft.text("path")
    is_file = path.endswith((".safetensors", ".ckpt", ".bin", ".pt"))
    if "source" not in draft.entry and not is_file and _REPOSITORY.fullmatch(path):
        draft.set(
            "source",
            {"huggingface": path},
            "the guide's model paths are Hugging Face repositories unless they end in a file "
            "name; path stays and says where the weights are under MODEL_BASE_PATH.",
        )


def _follow_air(draft: EntryRepair) -> None:
    try:
        ecosystem = Air.parse(draft.text("air")).ecosystem
    except ValueError:
        # Absent, or wrong: then it is reported when the YAML is read.
        return
    owner = architecture_of(ecosystem)
    if owner is not None and owner != draft.text("base_architecture"):
        draft.set(
            "base_architecture",
            owner.value,
            f"its AIR says {ecosystem!r}, and the AIR names what was trained.",
        )


def _mend_slug(draft: EntryRepair, taken: set[str]) -> None:
    said = draft.text("slug")
    stem = slug_of(said) if said else slug_of(draft.text("label"))
    if not stem or ("slug" in draft.entry and is_slug(said)):
        return
    slug, number = stem, 2
    while slug in taken:
        slug, number = f"{stem[:75]}-{number}", number + 1
    taken.add(slug)
    why = "a slug is lower-case words" if said else "every preset needs a slug; from its label"
    draft.set("slug", slug, why + (", made unique." if slug != stem else "."))


def _say_trigger(draft: EntryRepair) -> None:
    if "trigger" in draft.entry:
        return
    rule = trigger_of(draft.text("prompt"))
    reason = "prompt holds no trigger words."
    if rule is TriggerRule.REQUIRED:
        reason = (
            "prompt holds trigger words. A base prompt may then not contain them: if they are "
            "everyday words, make it optional."
        )
    draft.set("trigger", rule.value, reason)


_HEADER = """\
# Written by `studio presets import` from {origin}. What was changed, and why:
{changes}

"""


class Conversion(Contract):
    """What came of it.

    Attributes:
        text: YAML; empty when the file holds nothing that can be read.
        problems: what is still wrong in ``text`` (in what was read, when ``text`` is empty);
            these entries will not load.
    """

    text: str
    changes: tuple[Change, ...]
    problems: tuple[PresetProblem, ...]


def convert(text: str, origin: str, target: str) -> Conversion:
    """Our YAML for the presets in ``text``; never raises.

    Args:
        origin: the file's name; ``.json`` makes it JSON, else it is YAML.
        target: the name the YAML will have, for the lines of problems.
    """
    located = read_text(text, origin)
    if not isinstance(located.value, dict) or located.faults:
        # A repeated key or an alias: which value is meant is not ours to choose.
        return Conversion(text="", changes=(), problems=parse(text, origin).problems)
    whole = dict(located.value)
    drafts = _drafts(whole)
    taken = {slug for draft in drafts if isinstance(slug := draft.entry.get("slug"), str)}
    for draft in drafts:
        mend = mend_model if draft.part == "models" else mend_lora
        mend(draft, taken)
        whole[draft.part][draft.index] = _in_order(draft)
    changes = tuple(change for draft in drafts for change in draft.changes)
    written = _header(origin, changes) + write_yaml(whole)
    return Conversion(text=written, changes=changes, problems=parse(written, target).problems)


def _drafts(whole: dict[str, list[object]]) -> list[EntryRepair]:
    """A draft of every entry; ``whole`` gets lists of its own to put them back."""
    drafts: list[EntryRepair] = []
    for part in KINDS:
        entries = whole.get(part)
        if isinstance(entries, list):
            whole[part] = list(entries)
            drafts.extend(
                EntryRepair(part, index, dict(entry))
                for index, entry in enumerate(entries)
                if isinstance(entry, dict)
            )
    return drafts


def _in_order(draft: EntryRepair) -> dict[str, object]:
    """The entry with its fields in the schema's order, those it does not know at the end."""
    names = [name for name in KINDS[draft.part].model_fields if name in draft.entry]
    return {name: draft.entry[name] for name in names} | draft.entry


def _header(origin: str, changes: tuple[Change, ...]) -> str:
    lines = [f"# - {_one_line(change.describe())}" for change in changes]
    return _HEADER.format(origin=_one_line(origin), changes="\n".join(lines) or "# (nothing)")


def _one_line(text: str) -> str:
    """``text`` as it may stand in a YAML comment."""
    return "".join(char if char.isprintable() else " " for char in text)
