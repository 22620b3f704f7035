"""How the golden files were made: ``python -m tests.golden.make FOLDER``.

FOLDER must be new. It gets an ``outputs`` as a gallery leaves it and ``fields.json``; ``models``
and ``presets`` are those of the first step and of the steps that families came with
(``engine/tiny`` builds a base of theirs). Golden files are never made
again: they are what earlier releases wrote. A new schema step gets a folder of its own beside the
others; see CONTRIBUTING.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from studio.architecture import Mode
from studio.comparison.axes import Axis, AxisName, ComparisonRequest, Question, four_arms
from studio.comparison.events import Compared
from studio.comparison.replay import Replayed, ReplayOutcome
from studio.comparison.review import Judgement, as_csv, as_jsonl
from studio.comparison.validity import Verdict
from studio.comparison.votes import BlindVote
from studio.contract.events import Finished, Loading
from studio.contract.marks import SourceType
from studio.contract.plan import RunPlan
from studio.contract.request import GenerationRequest, LoraChoice, Overrides, PartStrength
from studio.gallery.marks import xmp
from studio.gallery.publishing import Disclosure, PictureFormat, publish
from studio.imaging import png
from studio.settings import Settings
from studio.settings.workers import Workers
from studio.trials.report.card import write as write_card
from studio.workspace.comparing import Comparing
from studio.workspace.replaying import find, replay
from studio.workspace.reviewing import Reviewing
from studio.workspace.workspace import Workspace
from tests.golden.fields import all_fields
from tests.support.simulated_trials import simulated_card
from tests.support.workers import pids

HERE = Path(__file__).parent
CARDS = {"ink.card.json": "", "finer.card.json": "te=0.4:until=6"}
"""An epoch card → the finer strength that its trial varied."""
APART = (PartStrength(part="te", strength=0.4), PartStrength(part="mid", strength=0.0))


def request(mode: Mode, *loras: LoraChoice, **changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {"base": "golden", "prompt": "a rocket on the blue background"}
    return GenerationRequest(mode=mode, loras=loras, seed=7, **(values | changes))


def requests(workspace: Workspace, folder: Path) -> dict[str, GenerationRequest]:
    """Golden picture → what was asked."""
    ink, neon = LoraChoice(slug="ink"), LoraChoice(slug="neon", strength=1.2)
    reference = folder / "reference.png"
    Image.linear_gradient("L").resize((96, 64)).convert("RGB").save(reference)
    marked = png.with_texts(
        reference.read_bytes(),
        {png.XMP_KEY: xmp(SourceType.GENERATED, "0.1.0", "Somebody", "7")},
    )
    reference.write_bytes(marked[:33] + png.serialize("caBX", b"a manifest") + marked[33:])
    edited = workspace.add_reference(reference)
    mini = {"base": "mini", "settings": Overrides(steps=4), "prompt": "a penguin on yellow"}
    return {
        "base": request(Mode.BASE),
        "unmarked": request(Mode.BASE),
        "signed": request(Mode.LORA, neon),
        "sd3": request(
            Mode.LORA, LoraChoice(slug="ink-sd3"), base="golden-sd3", negative_prompt="a cat"
        ),
        "lora_with_trigger": request(Mode.LORA_WITH_TRIGGER, ink),
        "trigger_only": request(Mode.TRIGGER_ONLY, ink),
        "stacked": request(Mode.LORA_WITH_TRIGGER, ink, neon, negative_prompt="a cat"),
        "strength_0": request(Mode.LORA, LoraChoice(slug="neon", strength=0.0)),
        "finer": request(
            Mode.LORA_WITH_TRIGGER,
            LoraChoice(slug="ink", strength=0.8, parts=APART, first_step=2, last_step=3),
            settings=Overrides(steps=4),
        ),
        "waiver": request(Mode.LORA, LoraChoice(slug="odd", allow_partial=True)),
        "settings": request(
            Mode.LORA,
            neon,
            prompt="(a cat)1.3 beside a dog++",
            settings=Overrides(
                steps=2, guidance_scale=1.5, clip_skip=2, width=72, height=64,
                scheduler="EulerDiscreteScheduler", precision="float32",
            ),
        ),
        "native_cut": request(
            Mode.BASE, prompt="a cat, " * 60, prompt_encoder="native", allow_cut=True
        ),
        "eta": request(Mode.BASE, settings=Overrides(eta=0.5)),
        "edit": request(
            Mode.REFERENCE_EDIT, base="golden-edit", prompt="make it red", references=(edited,)
        ),
        "mini_base": request(Mode.BASE, **mini),
        "mini_ink": request(Mode.LORA_WITH_TRIGGER, LoraChoice(slug="pen-ink-mini"), **mini),
    }  # fmt: skip


def make(workspace: Workspace, asked: GenerationRequest) -> Finished:
    plan = workspace.plan(asked)
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    last = list(workspace.run(plan, workspace.open_session(), threading.Event()))[-1]
    assert isinstance(last, Finished), last
    return last


def make_moved(studio: Workspace) -> Finished:
    """A picture by a worker whose first life ended in the run's first step."""
    plan = studio.plan(request(Mode.LORA, LoraChoice(slug="ink")))
    assert isinstance(plan, RunPlan), [item.describe() for item in plan]
    killed = False
    for event in studio.run(plan, studio.open_session(), threading.Event()):
        if isinstance(event, Loading) and not killed and "Checking" in event.stage:
            killed = True
            os.kill(pids(studio)["1"], signal.SIGKILL)
    assert isinstance(event, Finished), event
    assert event.record.receipt.worker is not None
    assert event.record.receipt.worker.moved_from == ("1",)
    return event


