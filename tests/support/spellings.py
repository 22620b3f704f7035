"""How tools spell a LoRA's layers, and what is taken of it: data of a test and of a table.

``python -m tests.support.spellings --write docs/inspect.md`` writes the table.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.headers import Shapes

RANK = 4
TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Naming:
    """How a layer is called: ``{part}`` is the component, ``{name}`` the layer's own name, and
    ``{flat}`` the same with underscores."""

    who: str
    pattern: str

    def stem(self, part: str, name: str) -> str:
        return self.pattern.format(part=part, name=name, flat=name.replace(".", "_"))


OUT, IN, RANKS, FACTOR_OUT, FACTOR_IN = "out", "in", "rank", "out / 4", "in / 4"
Sizes = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Tensors:
    """What tensors a layer has: ending → its sizes. ``verdict`` is ``TAKEN``, or the kind that the
    file is called."""

    what: str
    sizes: Mapping[str, Sizes]
    verdict: str = TAKEN

    def shapes(self, stem: str, outputs: int, inputs: int) -> Shapes:
        known = {OUT: outputs, IN: inputs, RANKS: RANK}
        known |= {FACTOR_OUT: outputs // 4, FACTOR_IN: inputs // 4}
        return {
            f"{stem}.{ending}": tuple(
                size if isinstance(size, int) else known[size] for size in sizes
            )
            for ending, sizes in self.sizes.items()
        }


NAMINGS = (
    Naming("diffusers", "{part}.{name}"),
    Naming("peft", "base_model.model.{name}"),
    Naming("no prefix", "{name}"),
    Naming("ComfyUI, ai-toolkit", "diffusion_model.{name}"),
    Naming("kohya-ss, musubi-tuner", "lora_unet_{flat}"),
    Naming("OneTrainer", "lora_transformer_{flat}"),
    Naming("LyCORIS", "lycoris_{flat}"),
    Naming("a trailing underscore", "lora_unet_{flat}_"),
    Naming("the first FLUX notebooks", "{part}_{flat}"),
    Naming("SimpleTuner", "{part}.base_model.model.{name}"),
    Naming("DataParallel", "module.{name}"),
    Naming("torch.compile", "{part}._orig_mod.{name}"),
    Naming("both of them, in peft", "base_model.model.module._orig_mod.{name}"),
    Naming("a trainer's own wrapper", "pipeline.my-net.{name}"),
)


def _pair(down: str, up: str) -> dict[str, Sizes]:
    return {down: (RANKS, IN), up: (OUT, RANKS)}


_PEFT = _pair("lora_A.weight", "lora_B.weight")
_KOHYA = _pair("lora_down.weight", "lora_up.weight") | {"alpha": ()}
_NAMED = _pair("lora_A.my-style.weight", "lora_B.my-style.weight")
_FIRST = _pair("lora.down.weight", "lora.up.weight")
_LOHA: dict[str, Sizes] = {
    "hada_w1_a": (OUT, RANKS), "hada_w1_b": (RANKS, IN),
    "hada_w2_a": (OUT, RANKS), "hada_w2_b": (RANKS, IN),
}  # fmt: skip
_LOKR: dict[str, Sizes] = {
    "lokr_w1": (4, 4), "lokr_w2_a": (FACTOR_OUT, RANKS), "lokr_w2_b": (RANKS, FACTOR_IN),
    "alpha": (),
}  # fmt: skip
_GLORA: dict[str, Sizes] = {f"{part}.weight": (4, 4) for part in ("a1", "a2", "b1", "b2")}

LAYERS = (
    Tensors("LoRA of peft and diffusers", _PEFT),
    Tensors("the same with the adapter's name", _NAMED),
    Tensors("the same with a bias", _PEFT | {"lora_B.bias": (OUT,)}),
    Tensors("LoRA of kohya-ss", _KOHYA),
    Tensors("LoRA of the first diffusers", _FIRST),
    Tensors("DoRA of kohya-ss and LyCORIS", _KOHYA | {"dora_scale": (OUT, 1)}),
    Tensors("DoRA of peft", _PEFT | {"lora_magnitude_vector": (OUT,)}),
    Tensors("LoHa", _LOHA),
    Tensors("LoKr", _LOKR),
    Tensors("LoKr of two whole factors", {"lokr_w1": (4, 4), "lokr_w2": (FACTOR_OUT, FACTOR_IN)}),
    Tensors("full difference", {"diff": (OUT, IN), "diff_b": (OUT,)}),
    Tensors("OFT of peft", {"oft_R.weight": (4, 28)}, "oft"),
    Tensors("Diag-OFT of LyCORIS", {"oft_blocks": (4, 8, 8), "alpha": ()}, "diag-oft"),
    Tensors("BOFT of LyCORIS", {"oft_blocks": (2, 4, 8, 8)}, "boft"),
    Tensors("BOFT of peft", {"boft_R": (1, 4, 4, 4), "boft_s": (OUT, 1)}, "boft"),
    Tensors("IA3 of LyCORIS", {"weight": (1, IN), "on_input": ()}, "ia3"),
    Tensors("IA3 of peft", {"ia3_l": (OUT, 1)}, "ia3"),
    Tensors("GLoRA of LyCORIS", _GLORA, "glora"),
)

_BETWEEN = re.compile(r"(?<=<!-- spellings -->\n).*(?=<!-- /spellings -->)", re.DOTALL)


def table() -> str:
    """Both lists as Markdown."""
    names = [
        f"| {each.who} | `{each.stem('transformer', 'transformer_blocks.0.attn.to_q')}` |"
        for each in NAMINGS
    ]
    layers = [
        f"| {each.what} | {_endings(each)} | "
        + ("taken" if each.verdict == TAKEN else f"refused as `{each.verdict}`")
        + " |"
        for each in LAYERS
    ]
    return "\n".join(
        [
            f"Each of these {len(NAMINGS)} namings is tested with each of the {len(LAYERS)} kinds "
            "of layers below.",
            "",
            "| Whose naming | A layer's name |",
            "|---|---|",
            *names,
            "",
            "| Kind of layer | Its tensors | |",
            "|---|---|---|",
            *layers,
            "",
        ]
    )


def _endings(tensors: Tensors) -> str:
    return ", ".join(
        f"`{ending}` ({' × '.join(map(str, sizes)) or 'a number'})"
        for ending, sizes in tensors.sizes.items()
    )


def with_table(text: str) -> str:
    return _BETWEEN.sub(lambda _: table(), text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the table into a page.")
    parser.add_argument("--write", type=Path, required=True)
    page = parser.parse_args().write
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
