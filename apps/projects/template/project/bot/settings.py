"""Typed settings of the bot; the only reader of its environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_PLACES = ("production", "development")


class SettingsInvalid(ValueError):
    """A variable is missing or wrong; the message names it, never its value."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may differ between two places where the bot runs."""

    token: str = field(default="", repr=False)
    api_url: str = "https://api.telegram.org"
    data_dir: Path = Path("data")
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables; an empty value means the default.

        Without a token the bot may idle, but only where APP_ENV says `development`.

        Raises:
            SettingsInvalid: a variable is missing or wrong.
        """
        token = environment.get("TELEGRAM_BOT_TOKEN", "").strip()
        place = environment.get("APP_ENV") or "production"
        level = environment.get("LOG_LEVEL") or cls.log_level
        if place not in _PLACES:
            raise SettingsInvalid(f"APP_ENV must be one of {', '.join(_PLACES)}")
        if level not in _LEVELS:
            raise SettingsInvalid(f"LOG_LEVEL must be one of {', '.join(_LEVELS)}")
        if not token and place != "development":
            raise SettingsInvalid("TELEGRAM_BOT_TOKEN is missing; @BotFather gives one")
        if token and not _TOKEN.fullmatch(token):
            raise SettingsInvalid("TELEGRAM_BOT_TOKEN does not look like a token of @BotFather")
        return cls(
            token=token,
            api_url=(environment.get("TELEGRAM_API_URL") or cls.api_url).rstrip("/"),
            data_dir=Path(environment.get("DATA_DIR") or cls.data_dir),
            log_level=level,
        )
