"""Layer names of each model's authors, as kohya-ss and ComfyUI write them, from diffusers'.

Where several layers of diffusers are one of the authors', their outputs add up: three
projections become ``qkv``. Sources: the conversion scripts of diffusers 0.42 (scripts/) and its
loaders/lora_conversion_utils.py, read in the opposite direction.
"""

import re
from collections.abc import Callable, Mapping

from tests.support.headers import Shapes

Names = tuple[tuple[str, str], ...]

_DOUBLE = r"transformer_blocks\.(\d+)\."
_SINGLE = r"single_transformer_blocks\.(\d+)\."
_QKV = r"attn\.to_[qkv]"
_STREAMS: Names = (
    (_DOUBLE + _QKV, r"double_blocks.\1.img_attn.qkv"),
    (_DOUBLE + r"attn\.add_[qkv]_proj", r"double_blocks.\1.txt_attn.qkv"),
    (_DOUBLE + r"attn\.to_out\.0", r"double_blocks.\1.img_attn.proj"),
    (_DOUBLE + r"attn\.to_add_out", r"double_blocks.\1.txt_attn.proj"),
)
_FLUX1: Names = (
    *_STREAMS,
    (_DOUBLE + r"ff\.net\.0\.proj", r"double_blocks.\1.img_mlp.0"),
    (_DOUBLE + r"ff\.net\.2", r"double_blocks.\1.img_mlp.2"),
    (_DOUBLE + r"ff_context\.net\.0\.proj", r"double_blocks.\1.txt_mlp.0"),
    (_DOUBLE + r"ff_context\.net\.2", r"double_blocks.\1.txt_mlp.2"),
    (_DOUBLE + r"norm1\.linear", r"double_blocks.\1.img_mod.lin"),
    (_DOUBLE + r"norm1_context\.linear", r"double_blocks.\1.txt_mod.lin"),
    (_SINGLE + rf"(?:{_QKV}|proj_mlp)", r"single_blocks.\1.linear1"),
    (_SINGLE + r"proj_out", r"single_blocks.\1.linear2"),
    (_SINGLE + r"norm\.linear", r"single_blocks.\1.modulation.lin"),
    (r"(distilled_guidance_layer\..*)", r"\1"),
)
_FLUX2: Names = (
    *_STREAMS,
    (_DOUBLE + r"ff\.linear_in", r"double_blocks.\1.img_mlp.0"),
    (_DOUBLE + r"ff\.linear_out", r"double_blocks.\1.img_mlp.2"),
    (_DOUBLE + r"ff_context\.linear_in", r"double_blocks.\1.txt_mlp.0"),
    (_DOUBLE + r"ff_context\.linear_out", r"double_blocks.\1.txt_mlp.2"),
    (_SINGLE + r"attn\.to_qkv_mlp_proj", r"single_blocks.\1.linear1"),
    (_SINGLE + r"attn\.to_out", r"single_blocks.\1.linear2"),
    (r"(double_stream_modulation_\w+|single_stream_modulation)\.linear", r"\1.lin"),
)
_HUNYUAN: Names = tuple(
    (
        pattern,
        re.sub(r"_attn\.", "_attn_", new)
        .replace("mlp.0", "mlp.fc1")
        .replace("mlp.2", "mlp.fc2")
        .replace(".lin", ".linear")
        .replace(".linearear", ".linear"),
    )
    for pattern, new in _FLUX1
)
_SD3: Names = (
    (_DOUBLE + _QKV, r"joint_blocks.\1.x_block.attn.qkv"),
    (_DOUBLE + r"attn\.add_[qkv]_proj", r"joint_blocks.\1.context_block.attn.qkv"),
    (_DOUBLE + r"attn\.to_out\.0", r"joint_blocks.\1.x_block.attn.proj"),
    (_DOUBLE + r"attn\.to_add_out", r"joint_blocks.\1.context_block.attn.proj"),
    (_DOUBLE + r"ff\.net\.0\.proj", r"joint_blocks.\1.x_block.mlp.fc1"),
    (_DOUBLE + r"ff\.net\.2", r"joint_blocks.\1.x_block.mlp.fc2"),
)
_LAYERS = r"((?:layers|noise_refiner|context_refiner)\.\d+)\."
_ZIMAGE: Names = (
    (_LAYERS + r"attention\.to_[qkv]", r"\1.attention.qkv"),
    (_LAYERS + r"attention\.to_out\.0", r"\1.attention.out"),
    (_LAYERS + r"((?:feed_forward|adaLN_modulation)\..*)", r"\1.\2"),
)
_LUMINA2: Names = (
    (_LAYERS + _QKV, r"\1.attention.qkv"),
    (_LAYERS + r"attn\.to_out\.0", r"\1.attention.out"),
    (_LAYERS + r"feed_forward\.linear_(\d)", r"\1.feed_forward.w\2"),
)
_WAN: Names = (
    (r"blocks\.(\d+)\.attn1\.to_([qkv])", r"blocks.\1.self_attn.\2"),
    (r"blocks\.(\d+)\.attn2\.to_([qkv])", r"blocks.\1.cross_attn.\2"),
    (r"blocks\.(\d+)\.attn1\.to_out\.0", r"blocks.\1.self_attn.o"),
    (r"blocks\.(\d+)\.attn2\.to_out\.0", r"blocks.\1.cross_attn.o"),
    (r"blocks\.(\d+)\.ffn\.net\.0\.proj", r"blocks.\1.ffn.0"),
    (r"blocks\.(\d+)\.ffn\.net\.2", r"blocks.\1.ffn.2"),
)


def _down(match: re.Match[str]) -> str:
    return f"input_blocks.{3 * int(match[1]) + int(match[2]) + 1}.1.{match[3]}"


def _up(match: re.Match[str]) -> str:
    return f"output_blocks.{3 * int(match[1]) + int(match[2])}.1.{match[3]}"


_UNET: tuple[tuple[str, Callable[[re.Match[str]], str] | str], ...] = (
    (r"down_blocks\.(\d)\.attentions\.(\d)\.(.*)", _down),
    (r"mid_block\.attentions\.0\.(.*)", r"middle_block.1.\1"),
    (r"up_blocks\.(\d)\.attentions\.(\d)\.(.*)", _up),
)
_TABLES: Mapping[str, tuple[tuple[str, Callable[[re.Match[str]], str] | str], ...]] = {
    "sdxl": _UNET,
    "sdxl-refiner": _UNET,
    "sd3": _SD3,
    "flux1": _FLUX1,
    "chroma": _FLUX1,
    "hunyuanvideo": _HUNYUAN,
    "flux2": _FLUX2,
    "zimage": _ZIMAGE,
    "lumina2": _LUMINA2,
    "wan": _WAN,
}


def original(architecture: str, layers: Shapes) -> Shapes:
    """The layers that the table of ``architecture`` names; all of them where there is none."""
    table = _TABLES.get(architecture)
    if table is None:
        return layers
    renamed: Shapes = {}
    for name, shape in layers.items():
        for pattern, new in table:
            match = re.fullmatch(pattern, name)
            if match:
                spelled = new(match) if callable(new) else match.expand(new)
                before = renamed.get(spelled, (0,))[0]
                renamed[spelled] = (before + shape[0], *shape[1:])
                break
    return renamed
