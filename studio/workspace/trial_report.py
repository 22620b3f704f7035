"""What a trial says, written beside it: the sheet, and the card of what was taken."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from studio import __version__
from studio.comparison.axes import AS_CHOSEN
from studio.contract.request import same_finer
from studio.errors import PresetsError, TrialError
from studio.library.files import hash_file
from studio.presets import LoraPreset, TriggerRule
from studio.presets.parse import slug_of
from studio.presets.suggest import free
from studio.storage import atomic
from studio.trials.design import BASE_ARM, CellRole, TrialCheckpoint, TrialDesign
from studio.trials.findings import findings
from studio.trials.observations import TrialArm
from studio.trials.proof import broken, controls_done
from studio.trials.report.card import (
    SUFFIX,
    CardFile,
    CardPicture,
    CardPrompt,
    EpochCard,
    write,
)
from studio.trials.report.markdown import markdown
from studio.trials.report.page import card_page, pictures_of_card, pictures_of_sheet, sheet
from studio.trials.store import CellResult, StoredTrial
from studio.trials.tournament import Duel
from studio.trials.words import strength_name
from studio.workspace.trial_design import measures_of
from studio.workspace.workspace import Workspace

SHEET = "sheet.html"
NO_CONTROLS = "The controls (strength 0, the base once more) were not made yet."


def card_of(
    workspace: Workspace, stored: StoredTrial, chosen: TrialArm | None = None
) -> EpochCard:
    """The trial as it stands.

    Raises:
        TrialError: nothing was measured yet, or it cannot be read.
    """
    design, results = stored.design(), stored.results()
    seen = stored.observations()
    rule = design.rule
    if not seen:
        raise TrialError(
            f"Nothing was measured in the trial {design.name} yet.",
            f"Go on with `studio trial resume {design.name}`.",
        )
    made = [each for each in results.values() if each.pixels is not None]
    known = {each.measure for each in seen}
    measures = [each.facts for each in measures_of(workspace, design)]
    invalid = [reason.text for reason in broken(results)]
    if not controls_done(results):
        invalid.append(NO_CONTROLS)
    return EpochCard(
        trial=design.name,
        design=design.fingerprint,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        release=__version__,
        device=", ".join(dict.fromkeys(each.device for each in made)),
        base=design.base,
        run=design.run,
        trigger=design.trigger,
        rule=rule,
        chosen=chosen,
        files=tuple(_file(each) for each in design.checkpoints),
        prompts=tuple(
            CardPrompt(name=each.name, kind=each.kind, text=each.text) for each in design.prompts
        ),
        measures=tuple(each for each in measures if each.name in known),
        findings=findings(seen, rule.goals[0], rule.resampling, rule.confidence),
        observations=tuple(seen),
        pictures=tuple(_pictures(made)),
        invalid=tuple(invalid),
        failed=sum(each.problem is not None for each in results.values()),
    )


def _file(checkpoint: TrialCheckpoint) -> CardFile:
    return CardFile(
        checkpoint=checkpoint.name,
        step=checkpoint.step,
        file=checkpoint.file,
        sha256=checkpoint.sha256,
    )


def _pictures(made: Iterable[CellResult]) -> Iterable[CardPicture]:
    for each in made:
        if each.cell.role in (CellRole.BASE, CellRole.ARM) and each.record and each.pixels:
            of_base = each.cell.role is CellRole.BASE
            yield CardPicture(
                arm=None if of_base else each.cell.arm,
                prompt=each.cell.prompt,
                kind=each.cell.kind,
                seed=each.cell.seed,
                pixels=each.pixels,
                record=each.record,
            )


def write_sheet(workspace: Workspace, stored: StoredTrial) -> tuple[Path, EpochCard]:
    """The trial's sheet beside it, self-contained HTML.

    Raises:
        TrialError: as ``card_of``.
        GalleryError: the disk does not take it.
    """
    card = card_of(workspace, stored)
    shown = _thumbnails(workspace, pictures_of_sheet(card))
    path = stored.folder / SHEET
    _write(path, sheet(card, shown, stored.duels()))
    return path, card


def write_card(
    workspace: Workspace, card: EpochCard, folder: Path, duels: Sequence[Duel] = ()
) -> tuple[Path, ...]:
    """The card as JSON, Markdown and HTML, to lie beside the file that was taken.

    Args:
        duels: what people chose in the trial, for the two that are read.

    Raises:
        GalleryError: the disk does not take it.
    """
    taken = card.file
    stem = card.trial if taken is None else Path(taken.file).stem
    shown = _thumbnails(workspace, pictures_of_card(card))
    texts = {
        SUFFIX: write(card),
        ".card.md": markdown(card, duels),
        ".card.html": card_page(card, shown, duels),
    }
    paths = tuple(folder / f"{stem}{suffix}" for suffix in texts)
    for path, text in zip(paths, texts.values(), strict=True):
        _write(path, text)
    return paths


def _write(path: Path, text: str) -> None:
    with atomic.storing(path.parent):
        atomic.overwrite(path, text.encode("utf-8"))


def _thumbnails(workspace: Workspace, pictures: Iterable[CardPicture]) -> Mapping[str, bytes]:
    """Those that are still there."""
    gallery, found = workspace.gallery, {}
    for sha256 in dict.fromkeys(each.pixels for each in pictures):
        there = gallery.with_pixels(sha256)
        if there:
            found[sha256] = gallery.thumbnail(there[0]).read_bytes()
    return found


def arm_named(
    design: TrialDesign,
    card: EpochCard,
    name: str,
    strength: float | None,
    finer: str | None = None,
) -> TrialArm:
    """The arm that somebody takes: the best so far where nothing is said.

    Raises:
        TrialError: the trial has none of this name or strength, or no best one.
    """
    try:
        finer = finer and ("" if finer == AS_CHOSEN else same_finer(finer))
    except ValueError as error:
        raise TrialError(str(error), "Write it as the trial's report does.") from error
    leader = card.findings.leader
    arms = dict.fromkeys(each.arm for each in card.observations)
    known = [arm for arm in arms if arm != BASE_ARM]
    if not name and strength is None and finer is None and leader is not None:
        return leader.arm
    for arm in sorted(known, key=lambda arm: arm != (leader.arm if leader else None)):
        if (
            (not name or arm.checkpoint == name)
            and strength in (None, arm.strength)
            and finer in (None, arm.finer)
        ):
            return arm
    names = ", ".join(
        f"{arm.checkpoint} at {strength_name(arm.strength, arm.finer)}" for arm in known
    )
    raise TrialError(
        f"The trial {design.name} measured nothing of that.", f"It measured: {names}."
    )


def preset_of(workspace: Workspace, stored: StoredTrial, arm: TrialArm) -> tuple[LoraPreset, Path]:
    """Make a preset of a checkpoint at its strength; a file from elsewhere is copied into the
    library. Returns the preset and where its file lies.

    Raises:
        TrialError: the file is not the one that was tried any more.
        PresetsError, GalleryError, WeightsError: it cannot be kept.
    """
    design = stored.design()
    checkpoint = design.checkpoint(arm.checkpoint)
    path = _in_library(workspace, checkpoint)
    rule = TriggerRule.REQUIRED if design.trigger else TriggerRule.NONE
    at = strength_name(arm.strength, arm.finer)
    taken = f"Taken from the trial {design.name} ({design.fingerprint}): "
    changes = {
        "slug": _slug(workspace, design, arm, taken),
        "prompt": design.trigger,
        "trigger": rule.value,
        "settings": _settings(workspace, checkpoint, arm),
        "notes": f"{taken}checkpoint {arm.checkpoint} at strength {at}.",
    }
    suggestion = workspace.stock.suggest_file(path, changes)
    if not isinstance(suggestion.preset, LoraPreset):
        raise PresetsError(f"{path.name} is no LoRA.", "Take another file.")
    workspace.stock.put(suggestion.preset)
    return suggestion.preset, path


def _slug(workspace: Workspace, design: TrialDesign, arm: TrialArm, taken: str) -> str:
    """That of the preset which was taken of this checkpoint before, which is replaced; else a
    free one."""
    sha256, catalog = design.checkpoint(arm.checkpoint).sha256, workspace.catalog
    for slug in catalog.local & catalog.loras.keys():
        if catalog.loras[slug].sha256 == sha256 and catalog.loras[slug].notes.startswith(taken):
            return slug
    wanted = slug_of(f"{design.run} {arm.checkpoint}") or "lora"
    return free(wanted, {*catalog.models, *catalog.loras})


def _settings(
    workspace: Workspace, checkpoint: TrialCheckpoint, arm: TrialArm
) -> dict[str, object]:
    """What gives the arm's pictures again: its strength with what was said besides, over what
    the file's preset says of parts and steps, as the trial had it."""
    slug = workspace.stock.catalogue.slug_of_file(Path(checkpoint.path))
    own, said = workspace.catalog.loras[slug].settings, arm.choice(slug)
    steps = {
        "first_step": said.first_step or own.first_step,
        "last_step": said.last_step or own.last_step,
    }
    parts = {**own.parts, **{each.part: each.strength for each in said.parts}}
    return {
        "strength": arm.strength,
        **{name: step for name, step in steps.items() if step is not None},
        **({"parts": parts} if parts else {}),
    }


def _in_library(workspace: Workspace, checkpoint: TrialCheckpoint) -> Path:
    path = Path(checkpoint.path)
    if not path.is_file() or hash_file(path).sha256 != checkpoint.sha256:
        raise TrialError(f"{path} is not the file that was tried any more.", "Put that one back.")
    folders = [folder.resolve() for folder in workspace.settings.library_folders]
    if any(path.resolve().is_relative_to(folder) for folder in folders):
        return path
    target = workspace.settings.model_base_path / "loras" / path.name
    if target.exists():
        if hash_file(target).sha256 == checkpoint.sha256:
            return target
        raise TrialError(
            f"There is another file at {target}.", "Rename it, or the one that was tried."
        )
    part = target.with_name(f".{target.name}.{os.getpid()}{atomic.PART}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part)
        part.replace(target)
    except OSError as error:
        raise atomic.storage_error(error, target.parent) from error
    finally:
        part.unlink(missing_ok=True)
    return target
