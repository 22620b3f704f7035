"""``trial.txt`` beside a run's files: the prompts that it is to be tried on.

base: mini
trigger: phrsink, pen and ink illustration
negative: blurry
a rocket on a blue background
far: a fox on a red background
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from studio.errors import TrialError

NAME = "trial.txt"
_MOST = 64 * 1024
_FIELDS = frozenset({"base", "trigger", "negative", "far"})


@dataclass(frozen=True, slots=True)
class TrialText:
    """What such a file says; ``trigger`` is None where it says nothing of it."""

    base: str = ""
    trigger: str | None = None
    negative: str = ""
    subject: tuple[str, ...] = ()
    far: tuple[str, ...] = ()

    @classmethod
    def beside(cls, files: Sequence[Path]) -> Self:
        """That of the folder of the first file that has one; else an empty one.

        Raises:
            TrialError: it cannot be read.
        """
        for folder in dict.fromkeys(file.parent for file in files):
            path = folder / NAME
            if path.is_file():
                try:
                    with path.open("rb") as stream:
                        return cls.parse(stream.read(_MOST).decode("utf-8"))
                except (OSError, UnicodeDecodeError) as error:
                    raise TrialError(
                        f"{path} cannot be read: {error}.", "Save it as UTF-8 text."
                    ) from error
        return cls()

    @classmethod
    def parse(cls, text: str) -> Self:
        """A prompt a line; ``base:``, ``trigger:``, ``negative:`` and ``far:`` before a line say
        what else it is. Empty lines and those that begin with # are passed over."""
        said: dict[str, str] = {}
        subject, far = list[str](), list[str]()
        for line in text.splitlines():
            plain = line.strip()
            if not plain or plain.startswith("#"):
                continue
            key, colon, value = plain.partition(":")
            if not colon or key not in _FIELDS:
                subject.append(plain)
            elif key == "far":
                far.append(value.strip())
            else:
                said[key] = value.strip()
        return cls(
            said.get("base", ""),
            said.get("trigger"),
            said.get("negative", ""),
            tuple(subject),
            tuple(far),
        )
