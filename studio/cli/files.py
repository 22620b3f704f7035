"""``studio inspect`` and ``studio verify``: questions to files, answered file by file."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli.console import Console, Ended, ExitCode, as_data, command
from studio.cli.options import Json
from studio.contract.statement import Statement
from studio.errors import NewerRecord, StudioError
from studio.gallery import Gallery
from studio.gallery.comparisons.verification import (
    ComparisonVerification,
    is_comparison,
    verify_comparison,
)
from studio.gallery.findings import Verification
from studio.gallery.publishing import verify_published
from studio.gallery.replays import is_replay, verify_replay
from studio.gallery.row import index_of
from studio.gallery.verification import is_reference, kept_beside, verify_reference
from studio.gallery.verification import verify as verify_file
from studio.library.downloads.remote_header import describe_remote
from studio.library.files import describe_file
from studio.settings import Settings
from studio.signing.keys import trusted_roots
from studio.signing.reading import Signature
from studio.trials.report.verification import CardVerification, card_text, verify_card
from studio.workspace.inspecting import REMOTE

LoraFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Safetensors files; or hf:owner/name/file.safetensors[@revision], a link to a "
        "model's page, or an AIR, of which only the header is fetched.",
    ),
]
PictureFiles = Annotated[list[Path], typer.Argument(metavar="FILE...", help="PNG files.")]


def inspect(files: LoraFiles, as_json: Json = False) -> None:
    """Tell what safetensors files are, from the files themselves; nothing is loaded.

    With --json, one object a line, in the order of the files. Ends with 1 when a file
    cannot be read.
    """
    with command(as_json) as console:
        read = [_inspect(console, file) for file in files]
        if not all(read):
            raise Ended(ExitCode.FAILURE)


def _inspect(console: Console, file: str) -> bool:
    try:
        description = _described(file)
    except StudioError as error:
        if console.as_json:
            console.data({"file": file, "error": as_data(error)})
        console.say(console.paint(file, "strong"))
        console.complain(error.message, error.way_out)
        return False
    if console.as_json:
        console.data(description | {"file": file})
    show_description(console, file, description)
    return True


def _described(file: str) -> dict[str, Any]:
    if file.startswith(REMOTE) and not Path(file).exists():
        return describe_remote(Settings.from_env(os.environ, Path.cwd()), file)
    return describe_file(Path(file))


def show_description(console: Console, file: str, description: dict[str, Any]) -> None:
    """What is known of a file; what it does not have, and its single layers, are left out."""
    console.say(console.paint(file, "strong"))
    rows = [
        (name.replace("_", " "), _in_words(value))
        for name, value in description.items()
        if name not in ("file", "modules") and value not in (None, "", [], {}, ())
    ]
    console.fields(rows)
    console.say()


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        separator = " " if any(str(item).endswith(".") for item in value) else ", "
        return separator.join(_in_words(item) for item in value)
    return str(value)


def verify(paths: PictureFiles, as_json: Json = False) -> None:
    """Check that pictures with their reference images, comparisons with all their cells, and the
    evidence of replays are still what was recorded, and that an epoch card's numbers follow from
    its observations.

    With --json, one object a line, in the order of the files. Ends with 1 when anything
    changed.
    """
    with command(as_json) as console:
        held = [_verify(console, path) for path in paths]
        if not all(held):
            raise Ended(ExitCode.FAILURE)


def _verify(console: Console, path: Path) -> bool:
    """Pictures by their own record, comparisons with every cell of theirs."""
    answer = _verification(path)
    unseen = isinstance(answer, Verification) and answer.unseen
    known = _known_by_pixels(answer)
    if console.as_json:
        more = ({"unseen": True} if unseen else {}) | ({"same_pixels": known} if known else {})
        console.data(_verification_data(path, answer) | more)
    console.say(f"{_verdict(console, answer)}  {path}")
    for line in _lines(answer):
        console.say(f"  {line}")
    for each in known:
        console.say(f"  Its pixels are exactly those of {each}, which has its record.")
    if unseen:
        console.say("  The image is not in a gallery, so its reference images were not checked.")
    return answer.ok


Answer = Verification | ComparisonVerification | CardVerification


def _lines(answer: Answer) -> Iterator[str]:
    """What was found, and what else the file tells."""
    yield from (finding.text for finding in answer.findings)
    if isinstance(answer, CardVerification):
        if answer.ok:
            yield answer.words
        return
    if isinstance(answer, Verification) and answer.told:
        yield f"Published {answer.told}."
    if isinstance(answer, Verification) and answer.statement:
        yield from _facts(answer.statement)
    replayed = answer.replayed if isinstance(answer, Verification) else ""
    if replayed:
        yield replayed
    # A broken one is among the findings already.
    if answer.signature is not None and answer.signature.state != "broken":
        of = " of the picture" if replayed else ""
        yield f"Signature{of}: {answer.signature.words}."


def _known_by_pixels(answer: Answer) -> list[str]:
    """The gallery's pictures with the pixels of a file that carries no record."""
    if not isinstance(answer, Verification) or answer.pixels_sha256 is None:
        return []
    settings = Settings.from_env(os.environ, Path.cwd())
    outputs, index = settings.outputs, settings.index
    if not index_of(outputs, index).is_file():
        return []
    return [
        str(each.path) for each in Gallery(outputs, index=index).with_pixels(answer.pixels_sha256)
    ]


