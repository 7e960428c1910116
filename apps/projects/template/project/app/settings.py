"""Typed settings; the only reader of the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class Settings(BaseModel):
    """What may differ between two places where the service runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data_dir: Path = Path("data")
    # postgresql://user:password@host:port/name; without it SQLite in the data directory.
    database_url: SecretStr = SecretStr("")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    database_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    database_synchronous: Literal["FULL", "NORMAL", "OFF"] = "FULL"

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith("postgresql://"):
            raise ValueError("must begin with postgresql://")
        return value

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables named like the fields, in capitals; an empty value means the default.

        Raises:
            pydantic.ValidationError: a value is not of its type.
        """
        values = {name: environment.get(name.upper(), "") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in values.items() if value})
