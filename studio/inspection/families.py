"""The families a file can be told to belong to, those that no engine here runs included."""

LABELS = {
    "mini": "Mini",
    "sd15": "Stable Diffusion 1.5",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sd3": "Stable Diffusion 3",
    "flux1": "FLUX.1",
    "flux2": "FLUX.2",
    "chroma": "Chroma",
    "qwen": "Qwen-Image",
    "zimage": "Z-Image",
    "wan": "Wan",
    "lumina2": "Lumina 2",
    "sdxl-refiner": "SDXL's refiner",
    "hunyuanvideo": "HunyuanVideo",
    "auraflow": "AuraFlow",
    "krea2": "Krea 2",
    "anima": "Anima",
}

UNETS = frozenset({"mini", "sd15", "sd2", "sdxl", "sdxl-refiner"})
"""Families whose denoiser is ``unet``; that of the others is ``transformer``."""


UNDECIDABLE: dict[tuple[str, str | None], tuple[str, ...]] = {
    ("sdxl", None): ("SDXL, Pony or Illustrious: not decidable, they share every layer.",),
    ("flux1", None): ("FLUX.1 dev, schnell or Kontext: not decidable from this file.",),
    ("flux1", "dev"): ("FLUX.1 dev or Kontext: not decidable from this file.",),
    ("flux2", "klein-4b"): ("Klein 4B, base or distilled: not decidable from this file.",),
    ("flux2", "klein-9b"): ("Klein 9B, base or distilled: not decidable from this file.",),
    ("qwen", None): ("Qwen-Image or Qwen-Image-Edit: not decidable from this file.",),
    ("zimage", None): ("Z-Image Turbo or base: not decidable from this file.",),
}
"""What the layers of (architecture, variant) can not tell; said beside the verdict."""
