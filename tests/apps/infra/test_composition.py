"""What the settings make of the target."""

from typing import Any

import pytest

from apps.infra import composition

pytestmark = pytest.mark.unit


def test_bots_are_told_where_telegram_is_only_where_it_is_elsewhere(settings: Any) -> None:
    settings.TELEGRAM_API_BASE_URL = composition.DEFAULT_TELEGRAM_URL
    at_home = composition.telegram_environment()
    settings.TELEGRAM_API_BASE_URL = "http://127.0.0.1:8081"

    assert at_home == {}
    assert composition.telegram_environment() == {"TELEGRAM_API_URL": "http://127.0.0.1:8081"}
