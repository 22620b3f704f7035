"""LoRA Studio: every image is made under a contract."""

__version__ = "0.1.0"
