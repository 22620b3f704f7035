"""How loading a LoRA fails without saying so: each way is refused by name, or applied in full.

The numbers are those of the list of reproduced behaviours of diffusers 0.42, peft 0.21 and
transformers 5.23 that the engine was written against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio.architecture import Architecture
from studio.engine import Engine
from studio.engine.base.folder import Pipeline
from studio.engine.base.resident import ResidentBase
from studio.engine.families import family_of
from studio.engine.lora.receipts import receipts
from studio.engine.lora.slot import LoraPlace, Multiplier, differences, read_switched, slots_of
from studio.engine.lora.switch import set_loras
from studio.engine.tiny import build_tiny
from studio.errors import ContractBroken, LoraRefused, WeightsError
from tests.support import tiny
from tests.support.applying import apply, probe
from tests.support.lora_formats import FORMATS, tiny_lora
from tests.support.plans import make_job, pictures, pixels

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Tensors]
Refused = Callable[..., None]


def _renamed(old: str, new: str) -> Change:
    return lambda tensors: {key.replace(old, new): value for key, value in tensors.items()}


def _first(tensors: Tensors, ending: str) -> str:
    return next(key for key in sorted(tensors) if key.endswith(ending))


def _with(ending: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def apply(tensors: Tensors) -> Tensors:
        key = _first(tensors, ending)
        return {**tensors, key: change(tensors[key].clone())}

    return apply


def _nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor[0, 0] = float("nan")
    return tensor


def _extra(key: str) -> Change:
    return lambda tensors: {**tensors, key: torch.ones(4, 4)}


BROKEN: dict[str, tuple[str, Change, str]] = {
    "fact_01_transformer_prefix": (
        "plain", _renamed("unet.", "transformer."), "changes transformer, which the base does not",
    ),
    "fact_02_second_text_encoder": (
        "text", _renamed("text_encoder.", "text_encoder_2."), "changes text_encoder_2",
    ),
    "fact_02_conditioner": (
        "plain", _extra("conditioner.lora_A.weight"), r"no whole layer: conditioner\.lora_A",
    ),
    "fact_03_module_that_is_not_there": (
        "plain", _renamed("down_blocks.0.attentions.0", "down_blocks.7.attentions.0"),
        r"10 layers of the file do not exist in the base: down_blocks\.7",
    ),
    "fact_04_empty": ("plain", lambda _: {}, "holds no tensor"),
    "fact_10_a_lone_magnitude": (
        "kohya", _extra("lora_unet_conv_in.dora_scale"), r"conv_in\.dora_scale",
    ),
    "fact_10_a_lone_magnitude_of_peft": (
        "plain", _extra("unet.conv_in.lora_magnitude_vector"), "lora_magnitude_vector",
    ),
    "fact_13_text_encoder_layer_too_many": (
        "text", _renamed("encoder.layers.2", "encoder.layers.9"),
        r"6 layers of the file do not exist in the base: encoder\.layers\.9",
    ),
    "fact_14_nan": ("plain", _with("lora_B.weight", _nan), "not finite"),
    "fact_17_other_widths": (
        "plain", _with("to_q.lora_A.weight", lambda t: torch.cat([t, t], 1)),
        "takes 64 and gives 32 features in the file, 32 and 32 in the base",
    ),
    "half_a_lokr": ("plain", _extra("lora_unet_conv_in.lokr_w1"), "lokr_w1"),
    "half_a_loha": ("kohya", _extra("lora_unet_conv_in.hada_w1_a"), "hada_w1_a"),
    "a_lone_bias": ("plain", _extra("unet.conv_in.lora_B.bias"), r"lora_B\.bias"),
    "half_a_layer": (
        "plain",
        lambda t: {k: v for k, v in t.items() if k != _first(t, "lora_B.weight")},
        r"no whole layer: unet\..*lora_A",
    ),
    "nothing_but_zeros": (
        "plain", lambda t: {k: v * 0 if "lora_B" in k else v for k, v in t.items()},
        "changes nothing",
    ),
    "two_spellings_of_one_layer": (
        "text",
        lambda t: t | {k.replace("encoder.layers", "text_model.encoder.layers"): v.clone()
                       for k, v in t.items() if k.startswith("text_encoder.")},
        "changes one layer twice",
    ),
    "a_norm": (
        "kohya",
        lambda t: t | {"lora_unet_mid_block_attentions_0_norm.diff": torch.ones(64),
                       "lora_unet_mid_block_attentions_0_norm.diff_b": torch.ones(64)},
        "The file changes a norm, and only linear and convolution layers can be changed here",
    ),
    "alpha_not_finite": (
        "kohya", _with(".alpha", lambda t: t * float("inf")), "not a finite number",
    ),
}  # fmt: skip


@pytest.fixture
def refused(engine: Engine, tiny_base: Path) -> Refused:
    """Run a job with a file; it must be refused with this evidence, and nothing stay behind."""

    def check(path: Path, evidence: str = "") -> None:
        with pytest.raises(LoraRefused, match=evidence):
            pictures(engine, make_job(tiny_base, (path, 1.0)))
        assert not _wrapped(engine)

    return check


@pytest.mark.parametrize("name", BROKEN)
def test_is_refused_before_the_load(
    name: str, refused: Refused, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    source, change, evidence = BROKEN[name]
    refused(tiny.rewrite(tiny_loras[source], tmp_path / "broken.safetensors", change), evidence)


def _base(engine: Engine) -> ResidentBase:
    """The one that is resident."""
    manager = engine._manager
    assert manager is not None
    (base,) = manager._bases.values()
    return base


def _wrapped(engine: Engine) -> list[str]:
    """Modules of the resident pipelines that carry a LoRA layer."""
    manager = engine._manager
    assert manager is not None
    return [name for base in manager._bases.values() for _, name, _ in slots_of(base.pipeline)]


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "base_model.model."])
def test_fact_01_prefixes_that_diffusers_drops_are_applied(
    prefix: str, engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    renamed = tiny.rewrite(
        tiny_loras["plain"], tmp_path / "renamed.safetensors", _renamed("unet.", prefix)
    )
    (made,) = pictures(engine, make_job(tiny_base, (renamed, 1.0)))
    (unet,) = made.receipt.loras[0].components
    assert (unet.targeted, unet.applied) == (48, 48)
    assert made.image.tobytes() == pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))


def test_fact_10_dora_is_applied_as_dora(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """diffusers strips the magnitudes with a warning, and applies what is left."""

    def with_magnitude(tensors: Tensors) -> Tensors:
        up = _first(tensors, "attn1.to_q.lora_B.weight")
        magnitude = torch.full((len(tensors[up]),), 2.0)
        return tensors | {up.replace("lora_B", "lora_magnitude_vector"): magnitude}

    dora = tiny.rewrite(tiny_loras["plain"], tmp_path / "dora.safetensors", with_magnitude)
    (made,) = pictures(engine, make_job(tiny_base, (dora, 1.0)))
    assert made.receipt.loras[0].components[0].applied == 48
    assert made.image.tobytes() != pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    (off,) = pictures(engine, make_job(tiny_base, (dora, 0.0)))
    assert off.image.tobytes() == pixels(engine, tiny_base)


@pytest.mark.parametrize(
    ("source", "minority"),
    [("plain", "attn1_to_q"), ("plain", "_ff_net_2"), ("plain", "conv1"), ("text", "q_proj")],
)
def test_fact_11_mixed_alphas_are_applied_layer_by_layer(
    source: str,
    minority: str,
    engine: Engine,
    tiny_base: Path,
    tiny_loras: dict[str, Path],
    tmp_path: Path,
) -> None:
    """diffusers gives the minority's attention layers the majority's alpha, with a warning; those
    of the text encoder too."""
    rank = {"plain": 4, "text": 8}[source]
    mixed = tiny.to_kohya(
        tiny_loras[source],
        tmp_path / "mixed.safetensors",
        lambda name: 1.0 if name.endswith(minority) else 2.0,
    )
    (made,) = pictures(engine, make_job(tiny_base, (mixed, 0.5)))
    *text, unet = made.receipt.loras[0].components
    low, high = 0.5 / rank, 1.0 / rank
    assert (unet.targeted, unet.applied) == (48, 48)
    for part in text:
        assert (part.component, part.applied) == ("text_encoder", 18)
        assert (part.scale_min, part.scale_max) == (low, high)
    assert (unet.scale_min, unet.scale_max) == (high if text else low, high)
    # A quarter and a half of what the files themselves say: 1 (no alpha), and 4 / 8.
    baked = tiny.rewrite(
        tiny_loras[source],
        tmp_path / "baked.safetensors",
        lambda t: {
            key: value * (0.25 if minority in key.replace(".", "_") else 0.5)
            if "lora_B" in key
            else value
            for key, value in t.items()
        },
    )
    assert made.image.tobytes() == pixels(engine, tiny_base, (baked, 0.5))


def test_fact_11_mixed_alphas_of_sdxl_are_applied_in_all_three_parts(tmp_path: Path) -> None:
    pipeline, family = build_tiny("StableDiffusionXLPipeline"), family_of(Architecture.SDXL)
    lora = {
        part: {
            name: replace(layer, alpha=1.0 if name.endswith(("q_proj", "to_q")) else 2.0)
            for name, layer in layers.items()
        }
        for part, layers in tiny_lora(pipeline, text_encoders=True).items()
    }
    baked = {
        part: {
            name: replace(layer, up=layer.up * layer.scale, alpha=float(len(layer.down)))
            for name, layer in layers.items()
        }
        for part, layers in lora.items()
    }
    formats = FORMATS[Architecture.SDXL]
    mixed = formats["kohya"].write(lora, tmp_path / "mixed.safetensors")
    plain = formats["diffusers without metadata"].write(baked, tmp_path / "baked.safetensors")
    with apply(pipeline, mixed):
        found = read_switched(slots_of(pipeline))
        ours = probe(family, pipeline)
    assert {(part, name): setting.effective for (part, name, _), setting in found.items()} == {
        (part, name): layer.scale
        for part, layers in lora.items()
        for name, layer in layers.items()
    }
    assert {part for part, *_ in found} == {"unet", "text_encoder", "text_encoder_2"}
    with apply(pipeline, plain):
        for one, other in zip(ours, probe(family, pipeline), strict=True):
            assert torch.equal(one, other)


def test_fact_12_alpha_of_the_header_is_applied(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    (made,) = pictures(engine, make_job(tiny_base, (tiny_loras["text"], 0.8)))
    text, unet = made.receipt.loras[0].components
    assert (text.component, text.applied) == ("text_encoder", 18)
    assert (unet.component, unet.applied) == ("unet", 48)
    assert unet.scale_min == unet.scale_max == pytest.approx(0.8 * 4 / 8)


def test_fact_12_kohya_and_diffusers_files_of_one_scale_give_the_same_pixels(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    kohya = tiny.to_kohya(tiny_loras["text"], tmp_path / "same.safetensors", 4.0)
    assert pixels(engine, tiny_base, (kohya, 1.0)) == pixels(
        engine, tiny_base, (tiny_loras["text"], 1.0)
    )


def test_fact_13_text_encoder_file_without_out_proj_is_applied_in_full(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """In the older naming; what would lose its attention layers is refused below."""

    def old_names(tensors: Tensors) -> Tensors:
        return {
            key.replace(".lora_A.", ".lora_linear_layer.down.").replace(
                ".lora_B.", ".lora_linear_layer.up."
            ): value
            for key, value in tensors.items()
            if key.startswith("text_encoder.") and "out_proj" not in key
        }

    old = tmp_path / "old.safetensors"
    save_file(old_names(load_file(tiny_loras["text"])), old, metadata={"format": "pt"})
    (made,) = pictures(engine, make_job(tiny_base, (old, 1.0)))
    (text,) = made.receipt.loras[0].components
    assert text.targeted == text.applied == 15


def test_fact_13_old_attention_names_without_out_proj_are_applied(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """diffusers loads the MLP of such a file and drops its attention, with a report only."""
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    layers = {
        key: value
        for key, value in load_file(tiny_loras["text"]).items()
        if key.startswith("text_encoder.") and ("q_proj" in key or "fc1" in key)
    }
    save_file(layers, new)
    renamed = {
        key.replace("q_proj.lora_A", "to_q_lora.down").replace("q_proj.lora_B", "to_q_lora.up"): v
        for key, v in layers.items()
    }
    save_file(renamed, old)
    (made,) = pictures(engine, make_job(tiny_base, (old, 1.0)))
    (text,) = made.receipt.loras[0].components
    assert text.applied == 6
    assert made.image.tobytes() == pixels(engine, tiny_base, (new, 1.0))


def test_text_encoder_alone(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    alone = tiny.rewrite(
        tiny_loras["text"],
        tmp_path / "alone.safetensors",
        lambda t: {k: v for k, v in t.items() if k.startswith("text_encoder.")},
    )
    (made,) = pictures(engine, make_job(tiny_base, (alone, 1.0)))
    assert [c.component for c in made.receipt.loras[0].components] == ["text_encoder"]
    assert made.receipt.effect is not None
    assert made.receipt.effect > 0


def test_fact_03_no_adapters_name_is_part_of_anothers(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """diffusers finds an adapter's keys by its name inside theirs, and warns of the others'."""
    short, long = tmp_path / "a.safetensors", tmp_path / "aa.safetensors"
    short.write_bytes(tiny_loras["plain"].read_bytes())
    long.write_bytes(tiny_loras["text"].read_bytes())
    for wanted in (((long, 1.0),), ((short, 1.0), (long, 1.0))):
        (made,) = pictures(engine, make_job(tiny_base, *wanted))
        assert made.receipt.warnings == ()
    names = {name for *_, slot in slots_of(_base(engine).pipeline) for name in slot.deltas}
    assert len(names) == 2
    assert len({len(name) for name in names}) == 1


def test_fact_14_a_lora_that_is_not_there_cannot_be_taken_out(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """``delete_adapters`` accepts any name."""
    pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    assert engine._manager is not None
    with pytest.raises(KeyError):
        engine._manager.drop_adapter(_base(engine), "0" * 64)
    assert engine.memory().loras == 1


def test_fact_14_a_lora_that_stays_on_is_noticed(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """``disable_lora`` never says whether it did; here it is read back from each module."""
    job = make_job(tiny_base, (tiny_loras["plain"], 1.0))
    pictures(engine, job)
    base = _base(engine)
    assert engine._manager is not None
    off = set_loras(base, (), engine._manager.make_room)
    assert receipts(base, off) == ()
    *_, (_, module, slot) = slots_of(base.pipeline)
    slot.strengths = dict.fromkeys(slot.deltas, 1.0)
    with pytest.raises(ContractBroken, match=f"{module} has a LoRA too many"):
        receipts(base, off)


def test_fact_14_a_place_that_is_not_there_is_noticed() -> None:
    """Weights for a component that the pipeline has not are accepted without a word."""
    (line,) = differences({}, {LoraPlace("text_encoder_9", "layer", "a"): Multiplier(1.0, 1.0)})
    assert line == "text_encoder_9.layer has no LoRA."


def test_fact_15_a_file_that_does_not_fit_leaves_no_other_at_work(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """diffusers' hotswap keeps the old LoRA applied, and raises nothing."""
    before = pixels(engine, tiny_base)
    first = pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    change = _renamed("down_blocks.0", "down_blocks.7")
    other = tiny.rewrite(tiny_loras["plain"], tmp_path / "other.safetensors", change)
    with pytest.raises(LoraRefused, match="do not exist in the base"):
        pictures(engine, make_job(tiny_base, (other, 1.0)))
    assert pixels(engine, tiny_base) == before != first


