"""A card against the gallery that its pictures lie in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.settings import Settings
from studio.trials.report.card import CardPicture, EpochCard, write
from studio.trials.report.verification import verify_card
from studio.workspace.trial_report import card_of
from studio.workspace.workspace import Workspace
from tests.support.simulated_engine import SimulatedBackend
from tests.workspace.test_trying import begun, carried_out, run_folder, wanted

__all__ = ["run_folder"]


@pytest.fixture(scope="module")
def carded(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path
) -> Iterator[tuple[Workspace, EpochCard]]:
    folder = tmp_path_factory.mktemp("carded")
    (folder / "models").mkdir()
    settings = Settings(
        model_base_path=folder / "models",
        outputs=folder / "outputs",
        state=folder / "state",
        preset_dirs=(),
        local_presets=folder / "local.yaml",
        device="cpu",
    )
    workspace = Workspace.open(settings, SimulatedBackend())
    stored = begun(workspace, wanted(run_folder, seeds=1))
    carried_out(workspace, stored)
    yield workspace, card_of(workspace, stored)
    workspace.close()


def test_another_files_pictures_under_a_name_are_found_out(
    carded: tuple[Workspace, EpochCard],
) -> None:
    workspace, card = carded
    assert verify_card(write(card), workspace.gallery).ok
    hashes = {each.checkpoint: each.sha256 for each in card.files}
    swapped = {**hashes, "200": hashes["400"], "400": hashes["200"]}
    files = tuple(
        each.model_copy(update={"sha256": swapped[each.checkpoint]}) for each in card.files
    )
    forged = verify_card(write(card.model_copy(update={"files": files})), workspace.gallery)
    assert {each.code for each in forged.findings} == {"picture"}
    assert len(forged.findings) == sum(each.arm is not None for each in card.pictures)


def test_another_seed_than_a_pictures_own_is_found_out(
    carded: tuple[Workspace, EpochCard],
) -> None:
    workspace, card = carded
    first: CardPicture = card.pictures[0]
    pictures = (first.model_copy(update={"seed": first.seed + 1}), *card.pictures[1:])
    forged = verify_card(write(card.model_copy(update={"pictures": pictures})), workspace.gallery)
    (finding,) = forged.findings
    assert finding.code == "picture"
    # Without its gallery the card still says what its observations do.
    assert verify_card(write(card), None).found == 0
