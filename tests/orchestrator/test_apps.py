"""The secrets of this installation do not reach its log, whatever line they stand in."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from structlog.stdlib import ProcessorFormatter

from orchestrator import logging as ours
from orchestrator.logging import MASK

pytestmark = pytest.mark.unit

# Put together here, so that no scanner takes this file for a leak.
KEY = "q7Kp" * 10
URLS = {
    "DATABASE_URL": f"postgresql://me:{KEY}db@127.0.0.1/x",
    "REDIS_URL": f"redis://:{KEY}%2Fbroker@127.0.0.1:1/0",
    "CHANNEL_REDIS_URL": f"redis://:{KEY}channel@127.0.0.1:2/0",
}
WORDS = ["SECRET_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "FACTORY_API_KEY"]


@pytest.fixture(autouse=True)
def known_secrets() -> Iterator[None]:
    before = set(ours._known_secrets)
    yield
    ours._known_secrets.clear()
    ours._known_secrets.update(before)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the handler writes that the settings have given to the root logger."""
    handler = next(
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and isinstance(one.formatter, ProcessorFormatter)
    )
    stream = io.StringIO()
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


def start(settings: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    apps.get_app_config("orchestrator").ready()


@pytest.mark.parametrize("name", WORDS)
def test_secret_of_the_settings_is_masked_in_a_line(settings, log, name):
    start(settings, **{name: KEY})

    logging.getLogger("anything").warning("The other side said %s", f"({KEY})")

    assert KEY not in log.getvalue()
    assert f"The other side said ({MASK})" in log.getvalue()


def test_every_encryption_key_is_masked(settings, log):
    start(settings, ENCRYPTION_KEYS=[f"{KEY}new", f"{KEY}old"])

    logging.getLogger("anything").warning("%snew and %sold", KEY, KEY)

    assert f"{MASK} and {MASK}" in log.getvalue()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("DATABASE_URL", f"{KEY}db"),
        ("REDIS_URL", f"{KEY}%2Fbroker"),
        ("REDIS_URL", f"{KEY}/broker"),
        ("CHANNEL_REDIS_URL", f"{KEY}channel"),
    ],
)
def test_password_of_a_server_is_masked_outside_its_url(settings, log, name, password):
    start(settings, **{name: URLS[name]})

    logging.getLogger("anything").warning("AUTH %s was refused", password)

    assert KEY not in log.getvalue()
    assert f"AUTH {MASK} was refused" in log.getvalue()


def test_secrets_are_known_as_soon_as_django_has_started(log):
    logging.getLogger("anything").warning("key=%s", django_settings.ENCRYPTION_KEYS[0])

    assert django_settings.ENCRYPTION_KEYS[0] not in log.getvalue()
