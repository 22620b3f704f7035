"""Names that are not spelt as slugs: in another case, a label, or the name of the file."""

from collections.abc import Iterable, Mapping

from studio.contract.plan import Notice
from studio.contract.request import GenerationRequest
from studio.presets import Catalog, LoraPreset, ModelPreset


def with_slugs(
    request: GenerationRequest, catalog: Catalog
) -> tuple[GenerationRequest, tuple[Notice, ...]]:
    """``request`` with slugs where only one preset can be meant, and what was read so.

    A slug stays as it is; a name that several presets share, or none has, stays for the checks.
    """
    base = _slug(request.base, catalog.models)
    loras = tuple(
        choice.model_copy(update={"slug": _slug(choice.slug, catalog.loras)})
        for choice in request.loras
    )
    read = [("base", request.base, base)]
    read += [
        (f"loras.{now.slug}", said.slug, now.slug)
        for said, now in zip(request.loras, loras, strict=True)
    ]
    found = tuple(
        Notice(code="name_read", field=field, text=f"“{said}” is read as {slug}.")
        for field, said, slug in read
        if said != slug
    )
    if not found:
        return request, ()
    return request.model_copy(update={"base": base, "loras": loras}), found


def _slug(name: str, known: Mapping[str, ModelPreset] | Mapping[str, LoraPreset]) -> str:
    if name in known:
        return name
    presets: Iterable[ModelPreset | LoraPreset] = known.values()
    wanted = _plain(name)
    meant = [each.slug for each in presets if wanted in _names(each)]
    return meant[0] if len(meant) == 1 else name


def _names(preset: ModelPreset | LoraPreset) -> tuple[str, ...]:
    """The slug, the label, and the file as it is called: with its folders, or without."""
    path = _plain(preset.path or "")
    return (preset.slug, _plain(preset.label), path, path.rpartition("/")[2])


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
