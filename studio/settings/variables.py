"""The variables of the environment and of .env, each read as what it has to be."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from studio.errors import SettingsError

ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off")

Option = TypeVar("Option", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Variables:
    """What is set, by name; an empty one is not.

    What cannot be read raises ``SettingsError``, which names the variable.

    Attributes:
        values: never shown, as keys are among them.
        directory: where relative paths start.
    """

    values: Mapping[str, str] = field(repr=False)
    directory: Path

    @classmethod
    def read(cls, environ: Mapping[str, str], directory: Path) -> Self:
        """``environ`` over ``directory/.env``."""
        dotenv = dotenv_values(directory / ".env") if (directory / ".env").is_file() else {}
        values = {key: value for key, value in dotenv.items() if value} | {
            key: value for key, value in environ.items() if value
        }
        return cls(values, directory)

    def path(self, name: str, default: str | Path) -> Path:
        return (self.directory / Path(self.values.get(name, default)).expanduser()).resolve()

    def optional_path(self, name: str) -> Path | None:
        return self.path(name, ".") if name in self.values else None

    def folders(self, name: str) -> tuple[Path, ...]:
        """Separated as the system separates paths."""
        parts = [part for part in self.values.get(name, "").split(os.pathsep) if part]
        paths = ((self.directory / Path(part).expanduser()).resolve() for part in parts)
        return tuple(dict.fromkeys(paths))

    def port(self, name: str, default: int) -> int:
        raw = self.values.get(name, str(default))
        if not raw.isdecimal() or not 0 <= int(raw) <= 65535:
            raise SettingsError(f"{name} is {raw!r}.", "Set it to a number from 0 to 65535.")
        return int(raw)

    def site(self, name: str, default: str) -> str:
        raw = self.values.get(name, default).rstrip("/")
        parts = urlsplit(raw)
        own = parts.hostname in ("localhost", "127.0.0.1", "::1")
        whole = parts.hostname and not (parts.query or parts.fragment or parts.username)
        schemes = ("https", "http") if own else ("https",)
        if not whole or parts.scheme not in schemes:
            raise SettingsError(
                f"{name} is {raw!r}.",
                "Set it to an https address; plain http, which anybody can read, is for "
                "localhost.",
            )
        return raw

    def flag(self, name: str, default: bool = False) -> bool:
        raw = self.values.get(name, ON[0] if default else OFF[0]).lower()
        if raw in ON:
            return True
        if raw in OFF:
            return False
        raise SettingsError(f"{name} is {raw!r}.", "Set it to 1 or 0.")

    def optional_flag(self, name: str) -> bool | None:
        return self.flag(name) if name in self.values else None

    def key(self, name: str) -> str | None:
        """What can stand in a header; the value is nowhere shown."""
        key = self.values.get(name, "").strip()
        if not all("!" <= character <= "~" for character in key):
            raise SettingsError(
                f"{name} holds a blank, a line break or a character that no key has.",
                "Copy the key again; quotes around it are not part of it.",
            )
        return key or None

    def listed(self, name: str) -> tuple[str, ...]:
        """What stands between commas, in small letters."""
        parts = (part.strip().lower() for part in self.values.get(name, "").split(","))
        return tuple(part for part in parts if part)

    def is_auto(self, name: str) -> bool:
        return self.values.get(name, "auto").lower() == "auto"

    def choice(self, name: str, kind: type[Option]) -> Option | None:
        """One of ``kind``; None is automatic."""
        if self.is_auto(name):
            return None
        raw = self.values[name].lower()
        try:
            return kind(raw)
        except ValueError as error:
            *others, last = kind
            known = ", ".join(("auto", *others))
            raise SettingsError(f"{name} is {raw!r}.", f"Set it to {known} or {last}.") from error

    def count(self, name: str, default: int, least: int = 1) -> int:
        raw = self.values.get(name, str(default))
        if not raw.isascii() or not raw.isdecimal() or not least <= int(raw) < 10**9:
            raise SettingsError(
                f"{name} is {raw!r}.", f"Set it to a whole number, at least {least}."
            )
        return int(raw)

    def gigabytes(self, name: str) -> int | None:
        """In bytes; None where nobody said."""
        raw = self.values.get(name)
        if raw is None:
            return None
        try:
            amount = float(raw)
        except ValueError as error:
            raise SettingsError(
                f"{name} is {raw!r}.", "Set it to a number of gigabytes."
            ) from error
        if not 0 < amount < 1e6:
            raise SettingsError(f"{name} is {raw!r}.", "Set it to a positive number of gigabytes.")
        return int(amount * 1e9)
