"""Measures from outside the studio, by the name of their class."""

import importlib
import re

from studio.errors import TrialError
from studio.trials.measures.measure import Beside, MeasureFacts, TrialMeasure
from studio.trials.observations import PromptKind

_WAY_OUT = (
    "Name it as module:Class; the module has to be importable, and the class one that needs no "
    "argument and has facts, kinds, needs and read (docs/trials.md)."
)


def plugin(name: str) -> TrialMeasure:
    """The measure that ``module:Class`` names, made; its module is code that is run.

    Raises:
        TrialError: there is none, or it is none.
    """
    module, colon, kind = name.partition(":")
    if not colon or not re.fullmatch(r"[\w.]+", module) or not kind.isidentifier():
        raise TrialError(f"{name!r} does not name a measure.", _WAY_OUT)
    try:
        measure = getattr(importlib.import_module(module), kind)()
    except (ImportError, AttributeError, TypeError) as error:
        raise TrialError(f"The measure {name} cannot be loaded: {error}.", _WAY_OUT) from error
    facts = getattr(measure, "facts", None)
    kinds, needs = getattr(measure, "kinds", None), getattr(measure, "needs", None)
    if (
        not isinstance(facts, MeasureFacts)
        or not isinstance(kinds, frozenset)
        or not kinds <= frozenset(PromptKind)
        or not isinstance(needs, frozenset)
        or not needs <= frozenset(Beside)
        or not callable(getattr(measure, "read", None))
    ):
        raise TrialError(f"{name} is not a measure.", _WAY_OUT)
    loaded: TrialMeasure = measure
    return loaded
