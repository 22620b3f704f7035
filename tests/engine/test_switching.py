"""One pipeline, many runs: no run sees another's LoRAs, and the base stays the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from studio.engine import Engine
from studio.engine.lora.effect import measure
from studio.errors import ContractBroken, LoraRefused
from tests.support import tiny
from tests.support.plans import make_job, pictures, pixels


def test_base_before_is_base_after(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    before = pixels(engine, tiny_base)
    changed = pixels(engine, tiny_base, (tiny_loras["text"], 1.0))
    (after,) = pictures(engine, make_job(tiny_base))
    assert changed != before
    assert after.image.tobytes() == before
    assert after.receipt.base_proof.holds
    assert after.receipt.base_proof.fresh
    assert after.receipt.loras == ()
    assert (after.receipt.effect, after.receipt.layer_effect) == (None, None)


def test_strength_zero_equals_base(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    (made,) = pictures(engine, make_job(tiny_base, (tiny_loras["text"], 0.0)))
    assert (made.receipt.effect, made.receipt.layer_effect) == (None, 0)
    assert made.receipt.loras[0].components[0].scale_max == 0
    assert made.image.tobytes() == pixels(engine, tiny_base)


def test_two_loras_stack(engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]) -> None:
    """A newly loaded adapter is the only active one in diffusers; here both are."""
    one, two = (tiny_loras["plain"], 0.6), (tiny_loras["text"], 0.9)
    alone = {pixels(engine, tiny_base, one), pixels(engine, tiny_base, two)}
    (both,) = pictures(engine, make_job(tiny_base, one, two))
    assert both.image.tobytes() not in alone
    assert [lora.slug for lora in both.receipt.loras] == ["plain", "text"]
    assert pixels(engine, tiny_base, two, one) == both.image.tobytes()


def test_switching_there_and_back_gives_identical_pixels(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    first = pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    other = pixels(engine, tiny_base, (tiny_loras["kohya"], 1.0))
    (again,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0)))
    assert again.image.tobytes() == first != other
    assert again.receipt.loras[0].resident


def test_a_resident_lora_does_not_follow_its_file(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """Loaders map files into memory: a file written over in place would reach the run."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(tiny_loras["plain"].read_bytes())
    job = make_job(tiny_base, (path, 1.0))
    (first,) = pictures(engine, job)
    with path.open("r+b") as file:
        file.truncate(0)
    (again,) = pictures(engine, job)
    assert again.receipt.loras[0].resident
    assert again.image.tobytes() == first.image.tobytes()


def test_a_strength_is_set_again_without_a_load(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    (weak,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 0.2)))
    (strong,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.4)))
    assert strong.receipt.loras[0].resident
    assert weak.receipt.layer_effect is not None
    assert strong.receipt.layer_effect is not None
    assert weak.receipt.layer_effect > 0
    assert strong.receipt.layer_effect == pytest.approx(7 * weak.receipt.layer_effect)
    assert strong.receipt.loras[0].components[0].scale_max == pytest.approx(1.4)