def grids() -> dict[str, ComparisonRequest]:
    """Every axis that came later than the first step."""
    finer = {"columns": Axis(name=AxisName.FINER, values=("te=0", "until=1"))}
    size = {
        side: Axis(name=AxisName(name), values=(64, 96))
        for side, name in (("rows", "width"), ("columns", "height"))
    }
    eta = {"columns": Axis(name=AxisName("eta"), values=(0.0, 0.5))}
    flux = {
        "rows": Axis(name=AxisName("true_cfg_scale"), values=(1.5, 2.0)),
        "columns": Axis(name=AxisName("max_sequence_length"), values=(16, 32)),
    }
    guided = request(
        Mode.BASE,
        base="golden-flux",
        negative_prompt="a cat",
        settings=Overrides(true_cfg_scale=1.5),
    )
    asked = {
        "finer": (request(Mode.LORA, LoraChoice(slug="ink")), finer),
        "size": (request(Mode.BASE), size),
        "eta": (request(Mode.BASE), eta),
        "flux": (guided, flux),
    }
    return {
        f"comparison_{name}": ComparisonRequest(kind=Question.GRID, request=wanted, **axes)
        for name, (wanted, axes) in asked.items()
    }


def make_grids(workspace: Workspace, folder: Path) -> dict[str, dict[str, str]]:
    comparing, listed = Comparing(workspace), {}
    for name, wanted in grids().items():
        plan = comparing.plan(wanted)
        assert not isinstance(plan, tuple), [item.describe() for item in plan]
        *_, done = comparing.run(plan, workspace.open_session(), threading.Event())
        assert isinstance(done, Compared)
        assert done.record.validity.verdict is Verdict.VALID, done.record.validity
        listed[name] = {
            "picture": done.path.relative_to(folder / "outputs").as_posix(),
            "record": done.record.fingerprint,
            "plan": plan.fingerprint,
        }
    return listed


def said_of(folder: Path, made: Finished) -> dict[str, str]:
    return {
        "picture": made.path.relative_to(folder / "outputs").as_posix(),
        "record": made.record.fingerprint,
        "plan": made.record.plan_fingerprint,
    }


def replay_as_it_was(studio: Workspace, picture: Path) -> None:
    wanted = find(studio, str(picture))
    *_, again = replay(studio, wanted, studio.open_session(), threading.Event())
    assert isinstance(again, Replayed), again
    assert again.record.outcome is ReplayOutcome.IDENTICAL


