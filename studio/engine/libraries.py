"""What diffusers, transformers and peft say while they work, heard word for word.

They report most problems as a warning and go on; here a warning is part of the evidence.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIBRARIES = ("diffusers", "transformers", "peft")
_OURS = frozenset({*LIBRARIES, "accelerate", "compel", "torch", "safetensors", "engine"})


class _Listener(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


@contextmanager
def listen() -> Iterator[list[str]]:
    """Collect warnings and log records of the libraries, in order, without printing them.

    Warnings of other code (another thread's, say) are passed on when the block ends. The
    warnings filter belongs to the whole process, so only the device's thread listens.
    """
    heard: list[str] = []
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    kept = [(logger, logger.handlers, logger.level) for logger in loggers]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for logger in loggers:
            logger.handlers = [_Listener(heard)]
            logger.setLevel(logging.WARNING)
        try:
            yield heard
        finally:
            for logger, handlers, level in kept:
                logger.handlers = handlers
                logger.setLevel(level)
            foreign = [item for item in caught if not _is_library(item)]
            heard.extend(str(item.message) for item in caught if _is_library(item))
    for item in foreign:
        warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def _is_library(item: warnings.WarningMessage) -> bool:
    return not _OURS.isdisjoint(Path(item.filename).parts)


def quiet_progress_bars() -> None:
    """The studio shows progress itself."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
