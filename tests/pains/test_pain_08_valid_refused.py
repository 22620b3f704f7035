"""Users suffer: a valid LoRA is refused."""

from __future__ import annotations

import pytest

from studio.architecture import Architecture
from studio.architecture.families import BY_NAME
from studio.inspection import inspect
from studio.inspection.fit import check_fit
from tests.support.full_size import weights_of
from tests.support.header_data import Sample, samples
from tests.support.header_formats import MODELS_OF
from tests.support.headers import header

OURS = {each.value for each in Architecture}
MODELS = {family: model for families in MODELS_OF.values() for family, model in families.items()}
ENCODERS = {
    "sd15": {"text_encoder": "clip-768"},
    "sdxl": {"text_encoder": "clip-768", "text_encoder_2": "clip-1280"},
    "flux1": {"text_encoder": "clip-768", "text_encoder_2": "t5-xxl"},
}
"""Those whose layers the samples change."""
VALID = [sample for sample in samples() if sample.architecture in OURS & MODELS.keys()
         or (sample.family in MODELS and sample.architecture in OURS)]  # fmt: skip


@pytest.mark.parametrize("sample", VALID, ids=lambda each: f"{each.family}-{each.format}")
def test_every_format_fits_the_full_sized_base(sample: Sample) -> None:
    """What tools write for a family has its place in it, layer by layer."""
    component = BY_NAME[sample.architecture].denoiser
    models = {component: MODELS[sample.family], **ENCODERS.get(sample.architecture, {})}
    base = {part: weights_of(model) for part, model in models.items()}
    found = check_fit(
        inspect(header(sample.shapes, sample.metadata)), base, "the base", sample.architecture
    )
    assert found.evidence == ()
    assert found.fits
