"""How long `studio weights scan` takes with 10,000 LoRA files: first, and ever after.

    python -m benchmarks.weights_scan [--files 10000]

Writes small LoRA files into a temporary folder, 100 to a subfolder, and scans with a catalog that
has a preset for each. The bound for the warm scan is one second on two cores.
"""

import argparse
import json
import struct
import tempfile
import time
from pathlib import Path

from studio.architecture import Architecture
from studio.library.stock import Stock
from studio.library.store import WeightStore
from studio.presets import Catalog, LoraPreset, TriggerRule
from studio.settings import Settings

MODULES = 24
"""Layers of each file; real ones have 200 to 1,000, which the first scan reads once."""


def lora() -> bytes:
    """A LoRA's header over tensors of rank 1, as kohya names them."""
    tensors, position = {}, 0
    for number in range(MODULES):
        name = f"lora_unet_down_blocks_0_attentions_{number}_transformer_blocks_0_attn2_to_k"
        for side, shape in (("lora_down", (1, 768)), ("lora_up", (8, 1))):
            end = position + 2 * shape[0] * shape[1]
            entry = {"dtype": "F16", "shape": shape, "data_offsets": [position, end]}
            tensors[f"{name}.{side}.weight"] = entry
            position = end
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(position)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = lora()
        for number in range(count):
            folder = root / "loras" / f"{number // 100:03}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.safetensors").write_bytes(data)
        presets = tuple(
            LoraPreset(
                slug=f"lora-{number}",
                label=f"LoRA {number}",
                base_architecture=Architecture.SD15,
                path=f"loras/{number // 100:03}/{number}.safetensors",
                trigger=TriggerRule.NONE,
            )
            for number in range(count)
        )
        settings = Settings(root, root / "outputs", root / "state", local_presets=root / "l.yaml")
        for label in ("cold", "warm", "warm", "warm"):
            # A new store each time, as a new process has: nothing is remembered but on disk.
            stock = Stock(settings, WeightStore(settings), Catalog((), presets))
            start = time.perf_counter()
            found = stock.holdings.scan(stock.catalog)
            seconds = time.perf_counter() - start
            assert len(found) == count
            assert all(row.presets for row in found)
            print(f"{label}: {count:,} files in {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
