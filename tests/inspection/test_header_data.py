"""Every family in every format is told from its header, whole or in part, and never mistaken."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.architecture import LABELS
from studio.architecture.families import BY_NAME
from studio.inspection import LoraInspection, inspect
from studio.inspection.header import SafetensorsHeader
from studio.inspection.lora_tensors import split_part
from tests.support.header_data import FOLDER, Sample, expanded, folded, samples, written
from tests.support.header_formats import MODELS_OF, build
from tests.support.headers import Shapes, header

SAMPLES = samples()
NAMES = [f"{sample.family}-{sample.format}" for sample in SAMPLES]
CLASSES_ALONE = {
    "bria", "cosmos", "flux3", "hunyuanimage", "hunyuanvideo15", "kolors", "longcat", "motif",
    "ovis",
}  # fmt: skip
"""Families that test_model_classes.py alone shows."""
COMMONEST = {"chroma": "flux1", "hunyuanvideo": "flux1", "auraflow": "flux1"}
"""Families whose blocks are another's too: that one may be named, and they beside it."""


@pytest.mark.parametrize("name", MODELS_OF)
def test_the_data_are_what_the_model_classes_give(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == written(build(name))


def test_the_data_cover_every_family_and_format() -> None:
    assert {sample.architecture for sample in SAMPLES} == set(LABELS) - CLASSES_ALONE
    formats = {"diffusers", "peft", "bare", "kohya", "comfyui", "lokr", "loha", "dora"}
    for family in {sample.family for sample in SAMPLES}:
        assert formats <= {sample.format for sample in SAMPLES if sample.family == family}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "0", "1", "2", "10", "q", "k", "up"]), min_size=1).map(
            ".".join
        ),
        st.sampled_from([(2, 3), (), (4,)]),
        min_size=1,
    )
)
def test_folding_loses_nothing(shapes: Shapes) -> None:
    assert expanded(folded(shapes)) == shapes


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_each_family_in_each_format(sample: Sample) -> None:
    found = inspect(read(sample.shapes, sample.metadata))
    assert found.kind == "lora"
    assert found.format == sample.format
    assert found.unaccounted == ()
    assert found.candidates == ()
    if sample.format == "xlabs":
        assert found.architecture == "flux1"
        return
    assert found.architecture == sample.architecture
    assert sample.format == "lokr" or found.ranks == (8,)
    assert len(found.modules) == len({split_part(name)[1] for name in sample.shapes})
    denoiser = {BY_NAME[sample.architecture].denoiser}
    assert set(found.components) == denoiser | ENCODERS.get((sample.family, sample.format), set())
    if sample.variant is not None and sample.architecture != "sd3":
        assert found.variant == sample.variant


ENCODERS = {
    ("sd15", "kohya"): {"text_encoder"},
    ("sd15", "diffusers"): {"text_encoder"},
    ("sd15", "comfyui"): {"text_encoder"},
    ("sdxl", "kohya"): {"text_encoder", "text_encoder_2"},
    ("sdxl", "diffusers"): {"text_encoder", "text_encoder_2"},
    ("sdxl", "comfyui"): {"text_encoder", "text_encoder_2"},
    ("flux1", "kohya"): {"text_encoder", "text_encoder_2"},
    ("flux1", "diffusers"): {"text_encoder"},
    ("flux1", "comfyui"): {"text_encoder", "text_encoder_2"},
}
"""What the samples hold of text encoders, by the names of each family's pipeline."""


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if (sample.family, sample.format) in ENCODERS],
    ids=lambda sample: f"{sample.family}-{sample.format}",
)
def test_the_evidence_says_how_wide_the_text_encoders_are(sample: Sample) -> None:
    """Cross-attention reads 2048 features, the text encoders 768 and 1280: SDXL."""
    found = inspect(read(sample.shapes, sample.metadata))
    widths = {
        "sd15": ["Text encoder is 768 wide."],
        "sdxl": ["Text encoder is 768 wide.", "Text encoder 2 is 1280 wide."],
        "flux1": ["Text encoder is 768 wide.", "Text encoder 2 is 4096 wide."],
    }[sample.family]
    there = widths[: len(ENCODERS[sample.family, sample.format])]
    told = [line for line in found.evidence if line.startswith("Text encoder")]
    assert told == there
    if sample.family == "sdxl":
        assert found.evidence[0] == "Cross-attention reads 2048 features, as in SDXL."
    assert found.components["text_encoder"] == 12 * 6
    assert found.components.get("text_encoder_2") in (None, 32 * 6, 24 * 7)


