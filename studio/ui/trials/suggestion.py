"""The design that a training run's files suggest for a new trial."""

from collections.abc import Sequence
from pathlib import Path

from studio.errors import TrialError
from studio.presets import ModelPreset
from studio.trials.training_run import TrainingRun
from studio.trials.trial_text import TrialText
from studio.ui.studio.live import Updates
from studio.ui.trials import form
from studio.ui.trials.form import NewTrial
from studio.workspace.workspace import Workspace


def suggested(
    workspace: Workspace, run: TrainingRun, asked: NewTrial
) -> tuple[Updates, Sequence[ModelPreset]]:
    """The fields, as ``trial.txt`` beside the files says, else the last file's preset; and
    the bases that fit, the likeliest first.

    Raises:
        StudioError: ``trial.txt`` cannot be read, or the last file is no LoRA.
    """
    paths = [str(each.path) for each in run.checkpoints]
    said = TrialText.beside([Path(each) for each in paths])
    # First the slug: a file from elsewhere is in the catalogue from then on.
    slug = workspace.stock.catalogue.slug_of_file(Path(paths[-1]))
    preset = workspace.catalog.loras.get(slug)
    if preset is None:
        raise TrialError(f"{Path(paths[-1]).name} is no LoRA.", "Choose another run.")
    family, present = preset.base_architecture, workspace.present()
    models = workspace.catalog.models.values()
    bases = [each for each in models if each.base_architecture is family]
    bases.sort(key=lambda each: (each.slug != said.base, not present[each.slug]))
    trigger = preset.prompt if said.trigger is None else said.trigger
    prompts = len(said.subject) * (2 if trigger else 1) + len(said.far)
    filled: Updates = {
        asked.paths: paths,
        asked.base: bases[0].slug if bases else None,
        asked.trigger: trigger,
        asked.prompts: form.lines(said.subject),
        asked.far: form.lines(said.far),
        asked.strengths: "1",
        asked.finer: "",
        asked.images: form.budget(len(paths), prompts),
        asked.minutes: None,
        asked.seeds: 12,
        asked.fixed: False,
        asked.by: "",
        asked.negative: said.negative,
        asked.steps: None,
        asked.holdout: "",
        asked.training: "",
        asked.name: "",
    }
    return filled, bases
