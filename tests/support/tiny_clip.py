"""A tiny CLIP model of the real classes, with random weights, as transformers saves one."""

from __future__ import annotations

from pathlib import Path


def save_tiny_clip(folder: Path) -> Path:
    """Model, tokenizer (a few whole words, 77 tokens) and preprocessor (32 × 32 pixels)."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from studio.engine.tiny.vocabulary import clip_tokenizer

    tokenizer = clip_tokenizer()
    config = CLIPConfig(
        projection_dim=16,
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 77,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
    )
    torch.manual_seed(5)
    model = CLIPModel(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # the real initial ones are so small that all pictures look alike
                weight.normal_(std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor.save_pretrained(folder)
    return folder
