"""A CLIP model's scores, put into the record of a comparison."""

from collections.abc import Sequence

from studio.comparison.numbers import ClipReading, Vector, cosine
from studio.comparison.record import ComparisonRecord


def with_scores(
    record: ComparisonRecord, cells: Sequence[int], reading: ClipReading
) -> ComparisonRecord:
    """``record`` with each picture against its prompt, and both pictures of each pair.

    Args:
        cells: the pictured cells, in the order in which the model read them.
    """
    pictures = dict(zip(cells, reading.images, strict=True))
    prompts = dict(zip(cells, reading.texts, strict=True))
    scored = [
        cell.model_copy(update={"clip": _against(pictures.get(index), prompts.get(index))})
        for index, cell in enumerate(record.cells)
    ]
    numbers = [
        each.model_copy(
            update={"clip": _against(pictures.get(each.left), pictures.get(each.right))}
        )
        for each in record.numbers
    ]
    update = {"cells": tuple(scored), "numbers": tuple(numbers), "clip": reading.model}
    return record.model_copy(update=update)


def _against(one: Vector | None, other: Vector | None) -> float | None:
    return None if one is None or other is None else cosine(one, other)
