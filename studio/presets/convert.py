"""The guide's presets.json (or its like) → our YAML, with every change and its reason.

Nothing is dropped and nothing is changed without being listed. What cannot be mended is left
as it was and reported, as it will be when the YAML is read.
"""

from studio.contract.base import Contract
from studio.presets.parse import KINDS, PresetProblem, parse, read_text
from studio.presets.repair import Change, EntryRepair, mend_lora, mend_model
from studio.presets.yaml_text import write_yaml

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
