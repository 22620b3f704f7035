"""A base's pipeline from this disk: a folder or one file, safetensors only, no other source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from studio.architecture.diffusers_folder import variant_of
from studio.contract.placement import Offload
from studio.contract.plan import BaseIdentity
from studio.engine.base.folder import FOLDER_WAY_OUT, Pipeline, from_folder
from studio.engine.base.library_logs import listen, plain, quiet_progress_bars
from studio.engine.base.single_file import from_single_file
from studio.errors import BaseRefused, WeightsError
from studio.inspection.original import component_of
from studio.resolve.inventory import base_place
from studio.storage.atomic import Stamp, stamp_of

# What the libraries say when weights are missing; they then go on with random ones.
_INCOMPLETE = ("newly initialized", "MISSING", "MISMATCH", "size mismatch")
# diffusers warns of a cast that could hurt some modules, and names none.
_NO_NEWS = "should be kept in float32: []"
# What they raise on a base they cannot read.
_LOAD_ERRORS = (OSError, ValueError, KeyError, IndexError, SafetensorError)


@dataclass(frozen=True, slots=True)
class BaseSource:
    """A base of a plan, and where its files lie.

    Attributes:
        path: its folder (diffusers layout), or its one checkpoint file.
        layout: where a checkpoint's configurations and tokenizers lie; None for a folder.
        stamps: file of the identity, or folder of such files (the base's own has no name) → its
            stamp from before it was proven.
    """

    identity: BaseIdentity
    path: Path
    layout: Path | None = None
    stamps: Mapping[str, Stamp] = field(default_factory=dict)

    def demand_unchanged(self) -> None:
        """What was proven is what was loaded: to be asked after the last read of a file.

        Raises:
            WeightsError: naming a file or folder that was replaced, written or removed meanwhile.
        """
        for name, stamp in self.stamps.items():
            place = base_place(self.path, self.layout, name)
            try:
                same = stamp_of(place.stat()) == stamp
            except OSError:
                same = False
            if not same:
                what = repr(name) if name else "The folder"
                raise WeightsError(
                    f"{what} of {self.identity.label} changed while it was loaded; what was "
                    "loaded is not kept.",
                    "Run it again: its files are checked once more.",
                    place,
                )

    @property
    def places(self) -> Mapping[Path, str]:
        """What the libraries may name by its path, and its name in what is heard."""
        label = self.identity.label
        layout = {} if self.layout is None else {self.layout: f"the configurations of {label}"}
        return {self.path: label, **layout}

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the identity's weight files."""
        names = (file.name for file in self.identity.files)
        return tuple(name for name in names if name.endswith(".safetensors"))


def load_pipeline(source: BaseSource, dtype: torch.dtype) -> tuple[Pipeline, tuple[str, ...]]:
    """The base's pipeline on the CPU, and what the libraries said while loading.

    Raises:
        BaseRefused: it is incomplete, of another pipeline, or not safetensors.
    """
    label, name = source.identity.label, source.identity.pipeline
    quiet_progress_bars()
    _import_pipeline(name)
    try:
        with listen(source.places) as heard:
            if source.layout is None:
                variant = variant_of(source.weights)
                pipeline = from_folder(source.path, name, dtype, variant)
            else:
                architecture = source.identity.architecture
                pipeline = from_single_file(source.path, source.layout, name, architecture, dtype)
    except _LOAD_ERRORS as error:
        text = plain(str(error), source.places)
        raise BaseRefused(f"The base {label} cannot be loaded: {text}", FOLDER_WAY_OUT) from error
    incomplete = [text for text in heard if any(mark in text for mark in _INCOMPLETE)]
    if incomplete:
        raise BaseRefused(f"The base {label} is incomplete: {incomplete[0]}", FOLDER_WAY_OUT)
    pipeline.set_progress_bar_config(disable=True)
    if getattr(pipeline, "watermark", None) is not None:
        # SDXL writes one into its pictures wherever a library for it happens to be installed.
        pipeline.watermark = None
    return pipeline, tuple(text for text in heard if _NO_NEWS not in text)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes a base's weights take, before they are loaded: all, and the largest of each kind."""

    whole: int
    component: int
    tensor: int

    def on_device(self, offload: Offload) -> int:
        """The most that is on the device at one time."""
        return {
            Offload.NONE: self.whole,
            Offload.MODEL: self.component,
            Offload.SEQUENTIAL: self.tensor,
        }[offload]


def estimate(source: BaseSource, dtype: torch.dtype) -> Estimate:
    """What the base's weights take in ``dtype``; other files in its folder are not loaded.

    From the headers, not the sizes: a file in float16 takes twice its size in float32.

    Raises:
        BaseRefused: a weight file cannot be read.
    """
    components: Counter[str] = Counter()
    largest = 0
    for name in source.weights:
        for component, elements in _tensors(source, name):
            components[component] += elements
            largest = max(largest, elements)
    size = dtype.itemsize
    return Estimate(
        whole=size * components.total(),
        component=size * max(components.values(), default=0),
        tensor=size * largest,
    )


def _tensors(source: BaseSource, name: str) -> list[tuple[str, int]]:
    """(component, number of elements) of each tensor of a weight file that is loaded."""
    place = base_place(source.path, source.layout, name)
    try:
        with safe_open(place, framework="pt") as weights:
            sizes = {key: math.prod(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        text = plain(str(error), source.places)
        raise BaseRefused(f"{name!r} cannot be read: {text}", FOLDER_WAY_OUT) from error
    if source.layout is None:
        return [(name.split("/")[0], size) for size in sizes.values()]
    found = ((component_of(key, source.identity.architecture), n) for key, n in sizes.items())
    return [(component, size) for component, size in found if component is not None]


def _import_pipeline(name: str) -> None:
    """Import diffusers' lazy module now: what imports say is no news of this base."""
    import diffusers

    getattr(diffusers, name)
