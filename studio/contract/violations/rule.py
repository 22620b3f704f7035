"""What every violation has in common."""

from typing import Any, ClassVar

from pydantic import computed_field

from studio.architecture import Mode
from studio.contract.base import Contract


class Rule(Contract):
    """What all violations share; the sentences are templates over the fields.

    A mode stands in a sentence by its label; in the data it is its code.
    """

    FOUND: ClassVar[str]
    EXPECTED: ClassVar[str]
    WAY_OUT: ClassVar[str]

    code: str
    field: str

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def found(self) -> str:
        """What the request says or the files are, as a sentence."""
        return self.FOUND.format(**self._worded())

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def expected(self) -> str:
        """What the contract demands, as a phrase."""
        return self.EXPECTED.format(**self._worded())

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def way_out(self) -> str:
        """What to do about it, as a sentence."""
        return self.WAY_OUT.format(**self._worded())

    def describe(self) -> str:
        """Found and way out, as plain sentences."""
        return f"{self.found} {self.way_out}"

    def _worded(self) -> dict[str, Any]:
        return {
            name: value.label if isinstance(value, Mode) else value
            for name, value in dict(self).items()
        }
