"""The base that a training run's files would be merged into, for what rounding would take."""

from pathlib import Path
from typing import TYPE_CHECKING

from studio.architecture import TRAITS
from studio.errors import StudioError
from studio.trials.training_run import TrainingRun
from studio.trials.trial_text import TrialText
from studio.workspace.workspace import Workspace

if TYPE_CHECKING:
    from studio.trials.rounding import BaseRows

_NOT_TOLD = "How much of the update a merge in bfloat16 would round away is not told"


def base_rows(workspace: Workspace, run: TrainingRun, base: str = "") -> "BaseRows | str":
    """Some rows of the base; where none is told of, why, in words.

    Args:
        base: slug of its preset; empty is that of ``trial.txt``, else the only one on the disk
            that the files are for.
    """
    from studio.trials.rounding import BaseRows  # torch

    paths = [Path(each.path) for each in run.checkpoints]
    try:
        # First the slug: a file from elsewhere is in the catalogue from then on.
        own = workspace.stock.catalogue.slug_of_file(paths[-1])
        preset = workspace.catalog.loras[own]
        family, present = preset.base_architecture, workspace.present()
        there = [each.slug for each in workspace.catalog.models.values()
                 if each.base_architecture is family and present[each.slug]]  # fmt: skip
        wanted = base or TrialText.beside(paths).base
        slug = wanted or (there[0] if len(there) == 1 else "")
        if not slug and there:
            return f"{_NOT_TOLD}: name one of the bases, {', '.join(there)}."
        if slug not in there:
            which = f"the base {slug}" if slug else f"no base for {TRAITS[family].label}"
            return f"{_NOT_TOLD}: {which} is{' not' if slug else ''} on this disk."
        label = workspace.catalog.models[slug].label
        return BaseRows(label, family, workspace.base_tensors(slug))
    except StudioError as error:
        return f"{_NOT_TOLD}: {error}"
