"""The libraries that make pixels, as they are installed here."""

from importlib.metadata import version

from studio import __version__
from studio.contract.plan import OWN_LIBRARY, Library

LIBRARIES = (
    "accelerate",
    "compel",
    "diffusers",
    "tokenizers",
    "torch",
    "transformers",
)
"""Those besides the studio's own whose version can change the pixels."""


def installed_libraries() -> tuple[Library, ...]:
    """Sorted by name."""
    # A Space runs the studio from its folder, where it is no installed distribution.
    own = Library(name=OWN_LIBRARY, version=__version__)
    others = (Library(name=name, version=version(name)) for name in LIBRARIES)
    return tuple(sorted((own, *others), key=lambda library: library.name))
