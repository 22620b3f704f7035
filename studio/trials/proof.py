"""Whether a trial's pictures are what they are taken for: its controls and its receipts."""

from collections.abc import Iterator, Mapping, Sequence

from studio.comparison.validity import Reason
from studio.trials.design import CellRole
from studio.trials.store import CellResult


def broken(results: Mapping[str, CellResult]) -> tuple[Reason, ...]:
    """Every reason why nothing may be concluded; none where all holds. Cells are numbered in the
    order of ``results``."""
    made = [each for each in results.values() if each.pixels is not None]
    numbers = {key: number for number, key in enumerate(results)}
    return tuple(
        Reason(
            code=code,
            text=text,
            cells=tuple(numbers[each.cell.key] for each in cells),
        )
        for code, text, cells in (
            *_controls(made, results),
            *_noise(made),
            *_devices(made),
            *_proofs(made),
        )
    )


def controls_done(results: Mapping[str, CellResult]) -> bool:
    """Whether both controls were made."""
    roles = {each.cell.role for each in results.values() if each.pixels is not None}
    return {CellRole.SCALE_ZERO, CellRole.BASE_AGAIN} <= roles


_Broken = tuple[str, str, Sequence[CellResult]]


def _controls(made: Sequence[CellResult], results: Mapping[str, CellResult]) -> Iterator[_Broken]:
    said = {
        CellRole.SCALE_ZERO: (
            "scale_zero",
            "The LoRA at strength 0 does not equal the base bit for bit.",
        ),
        CellRole.BASE_AGAIN: (
            "base_changed",
            "The base before and after the LoRAs is not bit-identical.",
        ),
    }
    for each in made:
        if each.cell.role in said:
            base = results.get(each.cell.of_base.key)
            if base is None or base.pixels != each.pixels:
                code, text = said[each.cell.role]
                yield code, text, [each]


def _noise(made: Sequence[CellResult]) -> Iterator[_Broken]:
    """Everything that the noise is made of but the seed is held in a trial."""
    seeds: dict[int, list[CellResult]] = {}
    for each in made:
        seeds.setdefault(each.cell.seed, []).append(each)
    for seed, cells in seeds.items():
        if len({each.noise for each in cells}) > 1:
            yield "noise", f"The pictures of seed {seed} did not begin from the same noise.", cells


def _devices(made: Sequence[CellResult]) -> Iterator[_Broken]:
    devices = sorted({each.device for each in made})
    if len(devices) > 1:
        yield (
            "devices",
            f"The pictures were made on different devices: {', '.join(devices)}.",
            made,
        )


def _proofs(made: Sequence[CellResult]) -> Iterator[_Broken]:
    bad = [each for each in made if not each.base_held]
    if bad:
        text = "With every LoRA off, the base no longer gave the output it was loaded with."
        yield "base_proof", text, bad
