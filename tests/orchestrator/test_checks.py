"""Settings that would be silently wrong are refused at start."""

from typing import Any

import pytest
from django.core.checks import run_checks

from orchestrator import checks

pytestmark = pytest.mark.unit


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_settings_as_they_are_pass():
    ours = [message for message in run_checks() if message.id.startswith("orchestrator.")]

    assert ours == []


def test_task_that_may_outlive_the_visibility_timeout_is_refused(settings):
    settings.CELERY_TASK_TIME_LIMIT = settings.VISIBILITY_TIMEOUT_SECONDS

    assert ids(run_checks()) == ["orchestrator.E001"]


@pytest.mark.parametrize(
    ("broker", "channel", "expected"),
    [
        ("redis://h:1/0", "redis://h:1/1", ["orchestrator.E002"]),
        ("redis://:p@h:1/0", "redis://u:q@h:1/0", ["orchestrator.E002"]),
        ("redis://h:1/0", "redis://h:2/0", []),
        ("redis://a:1/0", "redis://b:1/0", []),
    ],
)
def test_channel_on_the_server_of_the_broker_is_refused(settings, broker, channel, expected):
    settings.REDIS_URL, settings.CHANNEL_REDIS_URL = broker, channel

    assert ids(checks.check_channel_is_separate()) == expected


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(5, 4, ["orchestrator.E003"]), (5, 5, []), (5, 6, [])]
)
def test_empty_range_of_ports_is_refused(settings, first, last, expected):
    settings.INFRA_PORT_RANGE_START, settings.INFRA_PORT_RANGE_END = first, last

    assert ids(checks.check_port_range()) == expected


def test_no_check_shows_a_password(settings):
    settings.REDIS_URL = settings.CHANNEL_REDIS_URL = "redis://me:hunter2@h:1/0"

    assert "hunter2" not in repr(checks.check_channel_is_separate())
