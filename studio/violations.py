"""Every rule a request can break: one frozen class each.

A violation says what was found, what is expected and the way out; ``field`` is the path of
the request's field it stands beside, such as ``base``, ``loras.pen-ink-mini`` (the slug of
the chosen LoRA), ``loras.pen-ink-mini.strength``, ``mode``, ``prompt``, ``settings.steps``.
"""

from typing import Annotated, Literal

from pydantic import Field, computed_field

from studio.contract import Contract


class Rule(Contract):
    """What all violations have; the three sentences are computed from the data."""

    field: str

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented spelling
    @property
    def found(self) -> str:
        return self._found()

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented spelling
    @property
    def expected(self) -> str:
        return self._expected()

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented spelling
    @property
    def way_out(self) -> str:
        return self._way_out()

    def describe(self) -> str:
        """Found, and the way out, as two plain sentences."""
        return f"{self.found} {self.way_out}"

    def _found(self) -> str:
        raise NotImplementedError

    def _expected(self) -> str:
        raise NotImplementedError

    def _way_out(self) -> str:
        raise NotImplementedError
