"""FLUX.1 and FLUX.2 as Black Forest Labs, kohya-ss, ai-toolkit and XLabs name their layers.

From diffusers' own conversions of whole checkpoints (``single_file_utils.py``): there the two
halves of the last layer's modulation change places. Its conversion of FLUX.2 LoRAs forgets
that, so a LoRA on that layer comes out otherwise here than through diffusers.
"""

from studio.inspection.layouts.layout import Layout, same

_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")


def _parts(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


_DOUBLE = "transformer_blocks.#."
_SINGLE = "single_transformer_blocks.#."

_ATTENTION = (
    same("double_blocks.#.img_attn.qkv", *_parts(_DOUBLE + "attn.", _QKV)),
    same("double_blocks.#.txt_attn.qkv", *_parts(_DOUBLE + "attn.", _ADDED)),
    same("double_blocks.#.img_attn.proj", _DOUBLE + "attn.to_out.0"),
    same("double_blocks.#.txt_attn.proj", _DOUBLE + "attn.to_add_out"),
    same("img_in", "x_embedder"),
    same("txt_in", "context_embedder"),
    same("final_layer.linear", "proj_out"),
    same("final_layer.adaLN_modulation.1", "norm_out.linear", swapped=True),
)

FLUX1 = Layout(
    marker="time_text_embed.text_embedder.linear_1",
    names=(
        *_ATTENTION,
        same("double_blocks.#.img_mlp.0", _DOUBLE + "ff.net.0.proj"),
        same("double_blocks.#.img_mlp.2", _DOUBLE + "ff.net.2"),
        same("double_blocks.#.txt_mlp.0", _DOUBLE + "ff_context.net.0.proj"),
        same("double_blocks.#.txt_mlp.2", _DOUBLE + "ff_context.net.2"),
        same("double_blocks.#.img_mod.lin", _DOUBLE + "norm1.linear"),
        same("double_blocks.#.txt_mod.lin", _DOUBLE + "norm1_context.linear"),
        same("single_blocks.#.linear1", *_parts(_SINGLE + "attn.", _QKV), _SINGLE + "proj_mlp"),
        same("single_blocks.#.linear2", _SINGLE + "proj_out"),
        same("single_blocks.#.modulation.lin", _SINGLE + "norm.linear"),
        same("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
        same("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        same("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
        same("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        same("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        same("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
        # XLabs: 1 is the image's stream and 2 the text's.
        same("double_blocks.#.processor.qkv_lora1", *_parts(_DOUBLE + "attn.", _QKV)),
        same("double_blocks.#.processor.qkv_lora2", *_parts(_DOUBLE + "attn.", _ADDED)),
        same("double_blocks.#.processor.proj_lora1", _DOUBLE + "attn.to_out.0"),
        same("double_blocks.#.processor.proj_lora2", _DOUBLE + "attn.to_add_out"),
        same("single_blocks.#.processor.qkv", *_parts(_SINGLE + "attn.", _QKV)),
        same("single_blocks.#.processor.proj", _SINGLE + "proj_out"),
    ),
)

FLUX2 = Layout(
    marker="double_stream_modulation_img.linear",
    names=(
        *_ATTENTION,
        same("double_blocks.#.img_mlp.0", _DOUBLE + "ff.linear_in"),
        same("double_blocks.#.img_mlp.2", _DOUBLE + "ff.linear_out"),
        same("double_blocks.#.txt_mlp.0", _DOUBLE + "ff_context.linear_in"),
        same("double_blocks.#.txt_mlp.2", _DOUBLE + "ff_context.linear_out"),
        same("single_blocks.#.linear1", _SINGLE + "attn.to_qkv_mlp_proj"),
        same("single_blocks.#.linear2", _SINGLE + "attn.to_out"),
        same("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
        same("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
        same("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
        same("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
        same("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
        same("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
        same("single_stream_modulation.lin", "single_stream_modulation.linear"),
    ),
)
