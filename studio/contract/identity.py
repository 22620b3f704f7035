"""A file as the contract knows it."""

from studio.contract.base import Contract, Count, Sha256


class FileIdentity(Contract):
    """A file as the contract knows it; where it lies is nobody's business.

    Attributes:
        name: path inside its model, ``/``-separated, or the bare file name of a LoRA.
        sha256: of the whole file, 64 hexadecimal digits.
        size: bytes.
    """

    name: str
    sha256: Sha256
    size: Count
