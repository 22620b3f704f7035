"""What every violation has in common."""

from typing import ClassVar

from pydantic import computed_field

from studio.contract import Contract


class Rule(Contract):
    """What all violations share; the sentences are templates over the fields."""

    FOUND: ClassVar[str]
    EXPECTED: ClassVar[str]
    WAY_OUT: ClassVar[str]

    code: str
    field: str

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def found(self) -> str:
        """What the request says or the files are, as a sentence."""
        return self.FOUND.format(**dict(self))

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def expected(self) -> str:
        """What the contract demands, as a phrase."""
        return self.EXPECTED.format(**dict(self))

    @computed_field  # type: ignore[prop-decorator]  # the spelling pydantic documents
    @property
    def way_out(self) -> str:
        """What to do about it, as a sentence."""
        return self.WAY_OUT.format(**dict(self))

    def describe(self) -> str:
        """Found and way out, as plain sentences."""
        return f"{self.found} {self.way_out}"