def read(shapes: Shapes, metadata: dict[str, str]) -> SafetensorsHeader:
    return header(shapes, metadata)


def part_of(sample: Sample, keep: Callable[[str], bool]) -> Shapes:
    """The tensors of the layers that ``keep`` takes."""
    return {name: shape for name, shape in sample.shapes.items() if keep(split_part(name)[1])}


def honest(sample: Sample, found: LoraInspection) -> None:
    """The right family, or none, or one of several that are all named, the right one with them."""
    told = " ".join(found.evidence)
    if found.architecture == sample.architecture:
        assert found.variant in (None, sample.variant, "dev")
        if sample.architecture == "flux2":
            assert found.variant in (None, sample.variant)
    elif found.candidates:
        assert sample.architecture in found.candidates
        assert LABELS[sample.architecture] in told
        assert "not decidable from this file" in told
        assert found.architecture in ("unknown", COMMONEST.get(sample.architecture))
    else:
        assert found.architecture == "unknown"
        assert "no family known here" in told


CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "ss_base_model_version": st.sampled_from(
            ["sd_v1", "sdxl_base_v1-0", "flux1", "flux2_klein_4b", "chroma", "z_image", "wan2.1"]
        ),
        "modelspec.architecture": st.sampled_from(
            ["stable-diffusion-xl-v1-base/lora", "flux-1-dev/lora", "qwen-image/lora"]
        ),
        "ss_v2": st.just("True"),
        "ss_tag_frequency": st.just(json.dumps({"1_x": {"x": 1}})),
    },
)
PARTS = ("", r"attn|attention", r"ff|mlp|ffn|feed_forward|linear[12]", r"norm|mod", r"_q|\.q|qkv")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES), st.sampled_from(PARTS), CLAIMS, st.data())
def test_no_part_of_a_file_is_taken_for_another_family(
    sample: Sample, pattern: str, claims: dict[str, str], data: st.DataObject
) -> None:
    """Attention alone, some blocks alone, a few layers alone; and whatever the file claims."""
    layers = sorted({split_part(name)[1] for name in sample.shapes})
    chosen = [layer for layer in layers if re.search(pattern, layer)] or layers
    first = data.draw(st.integers(0, len(chosen) - 1))
    step = data.draw(st.integers(1, 7))
    count = data.draw(st.integers(1, len(chosen)))
    kept = set(chosen[first::step][:count])
    shapes = part_of(sample, kept.__contains__)
    silent = inspect(read(shapes, {}))
    honest(sample, silent)
    claimed = inspect(read(shapes, claims))
    for field in ("architecture", "variant", "format", "components", "modules", "candidates"):
        assert getattr(claimed, field) == getattr(silent, field)


KINDS = [
    (sample, re.sub(r"\d+", "#", layer))
    for sample in SAMPLES
    if sample.format in ("diffusers", "kohya")
    for layer in {
        re.sub(r"\d+", "#", name): name for name in (split_part(each)[1] for each in sample.shapes)
    }.values()
]
"""Each kind of layer of each family, which some trainer may adapt alone."""


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_no_kind_of_layer_is_taken_for_another_family(
    kind: tuple[Sample, str], data: st.DataObject
) -> None:
    sample, layer = kind
    shapes = part_of(sample, lambda name: re.sub(r"\d+", "#", name) == layer)
    honest(sample, inspect(read(shapes, {})))
    one = data.draw(st.sampled_from(sorted({split_part(name)[1] for name in shapes})))
    honest(sample, inspect(read(part_of(sample, one.__eq__), {})))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SAMPLES), st.sampled_from(["lycoris_", "model.", "x.", "lora_", "net."]))
def test_no_prefix_changes_the_family(sample: Sample, prefix: str) -> None:
    shapes = {prefix + name: shape for name, shape in sample.shapes.items()}
    honest(sample, inspect(read(shapes, sample.metadata)))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(SAMPLES), st.sampled_from(SAMPLES))
def test_two_families_in_one_file_are_not_one_without_a_word(one: Sample, other: Sample) -> None:
    """A merge of two families is one of them or none; never a third."""
    found = inspect(read(one.shapes | other.shapes, {}))
    families = {one.architecture, other.architecture, "unknown"}
    families |= {COMMONEST.get(one.architecture, ""), COMMONEST.get(other.architecture, "")}
    assert found.architecture in families
