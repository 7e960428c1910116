"""Settings are read from the environment and checked."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({"LOG_LEVEL": ""})

    assert settings == Settings(data_dir=Path("data"), log_level="INFO")


def test_wrong_value_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="database_timeout_seconds"):
        Settings.from_environment({"DATABASE_TIMEOUT_SECONDS": "soon"})


@pytest.mark.parametrize("url", ["mysql://app:pass-word@db/app", "pass-word"])
def test_another_database_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValidationError, match="database_url") as refusal:
        Settings.from_environment({"DATABASE_URL": url})

    assert "pass-word" not in str(refusal.value)
