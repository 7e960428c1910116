"""A message is a hint: sent after the commit, never an error, never a wait; and one hand per row."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import before_task_publish
from django.conf import settings as django_settings
from django.db import connection, transaction

from apps.enqueue import advisory_lock, enqueue
from apps.projects import tasks
from orchestrator.celery import app

pytestmark = [pytest.mark.service]

# One attempt to connect, or one socket timeout; a request that hangs longer is a bug.
SHORT_SECONDS = 3


@pytest.fixture
def published(broker: Any) -> Iterator[list[dict[str, Any]]]:
    sent: list[dict[str, Any]] = []

    def note(body: Any, **_: Any) -> None:
        sent.append(body[1])

    before_task_publish.connect(note, weak=False, dispatch_uid="published")
    yield sent
    before_task_publish.disconnect(dispatch_uid="published")


def task_of(broker_url: str) -> Any:
    """A task of an application with our transport options and another broker."""
    app = Celery("elsewhere", broker=broker_url, set_as_current=False)
    app.conf.broker_transport_options = django_settings.CELERY_BROKER_TRANSPORT_OPTIONS

    @app.task(name="elsewhere.nothing")
    def nothing(**_: Any) -> None:
        """Never runs."""

    return nothing


def time_limit(function: str, moment: str) -> Any:
    """A time limit that strikes once, around the query that calls a function of the server."""
    struck: list[str] = []

    def strike(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if function not in sql or struck:
            return execute(sql, params, many, context)
        struck.append(sql)
        if moment == "after":
            execute(sql, params, many, context)
        raise SoftTimeLimitExceeded

    return strike


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.django_db(transaction=True)
class TestEnqueue:
    def test_nothing_is_sent_before_the_commit(self, published):
        with transaction.atomic():
            enqueue(tasks.reconcile_project, project_id="1")
            before = list(published)

        assert before == []
        assert published == [{"project_id": "1"}]

    def test_nothing_is_sent_after_a_rollback(self, published):
        with transaction.atomic():
            enqueue(tasks.reconcile_project, project_id="1")
            transaction.set_rollback(True)

        assert published == []

    def test_message_lands_in_the_queue_of_its_app(self, broker):
        enqueue(tasks.reconcile_project, project_id="1")
        enqueue(tasks.sweep_projects)

        assert app.conf.broker_url == django_settings.REDIS_URL
        assert (broker.llen("scaffold"), broker.llen("periodic")) == (1, 1)

    def test_dead_broker_is_logged_and_not_an_error(self, caplog):
        task = task_of(f"redis://127.0.0.1:{closed_port()}/0")
        started = time.monotonic()

        with transaction.atomic():
            enqueue(task, project_id="1")

        assert "Could not enqueue elsewhere.nothing" in caplog.text
        assert time.monotonic() - started < SHORT_SECONDS

    def test_frozen_broker_is_not_waited_for(self, caplog):
        with socket.create_server(("127.0.0.1", 0)) as frozen:
            task = task_of(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0")
            started = time.monotonic()

            enqueue(task, project_id="1")

        assert "Could not enqueue" in caplog.text
        assert time.monotonic() - started < SHORT_SECONDS

    def test_what_cannot_be_sent_does_not_stop_the_next_one(self, published, caplog):
        with transaction.atomic():
            enqueue(tasks.reconcile_project, project_id=object())
            enqueue(tasks.reconcile_project, project_id="2")

        assert {"project_id": "2"} in published
        assert "Could not enqueue" in caplog.text


@pytest.mark.django_db(transaction=True)
class TestAdvisoryLock:
    def tried_elsewhere(self, kind: str, key: Any) -> bool:
        answers: list[bool] = []

        def attempt() -> None:
            with advisory_lock(kind, key) as obtained:
                answers.append(obtained)
            connection.close()

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(10)
        return answers[0]

    def test_one_hand_at_a_time(self):
        with advisory_lock("run", 1) as first:
            second = self.tried_elsewhere("run", 1)
        third = self.tried_elsewhere("run", 1)

        assert (first, second, third) == (True, False, True)

    def test_other_rows_and_other_kinds_are_free(self):
        with advisory_lock("run", 1):
            others = [self.tried_elsewhere("run", 2), self.tried_elsewhere("worker", 1)]

        assert others == [True, True]

    def test_lock_is_free_after_an_error_inside(self):
        with pytest.raises(ZeroDivisionError), advisory_lock("run", 1):
            _ = 1 / 0

        assert self.tried_elsewhere("run", 1)

    @pytest.mark.parametrize("function", ["pg_try_advisory_lock", "pg_advisory_unlock"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_lock_is_free_after_a_time_limit_in_the_locking_itself(self, function, moment):
        with (
            connection.execute_wrapper(time_limit(function, moment)),
            pytest.raises(SoftTimeLimitExceeded),
            advisory_lock("run", 1),
        ):
            pass

        assert self.tried_elsewhere("run", 1)

    def test_lock_is_free_after_a_step_that_broke_its_transaction(self):
        def step() -> None:
            with transaction.atomic(), advisory_lock("run", 1):
                transaction.set_rollback(True)
                _ = 1 / 0

        with pytest.raises(ZeroDivisionError):
            step()

        assert self.tried_elsewhere("run", 1)

    def test_lock_is_free_after_a_step_that_let_its_connection_go(self):
        with advisory_lock("run", 1):
            connection.close()

        assert self.tried_elsewhere("run", 1)

    def test_connection_works_after_a_time_limit_in_the_unlocking(self):
        limit = time_limit("pg_advisory_unlock", "before")
        with (
            connection.execute_wrapper(limit),
            pytest.raises(SoftTimeLimitExceeded),
            advisory_lock("run", 1),
        ):
            pass

        with advisory_lock("run", 1) as obtained:
            assert obtained

    def test_ordinary_step_keeps_its_session(self):
        connection.ensure_connection()
        before = connection.connection

        with advisory_lock("run", 1):
            pass
        with pytest.raises(ZeroDivisionError), advisory_lock("run", 1):
            _ = 1 / 0

        assert connection.connection is before

    def test_lock_of_a_killed_process_is_free_at_once(self):
        script = (
            "import django, sys, time; django.setup()\n"
            "from apps.enqueue import advisory_lock\n"
            "with advisory_lock('run', 'killed') as obtained:\n"
            "    print(obtained, flush=True)\n"
            "    time.sleep(60)\n"
        )
        environment = {**_environment(), "DATABASE_URL": _database_url()}
        holder = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert holder.stdout is not None
        obtained = holder.stdout.readline().strip()
        during = self.tried_elsewhere("run", "killed")

        holder.kill()
        holder.wait()
        holder.stdout.close()
        deadline = time.monotonic() + 2
        while not (after := self.tried_elsewhere("run", "killed")) and time.monotonic() < deadline:
            time.sleep(0.01)

        assert (obtained, during, after) == ("True", False, True)


def _environment() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "orchestrator.settings.base"}


def _database_url() -> str:
    head, _, _ = django_settings.DATABASE_URL.rpartition("/")
    return f"{head}/{connection.settings_dict['NAME']}"


def test_any_process_of_django_sends_to_our_broker():
    script = (
        "import django; django.setup()\n"
        "from apps.projects import tasks\n"
        "print(tasks.reconcile_project.app.conf.broker_url)\n"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=_environment()
    ).stdout

    assert printed.strip() == django_settings.REDIS_URL
