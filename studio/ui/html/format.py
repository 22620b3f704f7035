"""How the page says things: numbers, strength bands, modes, origins."""

from studio.architecture import Mode
from studio.contract.origin import Origin

BANDS = (
    (0.0, "off"),
    (0.299, "faint"),
    (0.5, "subtle"),
    (0.599, "subtle to balanced"),
    (0.8, "balanced"),
    (0.899, "balanced to strong"),
    (1.2, "strong"),
)
"""Upper end of each band → its name; the guide names subtle, balanced and strong."""

MODE_HELP = {
    Mode.BASE: "The base model alone. No LoRA, no trigger words.",
    Mode.LORA: "The LoRA is on, its trigger words stay out of the prompt.",
    Mode.LORA_WITH_TRIGGER: "The LoRA is on and its trigger words are added to the prompt.",
    Mode.TRIGGER_ONLY: "The trigger words without the LoRA: a test of what the words do alone.",
    Mode.REFERENCE_EDIT: (
        "A reference image is edited as the prompt says. LoRAs may take part; the trigger words "
        "they need are added."
    ),
}


def band(strength: float) -> str:
    """The guide's name for a strength; below 0 a LoRA is turned around."""
    if strength < 0:
        return "turned around"
    for upper, name in BANDS:
        if strength <= upper:
            return name
    return "very strong, may show artefacts"


def origin(value: Origin) -> str:
    return value.words


def number(value: float) -> str:
    """A setting's number with one decimal at least, so that 3 is read as 3.0."""
    short = f"{value:.1f}"
    return short if float(short) == value else f"{value:.6g}"


def strength(value: float) -> str:
    """Two decimals, or as many as it has."""
    short = f"{value:.2f}"
    return short if float(short) == value else f"{value:.6g}"


def percent(share: float) -> str:
    """A share as a percentage with two figures that count."""
    value = share * 100
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.1 else f"{value:.2f} s"


def short_hash(value: str) -> str:
    """The first eight digits in two groups, as a person reads them out."""
    return f"{value[:4]}·{value[4:8]}"


def plural(amount: int, one: str, many: str | None = None) -> str:
    return f"{amount} {one if amount == 1 else many or one + 's'}"