def fuse(pipeline: Pipeline, times: float = 1.0) -> None:
    """What diffusers' ``fuse_lora`` does: it writes past torch's version counters."""
    for *_, slot in slots_of(pipeline):
        for name in slot.deltas:
            slot.weight.data += times * slot.scales[name] * slot.delta(name).matrix()


def test_fact_16_a_fused_pipeline_is_noticed_and_dropped(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Nobody fuses here; if something did, the base proof would say so."""
    before = pixels(engine, tiny_base)
    pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    fuse(_base(engine).pipeline)
    with pytest.raises(ContractBroken, match="not bit-identical"):
        pictures(engine, make_job(tiny_base))
    assert engine.memory().bases == ()
    assert pixels(engine, tiny_base) == before


def test_fact_16_weights_that_a_fuse_left_behind_are_noticed(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """Unfused, a pipeline's weights are not quite what they were."""
    before = pixels(engine, tiny_base)
    pixels(engine, tiny_base, (tiny_loras["plain"], 1.0))
    pipeline = _base(engine).pipeline
    kept = {name: weight.clone() for name, weight in pipeline.unet.state_dict().items()}
    fuse(pipeline)
    fuse(pipeline, -1.0)
    now = pipeline.unet.state_dict()
    assert any(not torch.equal(now[name], weight) for name, weight in kept.items())
    with pytest.raises(ContractBroken, match="not bit-identical"):
        pictures(engine, make_job(tiny_base))
    assert engine.memory().bases == ()
    assert pixels(engine, tiny_base) == before


def test_not_atomic_1_a_text_encoder_error_leaves_no_half_loaded_lora(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """The denoiser loads first, so diffusers leaves it changed when the text encoder fails."""

    def demand_rank(fields: dict[str, object]) -> None:
        fields["text_encoder.r"] = 5
        fields["text_encoder.rank_pattern"] = {}

    bad = tiny.with_metadata(tiny_loras["text"], tmp_path / "bad.safetensors", demand_rank)
    kept = pixels(engine, tiny_base, (tiny_loras["plain"], 0.7))
    with pytest.raises(LoraRefused, match="asks for rank 5 where"):
        pictures(engine, make_job(tiny_base, (bad, 1.0)))
    assert engine.memory().loras == 1
    (again,) = pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 0.7)))
    assert again.receipt.loras[0].resident
    assert again.image.tobytes() == kept


