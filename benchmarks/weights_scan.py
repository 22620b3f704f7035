"""How long the library takes to look at 10,000 LoRA files that no preset names.

    python -m benchmarks.weights_scan [--files 10000]

Writes small LoRA files into a temporary folder, 100 to a subfolder, every third with a sidecar.
First from an empty state in the background, as the page does it; then, each time as another
process would, warm; and once more when one file has come. The bound for the warm one is one second
on two cores.
"""

import argparse
import json
import resource
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from studio.library.catalogue import Catalogue
from studio.library.store import WeightStore
from studio.presets import Catalog
from studio.settings import Settings

MODULES = 24
"""Layers of each file; real ones have 200 to 1,000, which the first scan reads once."""


def lora(number: int) -> bytes:
    """A LoRA's header over tensors of rank 1, as kohya names them; no two are alike."""
    tensors: dict[str, object] = {"__metadata__": {"ss_output_name": f"lora {number}"}}
    position = 0
    for layer in range(MODULES):
        name = f"lora_unet_down_blocks_0_attentions_{layer}_transformer_blocks_0_attn2_to_k"
        for side, shape in (("lora_down", (1, 768)), ("lora_up", (320, 1))):
            end = position + 2 * shape[0] * shape[1]
            entry = {"dtype": "F16", "shape": shape, "data_offsets": [position, end]}
            tensors[f"{name}.{side}.weight"] = entry
            position = end
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(position)


def fill(root: Path, count: int) -> None:
    for number in range(count):
        place = root / f"loras/{number // 100:03}/LoRA {number}.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(lora(number))
        if number % 3 == 0:
            card = {"activation text": f"word{number}", "preferred weight": 0.8}
            place.with_suffix(".json").write_text(json.dumps(card))


def timed(what: str, action: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    seconds = time.perf_counter() - wall
    print(f"{what}: {seconds:.2f} s, {time.process_time() - cpu:.2f} s of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        fill(root / "models", count)
        settings = Settings(
            root / "models", root / "outputs", root / "state", local_presets=root / "local.yaml"
        )

        def opened() -> Catalogue:
            return Catalogue(settings, WeightStore(settings), Catalog((), ()), ())

        first = opened()
        timed("until the page can be built", lambda: (first.start(), first.catalog))

        def until_all_are_there() -> None:
            while len(first.catalog.loras) < count:
                time.sleep(0.01)

        timed("from an empty state", until_all_are_there)
        first.close()
        for _ in range(3):
            catalogue = opened()
            timed("warm, another process", catalogue.refresh)
        timed("warm, the same process", catalogue.refresh)
        (root / "models/one more.safetensors").write_bytes(lora(count))
        timed("after one file has come", catalogue.refresh)
        assert len(catalogue.catalog.loras) == count + 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} files, at most {memory:.0f} MB of memory in all")


if __name__ == "__main__":
    main()