def test_an_unchanged_set_carries_its_measurement_over(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    lora = (tiny_loras["plain"], 1.0)
    first, second = (pictures(engine, make_job(tiny_base, lora))[0].receipt for _ in range(2))
    assert (first.base_proof.fresh, second.base_proof.fresh) == (False, False)
    assert first.layer_effect == second.layer_effect is not None
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    base.pipeline.unet.conv_in.bias.detach().add_(0)
    (third,) = pictures(engine, make_job(tiny_base, lora))
    assert third.receipt.base_proof.fresh


def test_sessions_do_not_see_one_another(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    one, two = (tiny_loras["plain"], 1.0), (tiny_loras["text"], 1.0)
    alone = [pixels(engine, tiny_base, one), pixels(engine, tiny_base, two)]
    mixed = [
        pixels(engine, tiny_base, lora, session=session)
        for session, lora in [("a", one), ("b", two), ("a", one), ("b", two)]
    ]
    assert mixed == alone * 2


def test_release_takes_only_what_no_other_session_uses(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    before = pixels(engine, tiny_base, session="a")
    pixels(engine, tiny_base, (tiny_loras["plain"], 1.0), session="a")
    pixels(engine, tiny_base, (tiny_loras["plain"], 1.0), session="b")
    pixels(engine, tiny_base, (tiny_loras["text"], 1.0), session="a")
    full = engine.memory()
    engine.release("a")
    half = engine.memory()
    engine.release("b")
    assert (full.loras, half.loras, engine.memory().loras) == (2, 1, 0)
    assert full.used > half.used > engine.memory().used
    assert pixels(engine, tiny_base) == before


def test_a_refused_lora_leaves_the_others_as_they_were(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    wide = tiny.make_lora(
        tiny.save_base(tmp_path / "wide", width=64), tmp_path / "wide.safetensors"
    )
    kept = pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    with pytest.raises(LoraRefused, match="reads 64 features; the base's reads 32") as caught:
        pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0), (wide, 1.0)))
    assert caught.value.slug == "wide"
    assert pixels(engine, tiny_base, (tiny_loras["plain"], 1.0)) == kept


def test_a_hundred_switches_do_not_grow_anything(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    from studio.engine.lora.inject import WantedLora
    from studio.engine.lora.slot import slots_of
    from studio.engine.lora.switch import set_loras

    jobs = [make_job(tiny_base, (tiny_loras[name], 1.0)) for name in ("plain", "text")]
    for job in jobs:
        pictures(engine, job)
    manager = engine._manager
    assert manager is not None
    (base,) = manager._bases.values()

    def size() -> tuple[int, int, int]:
        weights = sum(1 for _ in base.pipeline.unet.parameters())
        slots = list(slots_of(base.pipeline))
        return weights, len(slots), sum(len(slot.deltas) for *_, slot in slots)

    before = size()
    wanted = [
        WantedLora(use.slug, use.sha256, 1.0, job.lora_paths[use.slug])
        for job in jobs
        for use in job.plan.loras
    ]
    for turn in range(100):
        loras = set_loras(base, [wanted[turn % 2]], manager.make_room)
        assert loras.proof.holds
    assert size() == before
    off = set_loras(base, [], manager.make_room)
    assert off.proof.fresh
    assert off.proof.holds


def test_a_switch_carries_the_proof_over_and_the_base_arm_does_not(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Neither a load nor a switch touches a weight of the base; what LoRAs are compared with is
    proven anew after either."""
    sets = {
        "plain": ((tiny_loras["plain"], 1.0),),
        "weak": ((tiny_loras["plain"], 0.5),),
        "text": ((tiny_loras["text"], 1.0),),
        "base": (),
    }

    def fresh(name: str) -> bool:
        (made,) = pictures(engine, make_job(tiny_base, *sets[name]))
        assert made.receipt.base_proof.holds
        return made.receipt.base_proof.fresh

    assert not fresh("base"), "nothing has been near it since it was loaded and read"
    assert [fresh(name) for name in ("plain", "text")] == [False, False], "each was loaded"
    assert [fresh(name) for name in ("plain", "weak", "text")] == [False, False, False]
    assert [fresh(name) for name in ("base", "base", "plain", "base")] == [
        True, False, False, True,
    ]  # fmt: skip


def test_a_load_that_writes_into_the_base_is_measured_and_dropped(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proof is carried over a load only while no weight of the base was written."""
    from studio.engine.lora import inject

    before = pixels(engine, tiny_base)
    real = inject.inject

    def writing(pipeline: Any, *given: Any) -> int:
        size = real(pipeline, *given)
        pipeline.unet.conv_in.weight.detach()[0, 0, 0, 0] += 1
        return size

    monkeypatch.setattr(inject, "inject", writing)
    with pytest.raises(ContractBroken, match="not bit-identical"):
        pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0)))
    assert engine.memory().bases == ()
    monkeypatch.undo()
    assert pixels(engine, tiny_base) == before


def test_a_new_strength_costs_nothing(
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a LoRA that changes the denoiser: it is measured once, without a call of the model."""
    from studio.engine.lora import prove, switch

    calls: list[str] = []

    def counting(name: str, real: Any) -> Any:
        def counted(*given: Any) -> Any:
            calls.append(name)
            return real(*given)

        return counted

    monkeypatch.setattr(switch, "measure", counting("measure", measure))
    for module in (switch, prove):
        monkeypatch.setattr(module, "read_probe", counting("probe", module.read_probe))
    effects = []
    for name, strength in (("plain", 1.0), ("plain", 0.5), ("text", 1.0), ("plain", -1.0)):
        (made,) = pictures(engine, make_job(tiny_base, (tiny_loras[name], strength)))
        effects.append(made.receipt.layer_effect)
    assert calls == ["measure", "measure"]
    assert effects[0] == effects[3] == pytest.approx(2 * (effects[1] or 0))
    pictures(engine, make_job(tiny_base))
    assert calls[2:] == ["probe"], "the base that LoRAs are compared with is proven anew"


@torch.no_grad()
def test_the_effect_of_several_is_that_of_their_sum(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """By the definition: every LoRA layer's output against its base's, at the sampled inputs."""
    from studio.engine.lora.slot import slots_of

    chosen = {"plain": 0.7, "text": -1.3}
    (made,) = pictures(
        engine, make_job(tiny_base, *((tiny_loras[name], s) for name, s in chosen.items()))
    )
    assert engine._manager is not None
    (base,) = engine._manager._bases.values()
    added = given = 0.0
    for component, module, slot in slots_of(base.pipeline):
        sample = base.samples[component, module]
        torch.testing.assert_close(slot.base(sample.inputs), sample.outputs)
        added += float((slot(sample.inputs) - sample.outputs).double().square().sum())
        given += float(sample.outputs.double().square().sum())
    assert made.receipt.layer_effect == pytest.approx((added / given) ** 0.5, rel=1e-4)
    assert len(base.samples) > 66


def test_loras_that_cancel_one_another_are_refused(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    against = tiny.rewrite(
        tiny_loras["plain"],
        tmp_path / "against.safetensors",
        lambda t: {key: -value if "lora_B" in key else value for key, value in t.items()},
    )
    with pytest.raises(LoraRefused, match="changes nothing") as caught:
        pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0), (against, 1.0)))
    assert set(caught.value.slug.split(", ")) == {"plain", "against"}
