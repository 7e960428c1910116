"""The only reader of the environment.

Values come from the process environment, else from ``.env`` beside manage.py,
else from ``var/embedded.env`` which the embedded stack writes, and
``var/installers.env`` (package registries) which the set-up writes. A variable
without an honest default is required: a start without it stops and names it.
"""

import builtins
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator.envfile import read_values

ROOT: Final = Path(__file__).resolve().parent.parent


class MissingSetting(SystemExit):
    """A required variable is not set."""


class Env:
    """Typed access to variables; remembers every name it was asked for."""

    def __init__(self) -> None:
        self.asked: set[builtins.str] = set()
        self._values = read_values(os.environ, ROOT)

    def str(self, name: builtins.str, default: builtins.str | None = None) -> builtins.str:
        """Return a text, or stop the start when it is required and missing."""
        self.asked.add(name)
        value = self._values.get(name, "")
        if value:
            return value
        if default is None:
            raise MissingSetting(
                f"{name} is not set. Set it in the environment or in .env (see .env.example), "
                "or run `make up`, which starts the embedded services and sets it."
            )
        return default

    def int(self, name: builtins.str, default: builtins.int | None = None) -> builtins.int:
        """Return a whole number."""
        text = self.str(name, None if default is None else builtins.str(default))
        try:
            return builtins.int(text)
        except ValueError as error:
            raise MissingSetting(f"{name} must be a whole number, not {text!r}.") from error

    def bool(self, name: builtins.str, default: builtins.bool) -> builtins.bool:
        """Return a switch: 1, true, yes, on and their opposites."""
        text = self.str(name, "true" if default else "false").lower()
        if text in {"1", "true", "yes", "on"}:
            return True
        if text in {"0", "false", "no", "off"}:
            return False
        raise MissingSetting(f"{name} must be true or false, not {text!r}.")

    def float(self, name: builtins.str, default: builtins.float | None = None) -> builtins.float:
        """Return a number."""
        text = self.str(name, None if default is None else builtins.str(default))
        try:
            return builtins.float(text)
        except ValueError as error:
            raise MissingSetting(f"{name} must be a number, not {text!r}.") from error

    def list(self, name: builtins.str, default: builtins.str | None = None) -> builtins.list[builtins.str]:
        """Return the parts of a comma-separated text."""
        return [part.strip() for part in self.str(name, default).split(",") if part.strip()]

    def select(self, names: Iterable[builtins.str]) -> dict[builtins.str, builtins.str]:
        """Return those of the named variables that are set, as they are, for handing them on."""
        return {name: self._values[name] for name in sorted(names) if self._values.get(name)}

    def path(self, name: builtins.str, default: Path) -> Path:
        """Return a path, relative ones taken from the root of the checkout."""
        return (ROOT / self.str(name, builtins.str(default))).absolute()


env: Final = Env()
