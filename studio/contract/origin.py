"""The value of a setting, and who said it."""

from enum import StrEnum

from studio.contract.base import Contract


class Origin(StrEnum):
    """Who said a value."""

    USER = "user"
    LORA = "lora"
    MODEL = "model"
    PIPELINE = "pipeline"
    """The diffusers class's own default."""
    CONVENTION = "convention"
    """Nobody: strength 1.0 and the architecture's own clip skip are how things were trained."""
    STUDIO = "studio"
    """Whoever runs the studio, in its environment."""
    AUTOMATIC = "automatic"
    """Nobody: it follows from the weights and the memory that are there."""
    COMPARISON = "comparison"
    """A comparison, which holds it equal in every cell."""

    __since__ = {"comparison": 3}  # noqa: RUF012  # schema steps of later values; see CONTRIBUTING.md

    @property
    def words(self) -> str:
        """Who it is, as it is shown."""
        named = {Origin.USER: "you", Origin.LORA: "LoRA", Origin.CONVENTION: "default"}
        return named.get(self, self.value)


class IntSetting(Contract):
    """A whole number and who said it; ``slug`` names the LoRA or the model."""

    value: int
    origin: Origin
    slug: str | None = None


class FloatSetting(Contract):
    value: float
    origin: Origin
    slug: str | None = None


class TextSetting(Contract):
    value: str
    origin: Origin
    slug: str | None = None


class Precision(TextSetting):
    """What the base's weights are computed in.

    Attributes:
        reason: why it was chosen, or who said it, in one sentence.
    """

    reason: str
