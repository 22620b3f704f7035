"""The cost of a swap against diffusers used plainly: python -m benchmarks.lora_swap

A base of SD 1.5's real size (random weights, bfloat16) and LoRAs of rank 16 on the UNet's
attention and feed-forward layers and the text encoder's. The studio's pipeline and a plain
diffusers pipeline stand side by side in one process and take turns. ``--tiny`` tries the script
in seconds; its figures mean nothing.
"""

import argparse
import gc
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from studio.architecture import Architecture
from studio.contract.base import FileIdentity, fingerprint
from studio.contract.plan import BaseIdentity
from studio.engine.base.manager import PipelineManager
from studio.engine.base.resident import ResidentBase
from studio.engine.lora.inject import WantedLora
from studio.engine.lora.probe import read_probe
from studio.engine.lora.receipts import receipts
from studio.engine.lora.switch import set_loras
from studio.engine.tiny import build_tiny
from studio.library.store import WeightStore
from studio.settings import BUILT_IN_PRESETS, Settings

RANK = 16
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
RESIDENT = (2, 8, 32)
LIMITS = {"swap": 1 / 30, "first_use": 1.3, "strength": 1.0, "four_steps": 1.05}
SIDE = 256
"""Pixels of a four-step image's side: small, so that what is not denoising weighs the more."""
LAYOUT = BUILT_IN_PRESETS / "layouts" / "sd15"