def test_not_atomic_2_and_3_offload_hooks_stay_as_they_are(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """diffusers takes accelerate's hooks off for a load, and never back after a failed one."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    before = pixels(engine, tiny_base)
    base = _base(engine)
    hook = AlignDevicesHook(execution_device="cpu")
    add_hook_to_module(base.pipeline.unet, hook)
    bad = tiny.rewrite(tiny_loras["text"], tmp_path / "bad.safetensors", _with("B.weight", _nan))
    with pytest.raises(LoraRefused, match="not finite"):
        pictures(engine, make_job(tiny_base, (bad, 1.0)))
    assert base.pipeline.unet._hf_hook is hook
    assert not list(slots_of(base.pipeline))
    assert not hasattr(base.pipeline.unet, "peft_config")
    assert pixels(engine, tiny_base, (tiny_loras["text"], 1.0)) != before
    assert base.pipeline.unet._hf_hook is hook


def test_not_atomic_4_and_5_a_second_lora_leaves_the_first_at_work(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path]
) -> None:
    """In diffusers a newly loaded adapter is the only one that is active."""
    one, two = (tiny_loras["plain"], 0.6), (tiny_loras["text"], 0.9)
    pictures(engine, make_job(tiny_base, one))
    (both,) = pictures(engine, make_job(tiny_base, one, two))
    found = {
        (lora.slug, part.component): (part.applied, part.scale_max)
        for lora in both.receipt.loras
        for part in lora.components
    }
    assert found == {
        ("plain", "unet"): (48, 0.6),
        ("text", "unet"): (48, 0.45),
        ("text", "text_encoder"): (18, 0.45),
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unet.use_dora", True),
        ("unet.init_lora_weights", "pissa"),
        ("unet.modules_to_save", ["conv_in"]),
        ("unet.alpha_pattern", {"(a+)+$": 3}),
        ("unet.alpha_pattern", {"no.such.module": 3}),
        ("unet.rank_pattern", {"to_q": 3}),
    ],
)
def test_a_header_that_asks_for_more_than_a_lora_is_refused(
    key: str, value: object, refused: Refused, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    bad = tiny.with_metadata(
        tiny_loras["text"], tmp_path / "bad.safetensors", lambda f: f.update({key: value})
    )
    refused(bad, "Its header")


def test_dropout_of_the_training_does_not_reach_the_picture(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    """peft's new dropout layers start in training mode."""
    dropped = tiny.with_metadata(
        tiny_loras["text"],
        tmp_path / "dropout.safetensors",
        lambda f: f.update({"unet.lora_dropout": 0.5, "text_encoder.lora_dropout": 0.5}),
    )
    assert pixels(engine, tiny_base, (dropped, 1.0)) == pixels(
        engine, tiny_base, (tiny_loras["text"], 1.0)
    )


def test_ranks_that_differ_per_module_are_applied(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    def narrow(tensors: Tensors) -> Tensors:
        def cut(key: str, value: torch.Tensor) -> torch.Tensor:
            if ".to_k." not in key:
                return value
            return value[:2] if "lora_A" in key else value[:, :2].contiguous()

        return {key: cut(key, value) for key, value in tensors.items()}

    mixed = tiny.rewrite(tiny_loras["plain"], tmp_path / "ranks.safetensors", narrow)
    (made,) = pictures(engine, make_job(tiny_base, (mixed, 1.0)))
    assert made.receipt.loras[0].components[0].scale_min == 1.0


def test_not_atomic_6_pickle_is_never_read(
    refused: Refused, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "lora.bin"
    path.write_bytes(tiny_loras["plain"].read_bytes())
    refused(path, r"not named \.safetensors")


def test_a_file_that_changed_since_the_plan_is_refused(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "changing.safetensors"
    path.write_bytes(tiny_loras["plain"].read_bytes())
    job = make_job(tiny_base, (path, 1.0))
    path.write_bytes(tiny_loras["other"].read_bytes())
    with pytest.raises(WeightsError, match="changed since the plan"):
        pictures(engine, job)


def test_the_same_file_twice_is_refused(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_loras["plain"].read_bytes())
    with pytest.raises(LoraRefused, match="same file"):
        pictures(engine, make_job(tiny_base, (tiny_loras["plain"], 1.0), (copy, 0.5)))


def test_half_precision_weights_are_computed_in_the_base_dtype(
    engine: Engine, tiny_base: Path, tiny_loras: dict[str, Path], tmp_path: Path
) -> None:
    half = tiny.rewrite(
        tiny_loras["plain"],
        tmp_path / "half.safetensors",
        lambda t: {k: v.half() for k, v in t.items()},
    )
    whole = tiny.rewrite(
        half, tmp_path / "whole.safetensors", lambda t: {k: v.float() for k, v in t.items()}
    )
    assert pixels(engine, tiny_base, (half, 1.0)) == pixels(engine, tiny_base, (whole, 1.0))
