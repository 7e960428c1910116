"""Typed settings of the worker; the only reader of its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsInvalid(ValueError):
    """A variable is wrong; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may differ between two places where the worker runs."""

    data_dir: Path = Path("data")
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables; an empty value means the default.

        Raises:
            SettingsInvalid: a value is not one of those that are possible.
        """
        level = environment.get("LOG_LEVEL") or cls.log_level
        if level not in _LEVELS:
            raise SettingsInvalid(f"LOG_LEVEL must be one of {', '.join(_LEVELS)}")
        return cls(data_dir=Path(environment.get("DATA_DIR") or cls.data_dir), log_level=level)
