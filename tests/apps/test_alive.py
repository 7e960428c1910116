"""A sign of life is given where somebody asked for it, by those who work."""

from pathlib import Path

import pytest
from celery.signals import after_task_publish, heartbeat_sent

from apps import alive
from orchestrator import celery

pytestmark = pytest.mark.unit


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(alive.VARIABLE, str(tmp_path / "alive"))
    return tmp_path / "alive"


def test_a_sign_is_a_file_that_is_renewed(file: Path) -> None:
    alive.renew()
    before = file.stat().st_mtime_ns

    alive.renew()

    assert file.stat().st_mtime_ns > before


def test_nobody_asked_for_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(alive.VARIABLE)
    alive.renew()

    assert not file.exists()


def test_a_worker_that_is_ready_lives_by_its_heartbeats(file: Path) -> None:
    heartbeat_sent.send(sender=None)
    was_early = file.exists()
    celery.live_while_the_broker_is_told()
    heartbeat_sent.send(sender=None)
    heartbeat_sent.disconnect(celery.renew)

    assert (was_early, file.exists()) == (False, True)


def test_a_beat_lives_by_what_it_sends(file: Path) -> None:
    celery.live_while_something_is_sent()
    after_task_publish.send(sender="periodic.sweep_graph")
    after_task_publish.disconnect(celery.renew)

    assert file.exists()
