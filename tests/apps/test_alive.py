"""A sign of life is given where somebody asked for it, by those who work."""

from operator import methodcaller
from pathlib import Path

import pytest
from celery.signals import after_task_publish, heartbeat_sent
from celery.worker.heartbeat import Heart

from apps import alive
from orchestrator import celery

pytestmark = pytest.mark.unit


class Eventer:
    """Sends nothing."""

    def __init__(self) -> None:
        self.on_enabled: set[object] = set()
        self.on_disabled: set[object] = set()

    def send(self, *_: object, **__: object) -> None:
        """Take what is sent."""


@pytest.fixture(autouse=True)
def not_ready() -> None:
    """A process that has not begun to consume."""
    celery._consumes.clear()


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

    assert (was_early, file.exists()) == (False, True)


def test_a_heart_that_is_made_before_a_worker_is_ready_tells_of_its_beats(file: Path) -> None:
    # Celery looks for receivers once, when it makes its heart.
    heart = Heart(timer=None, eventer=Eventer())

    celery.live_while_the_broker_is_told()
    methodcaller("_send", "worker-heartbeat")(heart)

    assert file.exists()


def test_a_beat_lives_by_what_it_sends(file: Path) -> None:
    celery.live_while_something_is_sent()
    after_task_publish.send(sender="periodic.sweep_graph")
    after_task_publish.disconnect(celery.renew)

    assert file.exists()
