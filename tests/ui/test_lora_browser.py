"""What the server answers the LoRA browser and the rows: states, favourites, presets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.architecture import Architecture, Mode
from studio.contract.violations import LoraTagInPrompt
from studio.presets import Catalog, LoraPreset
from studio.settings import Settings
from studio.ui.browser.dialog import LoraBrowser
from studio.ui.studio import form, kept, pasted
from studio.ui.studio.lora_events import LoraEvents
from studio.workspace.workspace import Workspace
from tests.ui.conftest import HOSTILE
from tests.ui.test_request_form import BLANK

Make = Callable[..., LoraBrowser]


def lora(slug: str, architecture: Architecture = Architecture.SD15, **more: Any) -> LoraPreset:
    named: dict[str, Any] = {"label": slug, "path": f"{slug}.safetensors", "trigger": "none"}
    return LoraPreset(slug=slug, base_architecture=architecture, **(named | more))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made = []

    def browser(*loras: LoraPreset, may_star: bool = True) -> LoraBrowser:
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models/ink.safetensors").touch()
        settings = Settings(tmp_path / "models", tmp_path / "outputs", tmp_path / "state")
        made.append(Workspace(settings, Catalog((), loras), ()))
        return LoraBrowser(made[-1], may_star)

    yield browser
    for each in made:
        each.close()


def asked(words: str = "", **more: Any) -> dict[str, Any]:
    return {"query": {"architecture": "sd15", "words": words}, **more}


LORAS = (
    lora("ink"),
    lora("away", air="urn:air:sd1:lora:civitai:1@2"),
    lora("hostile", label=HOSTILE, theme="<b>", notes=HOSTILE),
    lora("xl", Architecture.SDXL),
)


def test_cards_say_whether_they_are_there_and_what_was_taken(make: Make) -> None:
    found = make(*LORAS).look(asked(taken=["ink"], picked=["away"]))["found"]
    assert found.index('data-pick="ink"') < found.index('data-pick="away"')
    assert "3 fit · 1 hidden: made for other architectures (1 SDXL)" in found
    assert found.count("aria-disabled") == 1
    assert found.count("ls-picked") == 1
    assert "can be downloaded" in found
    assert HOSTILE not in found
    assert make(*LORAS).lists(asked())["theme"].endswith("&lt;b&gt;</option>")


def test_nothing_found_leads_back_and_names_what_does_not_fit(make: Make) -> None:
    browser = make(*LORAS)
    found = browser.look(asked("xl"))["found"]
    assert "data-clear" in found
    assert "made for SDXL." in found
    assert "data-pick" not in found
    empty = make(lora("xl", Architecture.SDXL)).look(asked())["found"]
    assert "data-clear" not in empty
    assert "Models tab" in empty


def test_files_that_are_still_read_are_counted(make: Make) -> None:
    browser = make(*LORAS)
    assert browser.look(asked())["reading"] == ""
    browser._workspace.stock.catalogue.looking = (1200, 10_000)
    answer = browser.look(asked())
    assert answer["reading"] in answer["found"]
    assert "1,200 of 10,000" in answer["reading"]


def test_a_star_stays_and_strangers_have_none(make: Make) -> None:
    assert (
        'aria-pressed="true" aria-label="Favourite: ink"'
        in (make(*LORAS).look(asked(star="ink"))["found"])
    )
    only = {"query": {"architecture": "sd15", "only": "favourites"}}
    again = make(*LORAS).look(only)["found"]
    assert again.count("data-pick") == 1
    public = make(*LORAS, may_star=False)
    assert "data-star" not in public.look(asked(star="ink"))["found"]
    assert public.look(only)["found"].count("data-pick") == 1
    assert make(*LORAS).look(asked(star="no-such"))["found"].count("data-pick") == 3


@pytest.mark.parametrize(
    "sent",
    [None, 3, [], {}, asked("x" * 600), {"query": {"page": -1}}, {"query": {"only": "all of it"}}],
)
def test_what_is_no_question_is_answered_as_none(make: Make, sent: Any) -> None:
    assert "data-pick" not in make(*LORAS).look(sent)["found"]
    assert "data-pick" not in make(*LORAS).lists(sent)["found"]


class Drawn:
    """Stands for what draws the page: it gives back the values that it was to draw."""

    panel: Any = SimpleNamespace(hints={"loras": "loras"})

    def filled(self, values: form.Values, _page: str) -> dict[str, Any]:
        return dict(values)

    def refresh(self, values: form.Values, _page: str, *, writes: bool) -> dict[str, Any]:
        assert writes, "the mode may be another one"
        return dict(values)

    def saying(self, values: dict[str, Any], said: str) -> dict[str, Any]:
        return values | {"said_of_mode": said}


def rows(tmp_path: Path, **more: Any) -> tuple[LoraEvents, Workspace]:
    settings = Settings(
        tmp_path / "models",
        tmp_path / "outputs",
        tmp_path / "state",
        local_presets=tmp_path / "local.yaml",
        **more,
    )
    workspace = Workspace.open(settings)
    drawn: Any = Drawn()
    return LoraEvents(workspace, drawn), workspace


def values_of(*slugs: str, mode: Mode = Mode.LORA, strength: float = 0.5) -> dict[str, Any]:
    blank = {
        "base": "mini",
        "mode": mode.value,
        "said": slugs,
        "chosen": slugs,
        "unused": (),
        "finer": (),
    }
    return form.with_loras(blank, slugs, [strength] * len(slugs))


PEN, NEON = "pen-ink-mini", "night-neon-mini"


@pytest.mark.parametrize(
    ("told", "chosen", "strengths", "said"),
    [
        ("remove", (PEN,), [0.5], (PEN,)),
        ("up", (NEON, PEN), [0.5, 0.5], (PEN, NEON)),
        ("reset", (PEN, NEON), [0.5, 1.0], (PEN,)),
        ("replace collage-art-sdxl", (PEN, "collage-art-sdxl"), [0.5, 0.8], (PEN,)),
    ],
)
def test_a_row_is_changed_and_the_others_stay(
    tmp_path: Path, told: str, chosen: tuple[str, ...], strengths: list[float], said: Any
) -> None:
    events, workspace = rows(tmp_path)
    after = events.act(values_of(PEN, NEON), 1, told, "")
    assert (after["chosen"], after["said"]) == (chosen, said)
    assert form.strengths(after) == strengths
    workspace.close()


def test_trigger_phrases_are_switched_in_the_row(tmp_path: Path) -> None:
    events, workspace = rows(tmp_path)
    mode = Mode.LORA_WITH_TRIGGER

    def phrases(values: dict[str, Any]) -> Any:
        (choice,) = form.read(whole | values, workspace.catalog).loras
        return choice.phrases

    whole = kept.defaults(workspace.catalog)
    before = values_of(PEN, mode=mode)
    assert phrases(before) is None
    one = events.act(before, 0, 'phrases ["pen and ink illustration", "no such"]', "")
    assert phrases(one) == ("pen and ink illustration",)
    assert events.act(one, 0, "remove", "")["unused"] == ()
    request = form.read(whole | one, workspace.catalog)
    back = form.write_request(request, workspace.catalog)
    assert (back["unused"], phrases(back)) == (("pen-ink-mini phrsink",), phrases(one))

    preset = workspace.catalog.loras[PEN]
    workspace.stock.put(preset.model_copy(update={"alternatives": True}))
    alone = events.act(before, 0, 'phrases ["phrsink"]', "")
    assert phrases(alone) == ("phrsink",)
    assert phrases(events.act(alone, 0, "phrases []", "")) is None
    for hostile in ("phrases", "phrases {", "phrases 3", 'phrases [["phrsink"]]'):
        assert phrases(events.act(before, 0, hostile, "")) is None
    workspace.close()


def test_a_part_is_given_a_strength_in_the_row_and_loses_it_again(tmp_path: Path) -> None:
    events, workspace = rows(tmp_path)
    before = values_of(PEN, NEON)
    after = events.act(before, 0, "finer te=0,4", "")
    assert after["finer"] == (f"{PEN} te=0.4",)
    after = events.act(after, 0, "finer te=0.4:mid=-1", "")
    assert after["finer"] == (f"{PEN} te=0.4:mid=-1.0",)
    after = events.act(after, 0, "finer mid=-1", "")
    assert after["finer"] == (f"{PEN} mid=-1.0",)
    for hostile in ("mid=-1:te=much", "te", "=:=", "te=1:te=2"):
        (said,) = events.act(after, 0, f"finer {hostile}", "").values()
        assert "ls-problem" in said
    assert events.act(after, 0, "finer ", "")["finer"] == ()
    assert events.act(after, 0, "remove", "")["finer"] == ()
    workspace.close()


def test_the_mode_goes_with_what_is_on(tmp_path: Path) -> None:
    events, workspace = rows(tmp_path)
    off = events.switch(values_of(PEN) | {"on_0": False}, "")
    assert off["mode"] == Mode.BASE
    assert "Base" in off["said_of_mode"]
    assert events.switch({**off, "on_0": True}, "")["mode"] == Mode.LORA_WITH_TRIGGER
    assert events.act(values_of(PEN), 0, "remove", "")["mode"] == Mode.BASE
    assert events.add(values_of(mode=Mode.BASE), PEN, "")["mode"] == Mode.LORA_WITH_TRIGGER
    workspace.close()


def test_a_strength_becomes_the_presets_and_may_go_below_zero(tmp_path: Path) -> None:
    events, workspace = rows(tmp_path)
    after = events.act(values_of(PEN, strength=0.35), 0, "keep", "")
    assert after["said"] == (), "it is the preset's now"
    events.act(values_of(PEN), 0, "below", "")
    settings = workspace.catalog.loras[PEN].settings
    assert (settings.strength, settings.strengths) == (0.35, (-2.0, 2.0))
    workspace.close()
    events, workspace = rows(tmp_path, public=True)
    events.act(values_of(PEN, strength=0.9), 0, "keep", "")
    assert workspace.catalog.loras[PEN].usual_strength == 0.35
    workspace.close()


def test_a_pasted_tag_is_offered_by_name_and_becomes_a_row(make: Make) -> None:
    workspace = make(*LORAS)._workspace
    typed = "a fox, <lora:INK.safetensors:0.8:0.5> <lora:xl:1>"
    found = (LoraTagInPrompt(field="prompt", tag="<lora:xl:1>"),)
    offered = pasted.offer(typed, found, workspace)
    assert 'data-pick="tags"' in offered
    assert "INK.safetensors is ink, known by its name" in offered
    assert pasted.offer(typed, (), workspace) == ""
    values = pasted.taken({**BLANK, "prompt": typed, "chosen": ("xl",)}, workspace)
    assert isinstance(values, dict)
    assert (values["prompt"], values["chosen"]) == ("a fox,", ("xl", "ink"))
    assert (values["strength_0"], values["strength_1"]) == (1.0, 0.5)
    assert values["finer"] == ("ink te=0.8",)
    assert set(values["said"]) == {"ink", "xl"}


def test_a_pasted_tag_of_no_lora_is_named_and_nothing_is_taken(make: Make) -> None:
    workspace = make(*LORAS)._workspace
    typed = "a fox <lora:ink:0.8> <lora:elsewhere:1>"
    found = (LoraTagInPrompt(field="prompt", tag="<lora:ink:0.8>"),)
    offered = pasted.offer(typed, found, workspace)
    assert "data-pick" not in offered
    assert "elsewhere" in offered
    assert isinstance(pasted.taken({**BLANK, "prompt": typed}, workspace), str)