def _verdict(console: Console, answer: Answer) -> str:
    if answer.ok:
        said = []
        if isinstance(answer, Verification):
            said += [f"made by LoRA Studio {answer.other_release}"] if answer.other_release else []
            said += [f"others added {', '.join(answer.additions)}"] if answer.additions else []
        return console.paint("holds", "good") + (f" ({'; '.join(said)})" if said else "")
    newer = all(finding.code == NewerRecord.code for finding in answer.findings)
    return console.paint("newer" if newer else "changed", "bad")


def _verification(path: Path) -> Answer:
    settings = Settings.from_env(os.environ, Path.cwd())
    trust = trusted_roots(settings.trust)
    card = card_text(path)
    if card is not None:
        there = index_of(settings.outputs, settings.index).is_file()
        gallery = Gallery(settings.outputs, index=settings.index) if there else None
        return verify_card(card, gallery)
    if is_comparison(path):
        return verify_comparison(path, trust)
    if is_replay(path):
        return verify_replay(path, trust)
    if is_reference(path):
        return verify_reference(path)
    if published := verify_published(path, trust):
        return published
    return verify_file(path, kept_beside(path), trust)


def _verification_data(path: Path, answer: Answer) -> dict[str, Any]:
    return {
        "file": str(path),
        "ok": answer.ok,
        "judged": answer.judged if isinstance(answer, Verification) else None,
        "additions": list(answer.additions) if isinstance(answer, Verification) else [],
        "written_by": answer.written_by if isinstance(answer, Verification) else None,
        "fingerprint": _fingerprint(answer),
        "findings": [asdict(finding) for finding in answer.findings],
    } | _where_there_is(answer)


def _fingerprint(answer: Answer) -> str | None:
    if isinstance(answer, CardVerification):
        return answer.card.design if answer.card else None
    return answer.record.plan_fingerprint if answer.record else None


def _where_there_is(answer: Answer) -> dict[str, Any]:
    """Of a signed and of a published file, and of a card."""
    more: dict[str, Any] = {}
    if isinstance(answer, CardVerification):
        return {"pictures_found": answer.found}
    if answer.signature is not None:
        more["signature"] = _signature_data(answer.signature)
    if isinstance(answer, Verification) and answer.told:
        more["told"] = answer.told
    if isinstance(answer, Verification) and answer.replayed:
        more["replayed"] = answer.replayed
    if isinstance(answer, Verification) and answer.statement is not None:
        more["statement"] = answer.statement.model_dump(mode="json")
    return more


def _signature_data(signature: Signature) -> dict[str, Any]:
    return {
        "state": signature.state,
        "by": signature.by,
        "certificate": signature.serial,
        "reasons": list(signature.reasons),
    }


def _facts(said: Statement) -> Iterator[str]:
    yield f"Base: {said.base.label}, SHA-256 {said.base.sha256}"
    for lora in said.loras:
        modules = f"{lora.applied} of {lora.targeted} modules"
        at = ":".join(filter(None, (f"{lora.strength:g}", lora.finer)))
        yield f"LoRA: {lora.label} at {at}, {modules}, SHA-256 {lora.sha256}"
