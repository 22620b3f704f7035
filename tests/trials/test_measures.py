"""The measures that need no model, on pictures whose answer is known."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from studio.errors import TrialError
from studio.trials.measures import MeasureReading, Seen
from studio.trials.measures.looks import (
    ALIKE,
    NearestTraining,
    as_folder,
    bits_apart,
    demand_apart,
    look,
    look_through,
)
from studio.trials.measures.measure import Beside
from studio.trials.measures.pixels import (
    Contrast,
    Leak,
    PixelEffect,
    StepChange,
    Structure,
    TriggerAlone,
    pixel_measures,
)
from studio.trials.measures.plugins import plugin
from studio.trials.observations import PromptKind


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (16, 16), (level, level, level))


def seen(level: int, **beside: int) -> Seen:
    pictures = {Beside(name): grey(value) for name, value in beside.items()}
    return Seen(PromptKind.TRIGGER, "a rocket, ohwx", "a rocket", grey(level), pictures)


def value(reading: MeasureReading | None) -> float:
    assert reading is not None
    assert reading.base is None
    return reading.value


def drawn(shift: int = 0, size: int = 64) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((10 + shift, 10, 50 + shift, 40), fill="navy")
    pen.rectangle((20, 44, 30 + shift, 60), fill="orange")
    return image.resize((size, size))


def test_an_effect_is_the_share_of_the_range_that_pixels_moved() -> None:
    assert value(PixelEffect().read(seen(51, base=0))) == pytest.approx(0.2)


def test_contrast_and_leak_tell_what_the_words_call_from_what_is_there_without_them() -> None:
    whole = seen(255, base=0, plain=51, plain_base=0)
    assert value(Contrast().read(whole)) == pytest.approx(0.8)
    assert value(Leak().read(whole)) == pytest.approx(0.2)
    assert Leak().read(seen(0, base=0, plain=0, plain_base=0)) is None


def test_the_other_pixel_measures() -> None:
    assert value(StepChange().read(seen(51, before=0))) == pytest.approx(0.2)
    assert value(TriggerAlone().read(seen(51, plain_base=0))) == pytest.approx(0.2)
    assert value(Structure().read(seen(90, base=90))) == pytest.approx(1.0)


def test_every_measure_says_what_it_is() -> None:
    facts = [measure.facts for measure in pixel_measures()]
    assert len({each.name for each in facts}) == len(facts)
    assert all(each.unit and each.says and each.cannot and each.source for each in facts)


def test_a_look_outlives_scaling_and_knows_another_picture() -> None:
    assert bits_apart(look(drawn()), look(drawn(size=48))) <= ALIKE
    assert bits_apart(look(drawn()), look(drawn(shift=12))) > ALIKE


def folder(place: Path, **pictures: Image.Image) -> Path:
    place.mkdir()
    for name, picture in pictures.items():
        picture.save(place / f"{name}.png")
    return place


def test_a_hold_out_picture_that_was_trained_on_is_refused(tmp_path: Path) -> None:
    training = look_through(folder(tmp_path / "training", one=drawn()))
    fresh = look_through(folder(tmp_path / "fresh", two=drawn(shift=12)))
    demand_apart(fresh, training)
    for name, picture in (("same", drawn()), ("scaled", drawn(size=48))):
        held = look_through(folder(tmp_path / name, held=picture))
        with pytest.raises(TrialError, match=r"held\.png"):
            demand_apart(held, training)


def test_a_picture_like_a_training_picture_is_near_and_the_bases_number_is_beside_it(
    tmp_path: Path,
) -> None:
    training = look_through(folder(tmp_path / "training", one=drawn()))
    learnt = Seen(PromptKind.TRIGGER, "", "", drawn(size=48), {Beside.BASE: drawn(shift=12)})
    reading = NearestTraining(training).read(learnt)
    assert reading is not None
    assert reading.base is not None
    assert reading.value <= ALIKE < reading.base


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    place = folder(tmp_path / "held", one=drawn())
    before = as_folder(place, look_through(place))
    drawn(shift=12).save(place / "one.png")
    assert as_folder(place, look_through(place)) != before
    with pytest.raises(TrialError):
        look_through(folder(tmp_path / "none"))


def test_a_measure_of_ones_own_is_a_class() -> None:
    assert plugin("studio.trials.measures.pixels:PixelEffect").facts.name == "effect"
    for name in ("nothing", "studio.nowhere:X", "studio.errors:TrialError", "pathlib:Path"):
        with pytest.raises(TrialError):
            plugin(name)
