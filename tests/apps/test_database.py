"""A person who waits for a command is told at once that the database is away."""

import pytest
from django.core.management import CommandError
from django.db import connection

from apps.database import require_database
from orchestrator.embedded.processes import free_port

pytestmark = pytest.mark.unit


def test_database_that_is_away_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch):
    port = free_port()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", str(port))

    with pytest.raises(CommandError, match=f"127.0.0.1:{port} does not answer .* `make up`"):
        require_database()


def test_socket_of_this_machine_is_left_to_the_driver(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connection.settings_dict, "HOST", "/run/postgresql")

    assert require_database() is None