def full_size() -> StableDiffusionPipeline:
    """SD 1.5 with random weights in bfloat16; drawing them takes most of a minute."""
    with init_empty_weights():
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(LAYOUT / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(LAYOUT / "vae"))
    # Its embeddings' positions are a buffer, which must be real.
    text = CLIPTextModel(CLIPTextConfig.from_pretrained(LAYOUT / "text_encoder")).bfloat16()
    return StableDiffusionPipeline(
        unet=filled(unet),
        vae=filled(vae),
        text_encoder=text,
        tokenizer=CLIPTokenizer.from_pretrained(LAYOUT / "tokenizer", local_files_only=True),
        scheduler=PNDMScheduler.from_pretrained(LAYOUT / "scheduler", local_files_only=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def filled(model: Any) -> Any:
    """Small normal weights; norms keep what they compute near one."""
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            nn.init.constant_(weight, 1.0 if name.endswith("weight") else 0.0)
        else:
            nn.init.normal_(weight, std=0.02)
    return model


def save_lora(pipeline: Any, path: Path, seed: int, attention_only: bool = False) -> Path:
    """A LoRA in diffusers' format, bfloat16, as large as trained ones are."""
    generator = torch.Generator().manual_seed(seed)
    unet = ATTENTION if attention_only else ATTENTION + FEED_FORWARD
    tensors = {}
    for component, targets in (("unet", unet), ("text_encoder", TEXT)):
        for name, module in getattr(pipeline, component).named_modules():
            if isinstance(module, nn.Linear) and name.endswith(targets):
                layer = f"{component}.{name}"
                for side, shape in (
                    ("A", (RANK, module.in_features)),
                    ("B", (module.out_features, RANK)),
                ):
                    weight = torch.randn(shape, generator=generator) * 0.02
                    tensors[f"{layer}.lora_{side}.weight"] = weight.bfloat16()
    save_file(tensors, path)
    return path


@dataclass(slots=True)
class Bench:
    """Both pipelines, and the files they load."""

    base: ResidentBase
    manager: PipelineManager
    plain: Any
    files: list[Path]
    smaller: list[Path]
    store: WeightStore
    rounds: int

    def use(self, *wanted: tuple[Path, float]) -> float:
        """Seconds the studio takes to have exactly these on."""
        loras = [WantedLora(path.stem, sha256_of(path), s, path) for path, s in wanted]
        return seconds(lambda: set_loras(self.base, loras, self.manager.make_room))

    def first_use(self, path: Path) -> float:
        """The same for a file nobody has seen: hashed as a plan does, then used."""

        def work() -> None:
            wanted = [WantedLora(path.stem, self.store.sha256(path), 1.0, path)]
            set_loras(self.base, wanted, self.manager.make_room)

        return seconds(work)

    def plain_load(self, path: Path) -> float:
        return seconds(
            lambda: self.plain.load_lora_weights(
                path.parent, weight_name=path.name, adapter_name=path.stem
            )
        )

    def plain_reload(self, path: Path) -> float:
        """Diffusers' plain way to another LoRA: unload, load."""
        return seconds(self.plain.unload_lora_weights) + self.plain_load(path)


def seconds(work: Callable[[], object]) -> float:
    gc.collect()  # so that neither side pays for what the other left behind
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


_HASHES: dict[Path, str] = {}


def sha256_of(path: Path) -> str:
    """As a plan holds it: known before the run."""
    if path not in _HASHES:
        _HASHES[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _HASHES[path]


def identity(folder: Path) -> BaseIdentity:
    files = tuple(
        FileIdentity(name=str(file.relative_to(folder)), sha256="0" * 64, size=file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    )
    return BaseIdentity(
        slug="base",
        label="Base",
        architecture=Architecture.SD15,
        pipeline="StableDiffusionPipeline",
        source="local",
        revision=None,
        sha256=fingerprint([file.model_dump() for file in files]),
        files=files,
    )


def first_uses(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """Files never seen, one after another, both sides on the same ones."""
    ours, theirs = [], []
    for path in bench.files[: bench.rounds]:
        theirs.append(bench.plain_load(path))
        bench.plain.unload_lora_weights()
        ours.append(bench.first_use(path))
    yield "studio, first use", ours
    yield "diffusers, load", theirs
    base = bench.base
    probes = [seconds(lambda: read_probe(base.family, base.pipeline)) for _ in range(bench.rounds)]
    yield "studio, one call of the probe (a base arm makes one)", probes


def swaps(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """There and back between two LoRAs, both used before."""
    one, two = bench.files[0], bench.files[1]
    for path in (one, two):
        bench.use((path, 1.0))
    bench.plain_reload(one)
    ours, theirs = [], []
    for turn in range(bench.rounds):
        path = (two, one)[turn % 2]
        ours.append(bench.use((path, 1.0)))
        theirs.append(bench.plain_reload(path))
    yield "studio, resident switch", ours
    yield "diffusers, unload and load", theirs


def strengths(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """One LoRA at another strength: used before, and never used."""
    path = bench.files[0]
    for strength in (0.5, 1.0):
        bench.use((path, strength))
    yield (
        "studio, strength used before",
        [bench.use((path, (0.5, 1.0)[turn % 2])) for turn in range(bench.rounds)],
    )
    yield (
        "studio, new strength (its effect is known)",
        [bench.use((path, 0.6 + turn / 100)) for turn in range(bench.rounds)],
    )
    bench.use((path, 1.0))
    yield "studio, base arm (proven anew)", [_base_arm(bench) for _ in range(bench.rounds)]


def _base_arm(bench: Bench) -> float:
    bench.use((bench.files[0], 1.0))
    return bench.use()


def four_steps(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """An image of four unguided steps, each at a strength that was never used; in turns."""
    path = bench.files[0]
    bench.plain_reload(path)
    ours, theirs = [], []
    for turn in range(bench.rounds):
        strength = 0.3 + turn / 100

        def studio(strength: float = strength) -> None:
            loras = [WantedLora(path.stem, sha256_of(path), strength, path)]
            receipts(bench.base, set_loras(bench.base, loras, bench.manager.make_room))
            denoise(bench.base.pipeline)

        def plain(strength: float = strength) -> None:
            bench.plain.set_adapters([path.stem], [strength])
            denoise(bench.plain)

        for work, times in ((studio, ours), (plain, theirs))[:: 1 if turn % 2 else -1]:
            times.append(seconds(work))
    yield "studio, four steps at a new strength", ours
    yield "diffusers, four steps at a new strength", theirs


def denoise(pipeline: Any) -> None:
    pipeline(
        "a rocket",
        num_inference_steps=4,
        guidance_scale=1.0,
        width=SIDE,
        height=SIDE,
        output_type="latent",
    )


def residents(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """The same switch with more and more LoRAs in memory beside the two."""
    for count in RESIDENT:
        for path in bench.files[:count]:
            if sha256_of(path) not in bench.base.adapters:
                bench.use((path, 1.0))
        one, two = bench.files[0], bench.files[1]
        for path in (one, two):
            bench.use((path, 1.0))
        assert len(bench.base.adapters) >= count
        yield (
            f"studio, resident switch among {count}",
            [bench.use(((one, two)[turn % 2], 1.0)) for turn in range(bench.rounds)],
        )


def modules(bench: Bench) -> Iterator[tuple[str, list[float]]]:
    """Fewer modules: attention alone in the UNet."""
    paths = bench.smaller
    for path in paths:
        bench.use((path, 1.0))
    count = len(bench.base.adapters[sha256_of(paths[0])].scales)
    yield (
        f"studio, resident switch of {count} modules",
        [bench.use((paths[turn % 2], 1.0)) for turn in range(bench.rounds)],
    )


def summary(timings: dict[str, list[float]]) -> dict[str, Any]:
    """Medians in milliseconds, and what the aims speak of."""
    median = {name: statistics.median(values) for name, values in timings.items()}
    ratios = {
        "swap": median["studio, resident switch"] / median["diffusers, unload and load"],
        "first_use": median["studio, first use"] / median["diffusers, load"],
        "strength": median["studio, strength used before"] / median["studio, resident switch"],
        "four_steps": median["studio, four steps at a new strength"]
        / median["diffusers, four steps at a new strength"],
    }
    return {
        "milliseconds": {name: round(1000 * value, 2) for name, value in median.items()},
        "slowest": {name: round(1000 * max(values), 2) for name, values in timings.items()},
        "ratios": {name: round(value, 4) for name, value in ratios.items()},
        "limits": {name: round(value, 4) for name, value in LIMITS.items()},
        "met": {name: ratios[name] <= LIMITS[name] for name in LIMITS},
    }


def measure(folder: Path, tiny: bool, rounds: int) -> dict[str, Any]:
    made = build_tiny("StableDiffusionPipeline") if tiny else full_size()
    made.save_pretrained(folder / "base")
    files = [
        save_lora(made, folder / f"lora{seed:02}.safetensors", seed)
        for seed in range(max(RESIDENT))
    ]
    smaller = [
        save_lora(made, folder / f"attention{seed}.safetensors", 900 + seed, attention_only=True)
        for seed in range(2)
    ]
    dtype = "float32" if tiny else "bfloat16"
    manager = PipelineManager(torch.device("cpu"), 10**12)
    base = manager.acquire(identity(folder / "base"), folder / "base", dtype)
    made.set_progress_bar_config(disable=True)
    store = WeightStore(Settings(folder, folder, folder / "state"))
    bench = Bench(base, manager, made, files, smaller, store, rounds)
    timings: dict[str, list[float]] = {}
    with torch.no_grad():
        for part in (first_uses, swaps, strengths, four_steps, modules, residents):
            timings |= dict(part(bench))
    adapter = base.adapters[sha256_of(files[0])]
    return {
        "base_bytes": base.size,
        "lora_bytes": adapter.size,
        "lora_modules": len(adapter.scales),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        **summary(timings),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), options.tiny, options.rounds)
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.json is not None:
        options.json.write_text(text)
    if not options.tiny and not all(result["met"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