def golden(folder: Path) -> None:
    folder.mkdir()
    state = folder / "state"
    models, *more = sorted(HERE.glob("schema_*/models"))
    settings = Settings(
        models,
        folder / "outputs",
        state,
        tuple(sorted(HERE.glob("schema_*/presets"))),
        more_folders=tuple(more),
        device="cpu",
    )
    workspace = Workspace.open(settings)
    assert not workspace.problems, workspace.problems
    listed = {}
    unmarked = Workspace.open(replace(settings, mark=False))
    signing = Workspace.open(replace(settings, aigc_producer="Golden Producer", sign="local"))
    special = {"unmarked": unmarked, "signed": signing}
    for name, asked in requests(workspace, folder).items():
        made = make(special.get(name, workspace), asked)
        listed[name] = said_of(folder, made)
    by_worker = replace(settings, workers=Workers(devices=("cpu",)))
    with closing(Workspace.open(by_worker)) as studio:
        listed["worker"] = said_of(folder, make_moved(studio))
        replay_as_it_was(studio, folder / "outputs" / listed["worker"]["picture"])
    base, lora = (folder / "outputs" / listed[name]["picture"] for name in ("base", "stacked"))
    reviewing = Reviewing(workspace.gallery)
    reviewing.decide(base, Judgement.APPROVE, "the plain one")
    reviewing.decide(lora, Judgement.REJECT, "")
    line = {"record_fingerprint": listed["base"]["record"], "critic": "golden-critic 1.0"}
    reviewing.take_scores(json.dumps(line | {"score": 0.25, "note": "dull"}) + "\n")
    comparing = Comparing(signing)
    ink = LoraChoice(slug="ink", phrases=("goldink",), parts=APART, first_step=2, last_step=9)
    noisy = Overrides(eta=0.25)
    # As asked from a cell of another comparison, which held it.
    of_cell = request(Mode.LORA_WITH_TRIGGER, ink, settings=noisy, held=("eta",))
    wanted = four_arms(of_cell)
    plan = comparing.plan(wanted)
    assert not isinstance(plan, tuple), [item.describe() for item in plan]
    *_, done = comparing.run(plan, signing.open_session(), threading.Event())
    assert isinstance(done, Compared)
    left, right = (done.record.cells[index].record_fingerprint for index in (0, 1))
    vote = BlindVote(
        comparison=done.record.fingerprint,
        left=left,
        right=right,
        choice="right",
        swapped=True,
        at="2026-11-29T04:00:00+00:00",
        test="golden",
    )
    workspace.gallery.comparisons.vote(done.path, vote)
    listed["comparison"] = {
        "picture": done.path.relative_to(folder / "outputs").as_posix(),
        "record": done.record.fingerprint,
        "plan": plan.fingerprint,
    }
    listed |= make_grids(signing, folder)
    for name in ("eta", "stacked", "finer"):
        replay_as_it_was(workspace, folder / "outputs" / listed[name]["picture"])
    (folder / "published").mkdir()
    for tell, form in zip(Disclosure, (PictureFormat.JPEG, *PictureFormat), strict=False):
        sealer = signing.sealer if tell is Disclosure.FACTS else None
        made_public = publish((folder / "outputs" / listed["stacked"]["picture"]).read_bytes(),
                              tell, form, sealer)  # fmt: skip
        (folder / "published" / f"{tell.value}{form.suffix}").write_bytes(made_public)
    apart = (folder / "outputs" / listed["finer"]["picture"]).read_bytes()
    stated = publish(apart, Disclosure.FACTS, PictureFormat.PNG)
    (folder / "published" / "finer.png").write_bytes(stated)
    judged = list(reviewing.judged())
    (folder / "decisions.jsonl").write_text(as_jsonl(judged), encoding="utf-8", newline="")
    (folder / "decisions.csv").write_text(as_csv(judged), encoding="utf-8", newline="")
    for card, finer in CARDS.items():
        text = write_card(simulated_card(finer=finer))
        (folder / card).write_text(text, encoding="utf-8", newline="")
    (folder / "reference.png").unlink()
    (folder / "golden.json").write_text(json.dumps(listed, indent=1) + "\n")
    (folder / "fields.json").write_text(
        json.dumps(all_fields(), indent=1, ensure_ascii=False) + "\n"
    )
    unmarked.close()
    signing.close()
    workspace.close()
    shutil.rmtree(state)


if __name__ == "__main__":
    golden(Path(sys.argv[1]).resolve())
