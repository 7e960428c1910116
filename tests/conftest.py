"""Fixtures of every test. The servers themselves come from `tests/plugin.py`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import redis
from django.conf import settings

from tests import docker_engine, docker_traces

LEVELS = {"unit", "service", "integration", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that no level claims: it would run in no target."""
    unclaimed = [item.nodeid for item in items if not LEVELS & {mark.name for mark in item.iter_markers()}]
    if unclaimed:
        raise pytest.UsageError(
            "These tests carry no level (unit, service, integration, e2e):\n" + "\n".join(unclaimed[:20])
        )
    needing_docker = [item for item in items if item.get_closest_marker("docker")]
    if needing_docker and (reason := _no_docker()):
        for item in needing_docker:
            item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=_place)


@cache
def _no_docker() -> str:
    """Return why tests cannot use Docker, nothing if they can; one reason makes one line of the report."""
    if reason := os.environ.get("DOCKER_TESTS_SKIPPED"):
        return reason
    # In a process of its own: the library leaves the socket of a failed connection to the collector, loudly.
    argv = [sys.executable, "-c", "import docker; docker.from_env(timeout=5).ping()"]
    if subprocess.run(argv, capture_output=True).returncode != 0:
        return "no Docker daemon answers; with DOCKER_START=1 one is installed and started (root on Debian)"
    return ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what did not run for want of Docker."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "docker" in report.keywords]
    if skipped and (reason := _no_docker()):
        terminalreporter.write_line(f"docker: {len(skipped)} tests skipped, not passed: {reason}")


def _place(item: pytest.Item) -> tuple[bool, str, int]:
    """Leave the random order alone, but tell journeys last and as they are written: each is one story."""
    path, line, _ = item.location
    return (True, path, line or 0) if item.get_closest_marker("e2e") else (False, "", 0)


@pytest.fixture(scope="session", autouse=True)
def engine_left_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail at the end of a run that leaves containers, volumes or networks on the Docker engine."""
    if not any(item.get_closest_marker("docker") for item in request.session.items) or _no_docker():
        yield
        return
    client = docker_engine.client()
    try:
        with docker_traces.presence() as us:
            began, before = time.time(), docker_traces.traces(client)
            strangers = docker_traces.has_strangers(client)
            yield
            strangers = strangers or docker_traces.has_strangers(client, since=began)
            is_alone = us.is_alone and not strangers
            left = docker_traces.left(before, docker_traces.traces(client), is_alone=is_alone)
    finally:
        client.close()
    assert left == [], "the tests left this on the Docker engine"


@pytest.fixture
def var_dir() -> Path:
    """The state directory of this test session."""
    return Path(settings.VAR_DIR)


@pytest.fixture
def channel() -> Iterator["redis.Redis"]:
    """The result channel as its operator, emptied afterwards."""
    client = redis.Redis.from_url(settings.CHANNEL_REDIS_URL, decode_responses=True)
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def broker() -> Iterator["redis.Redis"]:
    """The broker, emptied afterwards."""
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    client.flushall()
    yield client
    client.flushall()
    client.close()
