"""Comparisons on a tiny base, from request to verdict, with real files."""

import errno
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio.architecture import Mode
from studio.comparison.axes import (
    Axis,
    AxisName,
    ComparisonPlan,
    ComparisonRequest,
    Question,
    Role,
    base_against_lora,
    four_arms,
    lora_against_lora,
    strengths,
)
from studio.comparison.effects import paired_effects
from studio.comparison.events import (
    CellDone,
    CellFailed,
    CellWorking,
    Compared,
    ComparisonEvent,
    NothingCompared,
)
from studio.comparison.facts import effective
from studio.comparison.numbers import Measures, cosine
from studio.comparison.record import CellState, ComparisonRecord
from studio.comparison.validity import Validity, Verdict
from studio.comparison.votes import BlindVote, prepare
from studio.contract.events import Finished
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice
from studio.engine.lora.slot import slots_of
from studio.engine.lora.switch import set_loras
from studio.engine.run import run as engine_run
from studio.engine.run.clip_scores import ClipModel
from studio.errors import GalleryError, WeightsError
from studio.gallery import StoredComparison, record_png
from studio.gallery.comparisons.files import sheet_of, votes_of
from studio.gallery.comparisons.verification import verify_comparison
from studio.imaging import difference
from studio.settings import Settings
from studio.storage import atomic
from studio.ui.gallery.asked import GalleryInput
from studio.ui.gallery.events import GalleryEvents
from studio.workspace.comparing import Comparing
from studio.workspace.workspace import Workspace
from tests.support.tiny import save_base
from tests.support.tiny_clip import save_tiny_clip
from tests.ui.test_gallery_events import Parts
from tests.workspace.test_workspace import PRESETS

SECOND = """
models:
  - {slug: second, label: Second, path: second, pipeline: StableDiffusionPipeline,
     base_architecture: mini, settings: {dtype: float32}}
"""


@pytest.fixture
def workspace(tmp_path: Path, tiny_base: Path, tiny_loras: dict[str, Path]) -> Iterator[Workspace]:
    models, presets = tmp_path / "models", tmp_path / "presets"
    shutil.copytree(tiny_base, models / "base")
    for name in ("plain", "text"):
        shutil.copy(tiny_loras[name], models / f"{name}.safetensors")
    presets.mkdir()
    (presets / "tiny.yaml").write_text(PRESETS)
    settings = Settings(
        model_base_path=models,
        outputs=tmp_path / "outputs",
        state=tmp_path / "state",
        preset_dirs=(presets,),
        device="cpu",
    )
    opened = Workspace.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def comparing(workspace: Workspace) -> Comparing:
    return Comparing(workspace)


def request(slug: str = "plain", **changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "base": "tiny",
        "mode": Mode.LORA,
        "prompt": "a rocket",
        "seed": 7,
        "loras": (LoraChoice(slug=slug),),
    }
    return GenerationRequest(**(values | changes))


def planned(comparing: Comparing, wanted: ComparisonRequest) -> ComparisonPlan:
    plan = comparing.plan(wanted)
    assert isinstance(plan, ComparisonPlan), [item.describe() for item in plan]
    return plan


def run(
    comparing: Comparing, workspace: Workspace, wanted: ComparisonRequest, fresh: bool = False
) -> tuple[list[ComparisonEvent], ComparisonRecord]:
    plan, session = planned(comparing, wanted), workspace.open_session()
    events = list(comparing.run(plan, session, threading.Event(), fresh))
    last = events[-1]
    assert isinstance(last, Compared), last
    return events, last.record


def reused(events: list[ComparisonEvent]) -> list[bool]:
    return [event.reused for event in events if isinstance(event, CellDone)]


