"""What the base makes of texts and pictures that are not what it was trained to read."""

from collections.abc import Iterator

from studio.architecture import PipelineTraits
from studio.contract.plan import Notice
from studio.contract.prompt import ResolvedPrompt, Side
from studio.contract.request import ReferenceImage
from studio.resolve.context import Draft

_SPECIAL_TOKENS = 2
"""Start and end, in every window of CLIP."""


def reading_notices(draft: Draft, prompt: ResolvedPrompt) -> Iterator[Notice]:
    yield from _pooled_notices(draft, prompt)
    for reference in draft.request.references:
        yield from _reference_notices(draft.pipeline, draft.model.label, reference)


def _pooled_notices(draft: Draft, prompt: ResolvedPrompt) -> Iterator[Notice]:
    """With Compel the words go on in further windows; one vector cannot."""
    rooms = {
        each.component: each.window - _SPECIAL_TOKENS
        for each in draft.traits.text_encoders
        if each.pooled and each.window is not None
    }
    for entry in prompt.ledger:
        room = rooms.get(entry.encoder)
        if room is not None and entry.used > room:
            field = "negative_prompt" if entry.side is Side.NEGATIVE else "prompt"
            text = (
                f"All {entry.used} tokens of the {field.replace('_', ' ')} are read; the pooled "
                f"embedding beside them is of the first {room} alone."
            )
            yield Notice(code="beyond_pooled", field=field, text=text)


def _reference_notices(
    pipeline: PipelineTraits, label: str, reference: ReferenceImage
) -> Iterator[Notice]:
    size = size_read(pipeline, reference)
    if size != (reference.width, reference.height):
        text = (
            f"The reference image has {reference.width} × {reference.height} pixels; {label} "
            f"reads it scaled to {size[0]} × {size[1]}, the nearest in shape that it was trained "
            "with."
        )
        yield Notice(code="reference_scaled", field="references", text=text)


def size_read(pipeline: PipelineTraits, reference: ReferenceImage) -> tuple[int, int]:
    """(width, height) in pixels at which the pipeline reads a reference.

    As ``FluxKontextPipeline.__call__`` chooses it: the least difference of width / height,
    then the smaller width.
    """
    if not pipeline.reference_sizes:
        return reference.width, reference.height
    shape = reference.width / reference.height
    _, width, height = min(
        (abs(shape - width / height), width, height) for width, height in pipeline.reference_sizes
    )
    return width, height
