"""A LoRA: read, matched, built, injected, switched on and proven."""
