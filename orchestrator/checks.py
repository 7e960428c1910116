"""System checks: settings that would be silently wrong are refused at start."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from apps.check_tags import SETTINGS


def check_time_limits(**_: Any) -> list[CheckMessage]:
    """No Celery task may outlive the broker's visibility timeout, else it is redelivered while it runs."""
    if settings.CELERY_TASK_TIME_LIMIT >= settings.VISIBILITY_TIMEOUT_SECONDS:
        return [
            Error(
                "CELERY_TASK_TIME_LIMIT is not below the broker's visibility timeout.",
                hint="A message would be delivered again while its task still runs.",
                id="orchestrator.E001",
            )
        ]
    return []


def check_channel_is_separate(**_: Any) -> list[CheckMessage]:
    """Workers append to the channel; were it the broker, one of them could stop everything."""
    broker, channel = urlsplit(settings.REDIS_URL), urlsplit(settings.CHANNEL_REDIS_URL)
    if (broker.hostname, broker.port) == (channel.hostname, channel.port):
        return [
            Error(
                "CHANNEL_REDIS_URL and REDIS_URL name the same server.",
                hint="Start a second server for the result channel (docker-compose.yml has one).",
                id="orchestrator.E002",
            )
        ]
    return []


def check_port_range(**_: Any) -> list[CheckMessage]:
    """Refuse an empty range of ports for local deployments."""
    if settings.INFRA_PORT_RANGE_START > settings.INFRA_PORT_RANGE_END:
        return [Error("INFRA_PORT_RANGE_START is above INFRA_PORT_RANGE_END.", id="orchestrator.E003")]
    return []


def register_all() -> None:
    """Register every check of this module."""
    for check in (check_time_limits, check_channel_is_separate, check_port_range):
        register(check, SETTINGS)
