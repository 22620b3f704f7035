"""The one LoRA browser: asked for on the server, opened from every tab that names a LoRA."""