def test_four_arms_from_one_noise(comparing: Comparing, workspace: Workspace) -> None:
    events, record = run(comparing, workspace, four_arms(request()))
    assert record.validity.verdict is Verdict.VALID
    assert len({cell.noise_sha256 for cell in record.cells}) == 1
    by_role = {cell.place.role: cell.pixels_sha256 for cell in record.cells}
    base, *others = (cell for cell in record.cells if cell.place.role is Role.ARM)
    assert by_role[Role.SCALE_ZERO] == by_role[Role.BASE_AGAIN] == base.pixels_sha256
    assert len({cell.pixels_sha256 for cell in (base, *others)}) == 4
    assert record.summary == "The LoRA and the trigger words differ."
    refuse_blind_tests(record)
    done = [event.cell for event in events if isinstance(event, CellDone)]
    assert sorted(done) == list(range(6))
    assert len(record.numbers) == 6, "each arm against each"
    assert all(numbers.measures is not None for numbers in record.numbers)
    working = [event for event in events if isinstance(event, CellWorking)]
    assert [event.done for event in working] == sorted(event.done for event in working)
    stored = events[-1]
    assert isinstance(stored, Compared)
    assert verify_comparison(stored.path).findings == ()
    assert workspace.gallery.comparisons.read(stored.path) == record


