"""The connections of the flow engine's memory: no wait for the disk, and asked before they are trusted."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.graph import checkpoints

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def own_pool(memory: None) -> Iterator[None]:
    """A pool of one connection, which is nobody else's."""
    checkpoints.close()
    yield
    checkpoints.close()


def borrow() -> Any:
    pool: Any = checkpoints.saver().conn
    return pool.connection()


def setting_of(cursor: Any) -> str:
    cursor.execute("SELECT current_setting('synchronous_commit') AS it")
    row = cursor.fetchone()
    return str(row["it"] if isinstance(row, dict) else row[0])


def test_only_checkpoints_do_not_wait_for_the_disk() -> None:
    with borrow() as raw, raw.cursor() as theirs, connection.cursor() as ours:
        assert setting_of(theirs) == "off"
        assert setting_of(ours) == "on"


def test_a_connection_that_died_while_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with borrow() as raw:
        pid = raw.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    monkeypatch.setattr(checkpoints, "BELIEVED_SECONDS", 0.0)

    found = checkpoints.has_thread("nobody")

    assert found is False