@pytest.fixture
def two_bases(workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """The workspace with another base, of the same kind and other weights."""
    workspace.close()
    save_base(tmp_path / "models" / "second", seed=1)
    (tmp_path / "presets" / "second.yaml").write_text(SECOND)
    opened = Workspace.open(workspace.settings)
    yield opened
    opened.close()


def test_two_bases_cross_two_modes(two_bases: Workspace) -> None:
    rows = Axis(name=AxisName.BASE, values=("tiny", "second"))
    columns = Axis(name=AxisName.MODE, values=("base", "lora"))
    wanted = ComparisonRequest(kind=Question.GRID, request=request(), rows=rows, columns=columns)
    events, record = run(Comparing(two_bases), two_bases, wanted)
    assert record.validity.verdict is Verdict.VALID
    assert record.uninvited == ()
    assert record.rows == ("Tiny", "Second")
    arms = [cell for cell in record.cells if cell.place.role is Role.ARM]
    again = [cell for cell in record.cells if cell.place.role is Role.BASE_AGAIN]
    assert len({cell.pixels_sha256 for cell in arms}) == 4
    alone = [cell.pixels_sha256 for cell in arms if cell.mode is Mode.BASE]
    assert [cell.pixels_sha256 for cell in again] == alone
    made = [event.record for event in events if isinstance(event, CellDone)]
    assert len({each.receipt.base_sha256 for each in made}) == 2
    stored = events[-1]
    assert isinstance(stored, Compared)
    assert verify_comparison(stored.path).ok


def test_two_loras_on_one_base(comparing: Comparing, workspace: Workspace) -> None:
    _, record = run(comparing, workspace, lora_against_lora(request(), "text"))
    assert record.validity.verdict is Verdict.VALID
    assert record.columns == ("Plain", "Text")
    assert len({cell.pixels_sha256 for cell in record.cells}) == 2
    assert len({cell.noise_sha256 for cell in record.cells}) == 1


def test_effects_are_paired_seed_by_seed(comparing: Comparing, workspace: Workspace) -> None:
    _, record = run(comparing, workspace, base_against_lora(request(count=3)))
    (effect,) = paired_effects(record)
    pairs = [(each.left, each.right) for each in record.numbers]
    assert len(pairs) == len(effect.difference) == 3
    for (left, right), value in zip(pairs, effect.difference, strict=True):
        assert record.cells[left].seed == record.cells[right].seed
        assert value == measured(workspace, record, left, right).mean_absolute_difference
    spread = effect.summary().mean_absolute_difference
    assert spread is not None
    assert spread.median == sorted(effect.difference)[1]
    assert effect.clip == ()
    assert record.clip is None
    assert '"clip":' not in record.model_dump_json()


def measured(workspace: Workspace, record: ComparisonRecord, left: int, right: int) -> Measures:
    """Two cells, from their files."""
    outputs = workspace.gallery.outputs
    images = [Image.open(outputs / str(record.cells[index].picture)) for index in (left, right)]
    found = difference.measure(*images)
    assert found is not None
    return found


def test_a_clip_model_of_the_users_own_scores_the_cells(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = save_tiny_clip(tmp_path / "own-clip")
    workspace.settings = replace(workspace.settings, clip_model=folder)
    events, record = run(Comparing(workspace), workspace, base_against_lora(request(count=2)))
    assert record.clip is not None
    assert record.clip.name == "own-clip"
    outputs = workspace.gallery.outputs
    images = [Image.open(outputs / str(cell.picture)).convert("RGB") for cell in record.cells]
    read = ClipModel(folder).read(images, ["a rocket"])
    (words,) = read.texts
    assert words is not None
    for cell, vector in zip(record.cells, read.images, strict=True):
        assert cell.clip == pytest.approx(cosine(vector, words))
    for each in record.numbers:
        assert each.clip == pytest.approx(cosine(read.images[each.left], read.images[each.right]))
    (effect,) = paired_effects(record)
    assert len(effect.clip) == 2
    stored = events[-1]
    assert isinstance(stored, Compared)
    assert verify_comparison(stored.path).ok


def test_a_clip_model_that_is_none_stops_before_the_first_cell(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.settings = replace(workspace.settings, clip_model=tmp_path)
    with pytest.raises(WeightsError, match=r"The CLIP model has no config\.json"):
        run(Comparing(workspace), workspace, base_against_lora(request()))
    assert workspace.gallery.count() == 0


def refuse_blind_tests(record: ComparisonRecord) -> None:
    """None begins on an invalid comparison, or without a pair."""
    arms = ((0, 0), (0, 1))
    assert len(prepare("name", "test", record, arms, list, lambda: False).pairs) == 1
    bare = tuple(cell.model_copy(update={"picture": None}) for cell in record.cells)
    with pytest.raises(ValueError, match="No seed has"):
        prepare(
            *("name", "test", record.model_copy(update={"cells": bare})), arms, list, lambda: False
        )
    broken = record.model_copy(update={"validity": Validity(verdict=Verdict.INVALID)})
    with pytest.raises(ValueError, match="is invalid"):
        prepare("name", "test", broken, arms, list, lambda: False)


def test_a_second_run_finds_every_cell_but_the_base_again(
    comparing: Comparing, workspace: Workspace
) -> None:
    wanted = base_against_lora(request())
    first, record = run(comparing, workspace, wanted)
    assert reused(first) == [False] * 3
    assert comparing.forecast(planned(comparing, wanted)).found == 2
    again, second = run(comparing, workspace, wanted)
    assert reused(again) == [True, True, False]
    assert [cell.reused for cell in second.cells] == [True, True, False]
    assert [cell.pixels_sha256 for cell in second.cells] == [
        cell.pixels_sha256 for cell in record.cells
    ]
    fresh, _ = run(comparing, workspace, wanted, fresh=True)
    assert reused(fresh) == [False] * 3


def test_a_picture_that_was_changed_is_not_reused(
    comparing: Comparing, workspace: Workspace
) -> None:
    wanted = base_against_lora(request())
    events, _ = run(comparing, workspace, wanted)
    (path,) = (e.path for e in events if isinstance(e, CellDone) and e.cell == 1)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    again, _ = run(comparing, workspace, wanted)
    assert sorted(reused(again)) == [False, False, True]


def test_cancel_keeps_what_is_done_and_the_next_run_goes_on(
    comparing: Comparing, workspace: Workspace
) -> None:
    wanted = four_arms(request())
    cancel, session = threading.Event(), workspace.open_session()
    events = []
    for event in comparing.run(planned(comparing, wanted), session, cancel):
        events.append(event)
        if len(reused(events)) == 2:
            cancel.set()
    last = events[-1]
    assert isinstance(last, Compared)
    assert last.cancelled
    assert last.record.validity.verdict is Verdict.INCOMPLETE
    states = [cell.state for cell in last.record.cells]
    assert states.count(CellState.DONE) == 2
    again, record = run(comparing, workspace, wanted)
    assert sorted(reused(again)) == [False] * 4 + [True] * 2
    assert record.validity.verdict is Verdict.VALID
    assert not last.path.exists(), "the unfinished one gives way"
    (only,) = comparisons(workspace)
    assert only.verdict is Verdict.VALID
    assert not any(cell.reused for cell in record.cells), "they were made for this comparison"
    assert workspace.gallery.comparisons.items() == [only], "no cell lies loose beside it"
    workspace.gallery.reindex()
    assert workspace.gallery.comparisons.count() == 1


def test_pictures_of_another_device_are_made_anew(
    comparing: Comparing, workspace: Workspace
) -> None:
    """As outputs hold them that were copied from a machine with a GPU."""
    wanted = base_against_lora(request())
    events, _ = run(comparing, workspace, wanted)
    for event in events:
        if isinstance(event, CellDone):
            receipt = event.record.receipt.model_copy(update={"device": "cuda:0"})
            record = event.record.model_copy(update={"receipt": receipt})
            image = record_png.decode(event.path.read_bytes())
            event.path.write_bytes(record_png.encode(image, record))
            assert workspace.verify(event.path).ok
    workspace.gallery.reindex()
    assert comparing.forecast(planned(comparing, wanted)).found == 0
    again, compared = run(comparing, workspace, wanted)
    assert reused(again) == [False] * 3
    assert compared.validity.verdict is Verdict.VALID
    assert compared.device == "cpu"


def test_a_damaged_picture_stands_in_the_way_of_no_forecast(
    comparing: Comparing, workspace: Workspace
) -> None:
    wanted = base_against_lora(request())
    events, _ = run(comparing, workspace, wanted)
    damaged = next(e.path for e in events if isinstance(e, CellDone) and e.cell == 1)
    data = damaged.read_bytes()
    damaged.write_bytes(data.replace(b"lora-studio", b"lora_studio"))
    forecast = comparing.forecast(planned(comparing, wanted))
    assert forecast.found == 1
    assert forecast.seconds is not None
    damaged.write_bytes(data)
    assert comparing.forecast(planned(comparing, wanted)).found == 2


def unfinished(comparing: Comparing, workspace: Workspace, cells: int) -> Compared:
    """Four arms that were cancelled after so many cells."""
    cancel, session = threading.Event(), workspace.open_session()
    done, last = 0, None
    plan = planned(comparing, four_arms(request()))
    for last in comparing.run(plan, session, cancel, fresh=True):
        done += isinstance(last, CellDone)
        if done == cells:
            cancel.set()
    assert isinstance(last, Compared)
    return last


def test_an_unfinished_comparison_stays_for_its_cells_and_its_votes(
    comparing: Comparing, workspace: Workspace
) -> None:
    more, less = unfinished(comparing, workspace, 2), unfinished(comparing, workspace, 1)
    assert more.path.exists(), "it has a cell that the later one lacks"
    assert less.path.exists(), "a comparison does not give way to itself"
    judged = BlindVote(
        comparison=more.record.fingerprint,
        left="a" * 64,
        right="b" * 64,
        choice="left",
        swapped=False,
        at="",
    )
    workspace.gallery.comparisons.vote(more.path, judged)
    with votes_of(more.path).open("a") as stream:
        stream.write('{"at": "cut o')
    assert workspace.gallery.comparisons.votes(more.path) == (judged,)
    workspace.gallery.comparisons.vote(more.path, judged)
    assert workspace.gallery.comparisons.votes(more.path) == (judged, judged)
    run(comparing, workspace, four_arms(request()))
    assert more.path.exists()
    assert not less.path.exists()
    assert not sheet_of(less.path).exists()


def test_a_sheet_is_kept_before_its_record_and_lost_ones_spoil_no_page(
    comparing: Comparing, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(target: Path, data: bytes) -> None:
        assert sheet_of(target).is_file()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(atomic, "settle", dies)
        with pytest.raises(GalleryError, match="no room"):
            run(comparing, workspace, base_against_lora(request()))
    assert not list(workspace.gallery.outputs.rglob("*.comparison.*"))
    events, _ = run(comparing, workspace, base_against_lora(request()))
    stored = events[-1]
    assert isinstance(stored, Compared)
    sheet_of(stored.path).unlink()
    parts: Any = Parts()
    page = GalleryEvents(workspace, parts).pages.first(GalleryInput())
    assert page["grid"].count("data-pick") == len(workspace.gallery.comparisons.items())
    assert "cannot be reached" in page["grid"]


def comparisons(workspace: Workspace) -> list[StoredComparison]:
    found = workspace.gallery.comparisons.items()
    return [each for each in found if isinstance(each, StoredComparison)]


def test_cancelled_before_the_first_picture_leaves_nothing(
    comparing: Comparing, workspace: Workspace
) -> None:
    cancel = threading.Event()
    cancel.set()
    plan, session = planned(comparing, four_arms(request())), workspace.open_session()
    assert list(comparing.run(plan, session, cancel)) == [NothingCompared(cancelled=True)]
    assert comparisons(workspace) == []


def test_a_failed_cell_shows_its_error_and_the_others_go_on(
    comparing: Comparing, workspace: Workspace
) -> None:
    axis = Axis(name=AxisName.LORA, values=("plain", "text"))
    wanted = ComparisonRequest(kind=Question.GRID, request=request(), columns=axis)
    plan = planned(comparing, wanted)
    models = workspace.settings.model_base_path
    shutil.copy(models / "plain.safetensors", models / "text.safetensors")
    events = list(comparing.run(plan, workspace.open_session(), threading.Event()))
    (failed,) = (event for event in events if isinstance(event, CellFailed))
    assert (failed.cell, failed.error.code) == (1, "weights")
    last = events[-1]
    assert isinstance(last, Compared)
    assert [cell.state for cell in last.record.cells] == [CellState.DONE, CellState.FAILED]
    assert last.record.cells[1].error == failed.error
    assert last.record.validity.verdict is Verdict.INCOMPLETE


def test_an_adapter_made_inert_after_its_check_is_caught(
    comparing: Comparing, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate has passed, the scales read back are right, and the weights are nothing."""
    real = set_loras

    def sabotage(base: Any, wanted: Any, make_room: Any) -> Any:
        answer = real(base, wanted, make_room)
        for _, _, slot in slots_of(base.pipeline):
            for weight in slot.deltas.parameters():
                weight.data.zero_()
        return answer

    monkeypatch.setattr(engine_run, "set_loras", sabotage)
    events, record = run(comparing, workspace, base_against_lora(request()))
    assert record.validity.verdict is Verdict.INVALID
    (reason,) = record.validity.reasons
    assert (reason.code, reason.cells) == ("same_pixels", (0, 1))
    stored = events[-1]
    assert isinstance(stored, Compared)
    assert workspace.gallery.comparisons.read(stored.path).validity == record.validity
    (listed,) = comparisons(workspace)
    assert listed.verdict is Verdict.INVALID
    assert verify_comparison(stored.path).ok, "it is stored as what it is: invalid"


def test_the_encoder_says_which_spellings_are_one_prompt(
    comparing: Comparing, workspace: Workspace
) -> None:
    axis = Axis(name=AxisName.PROMPT, values=("a rocket, red", "a rocket , red"))
    wanted = ComparisonRequest(kind=Question.GRID, request=request(), columns=axis)
    _, record = run(comparing, workspace, wanted)
    assert record.validity.verdict is Verdict.INVALID
    assert [reason.code for reason in record.validity.reasons] == ["read_alike"]
    plan = workspace.plan(request(prompt="A   ROCKET, red"))
    assert isinstance(plan, RunPlan)
    assert effective(plan) == effective(planned(comparing, wanted).cells[0].plan)
    *_, last = workspace.run(plan, workspace.open_session(), threading.Event())
    assert isinstance(last, Finished)
    assert last.record.receipt.image.pixels_sha256 == record.cells[0].pixels_sha256


def test_the_gallery_shows_one_item_that_stands_for_its_cells(
    comparing: Comparing, workspace: Workspace
) -> None:
    single = planned(comparing, base_against_lora(request(seed=99))).cells[0].plan
    list(workspace.run(single, workspace.open_session(), threading.Event()))
    _, record = run(comparing, workspace, base_against_lora(request()))
    gallery = workspace.gallery
    items = gallery.comparisons.items()
    assert [type(item).__name__ for item in items] == ["StoredComparison", "Picture"]
    assert gallery.comparisons.count() == 2
    assert len(gallery.query()) == 4
    assert items[0].name in {each.name for each in gallery.comparisons.items(limit=1)}
    assert gallery.comparisons.items(limit=5, beyond=items[0].place) == items[1:]
    with Image.open(gallery.thumbnail(items[0])) as image:
        assert image.width > 100
    assert isinstance(items[0], StoredComparison)
    assert items[0].title == record.title == "Base against LoRA: Plain"
    gallery.reindex()
    assert gallery.comparisons.items() == items
    gallery.comparisons.delete(items[0].name)
    assert len(gallery.comparisons.items()) == 4
    assert not items[0].path.exists()


def test_a_reused_picture_stays_in_the_grid(comparing: Comparing, workspace: Workspace) -> None:
    wanted = base_against_lora(request())
    single = planned(comparing, wanted).cells[1].plan
    list(workspace.run(single, workspace.open_session(), threading.Event()))
    run(comparing, workspace, wanted)
    kinds = [type(item).__name__ for item in workspace.gallery.comparisons.items()]
    assert sorted(kinds) == ["Picture", "StoredComparison"]


def test_what_changes_in_a_stored_comparison_is_found(
    comparing: Comparing, workspace: Workspace
) -> None:
    events, record = run(comparing, workspace, strengths(request(), (0.5, 1.0)))
    stored = events[-1]
    assert isinstance(stored, Compared)
    path, whole = stored.path, stored.path.read_text()
    judged = json.loads(whole)
    judged["record"]["validity"]["verdict"] = "invalid"
    path.write_text(json.dumps(judged))
    assert not verify_comparison(path).ok
    with pytest.raises(GalleryError, match="SHA-256"):
        workspace.gallery.comparisons.read(path)
    path.write_text(whole)
    assert verify_comparison(path).ok
    sheet = sheet_of(path).read_bytes()
    Image.new("RGB", (8, 8)).save(sheet_of(path), "PNG")
    assert {finding.code for finding in verify_comparison(path).findings} == {"sheet"}
    sheet_of(path).write_bytes(sheet)
    record_png = workspace.gallery.outputs / str(record.cells[1].picture)
    workspace.gallery.delete(record_png)
    (finding,) = verify_comparison(sheet_of(path)).findings
    assert finding.code == "cell"
    assert "strength 1.0" in finding.text


def test_an_estimate_needs_a_past(comparing: Comparing, workspace: Workspace) -> None:
    wanted = strengths(request(), (0.5, 1.0))
    assert comparing.forecast(planned(comparing, wanted)).seconds is None
    run(comparing, workspace, strengths(request(), (0.2, 0.4)))
    forecast = comparing.forecast(planned(comparing, wanted))
    assert (forecast.cells, forecast.found) == (2, 0)
    assert forecast.seconds is not None
    assert forecast.seconds > 0


@pytest.mark.parametrize("name", ["../x.comparison.json", "a.png", ".h/x.comparison.json", "no"])
def test_only_comparisons_of_the_gallery_are_opened(workspace: Workspace, name: str) -> None:
    with pytest.raises(GalleryError):
        workspace.gallery.comparisons.read(name)


def test_a_series_is_found_from_each_of_its_pages(
    comparing: Comparing, workspace: Workspace
) -> None:
    wanted = strengths(request(), (0.5, 1.0))
    plans = comparing.plan_pages(wanted, ("a rocket", "a cat"))
    assert isinstance(plans, list)
    assert comparing.forecast(*plans).cells == 4
    shelf, session = workspace.gallery.comparisons, workspace.open_session()
    kept: dict[str, ComparisonRecord] = {}
    for plan in plans:
        *_, end = comparing.run(plan, session, threading.Event())
        assert isinstance(end, Compared)
        kept[end.path.relative_to(workspace.gallery.outputs).as_posix()] = end.record
    _, other = run(comparing, workspace, strengths(request(), (0.5, 0.9)))
    pages = list(zip(kept, ("a rocket", "a cat"), strict=True))
    assert all(shelf.pages(record) == pages for record in kept.values())
    assert [prompt for _, prompt in shelf.pages(other)] == ["a rocket"]
    many = comparing.plan_pages(wanted, [f"a cat {n}" for n in range(17)])
    assert isinstance(many, tuple)
    assert [item.code for item in many] == ["out_of_range"]
