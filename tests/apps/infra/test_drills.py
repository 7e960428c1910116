"""Drills on servers that really speak SSH; their program is the test's."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.infra import drills
from apps.infra.models import Incident, Server, ServerDrill, SshIdentity
from apps.periodic.recording import Run
from apps.roles import Role
from tests.factories import make_server, make_user
from tests.ssh_server import SshServer, ssh_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server({"PATH": f"{tmp_path}:/usr/bin:/bin"}) as server:
        yield server


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., None]:
    """What the program on the server does."""

    def write(script: str) -> None:
        for name, text in {"codegen-backup": script, "sudo": 'shift; exec "$@"'}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o700 | stat.S_IXUSR)

    return write


def saying(**projects: Any) -> str:
    return f"cat <<'END'\n{json.dumps({'projects': projects})}\nEND"


def restored(hours: int = 5) -> dict[str, Any]:
    made_at = int(time.time()) - hours * 3_600
    return {"outcome": "restored", "archive": "a.tar.gz", "made_at": made_at, "bytes": 2_048, "files": 2}


@pytest.fixture
def row(machine: SshServer) -> Server:
    server = make_server(
        kind="ssh",
        status="active",
        host="127.0.0.1",
        ssh_port=machine.port,
        host_key=machine.host_key,
        admin_user=machine.user,
        provisioned_at=timezone.now(),
    )
    SshIdentity.objects.create(
        server=server, purpose="admin", status="installed", private_key=machine.identity
    )
    return server


def drill() -> Run:
    run = Run("backup_drill")
    drills.drill_servers(run)
    return run


def forget(row: Server, *, hours: int) -> None:
    """Let time go by since the last drill."""
    ServerDrill.objects.filter(server=row).update(drilled_at=timezone.now() - timedelta(hours=hours))


def incidents_of(row: Server) -> list[tuple[str, str]]:
    return list(Incident.objects.filter(server=row).order_by("pk").values_list("kind", "status"))


def page_of(row: Server) -> str:
    client = Client()
    client.force_login(make_user(role=Role.OWNER))
    return client.get(reverse("admin:infra_server_change", args=[row.pk])).content.decode()


def test_a_drill_is_on_the_servers_page_and_one_that_never_was_is_told(row: Server, program: Any) -> None:
    program(saying(books=restored()))
    before = page_of(row)

    run = drill()

    assert (run.counts["due"], run.counts["drilled"], run.failed) == (1, 1, 0)
    found = ServerDrill.objects.get(server=row)
    assert (found.outcome, found.projects["books"]["files"], incidents_of(row)) == ("passed", 2, [])
    assert "Never tried" in before
    assert "Never tried" not in page_of(row)
    assert "a.tar.gz" in page_of(row)


def test_a_failed_drill_is_one_incident_until_one_passes(row: Server, program: Any) -> None:
    program(saying(books={"outcome": "mismatch"}))
    drill()
    forget(row, hours=30)
    drill()
    failed = incidents_of(row)
    program(saying(books=restored()))
    forget(row, hours=30)

    drill()

    assert failed == [("backup_drill_failed", "open")]
    assert incidents_of(row) == [("backup_drill_failed", "resolved")]


def test_an_archive_that_is_too_old_is_an_incident(row: Server, program: Any) -> None:
    program(saying(books=restored(hours=50)))

    drill()

    assert incidents_of(row) == [("backups_old", "open")]


def test_a_drill_is_done_once_a_day_and_judged_every_time(row: Server, program: Any, machine: Any) -> None:
    program(saying(books=restored()))
    drill()

    run = drill()

    assert (run.counts["due"], len(machine.commands)) == (0, 1)


def test_a_silent_server_keeps_what_is_known_and_is_told_when_that_is_old(
    row: Server, program: Any, machine: SshServer
) -> None:
    program(saying(books=restored()))
    drill()
    Server.objects.filter(pk=row.pk).update(ssh_port=1)
    forget(row, hours=30)
    run = drill()
    young = (ServerDrill.objects.get(server=row).outcome, incidents_of(row))
    forget(row, hours=80)

    drill()

    assert run.errors[0]["item"] == row.name
    assert young == ("passed", [])
    assert incidents_of(row) == [("backups_old", "open")]
    assert "Too old" in page_of(row)


def test_a_key_that_cannot_be_read_does_not_stop_the_drills_of_others(row: Server, program: Any) -> None:
    program(saying(books=restored()))
    bad = make_server(
        kind="ssh", status="active", host_key="ssh-ed25519 nonsense", provisioned_at=timezone.now()
    )
    SshIdentity.objects.create(server=bad, purpose="admin", status="installed", private_key="nonsense")

    run = drill()

    assert (run.counts["due"], run.counts["drilled"], run.failed) == (2, 1, 1)
    assert run.errors[0]["item"] == bad.name
    assert ServerDrill.objects.get().server == row


@pytest.mark.parametrize("script", [None, "echo nonsense", "exit 3"])
def test_a_server_whose_program_does_not_work_has_failed(
    row: Server, program: Any, script: str | None
) -> None:
    if script is not None:
        program(script)

    drill()

    assert ServerDrill.objects.get(server=row).outcome == "failed"
    assert incidents_of(row) == [("backup_drill_failed", "open")]


@pytest.mark.parametrize("fields", [{"status": "maintenance"}, {"provisioned_at": None}])
def test_a_server_that_we_did_not_set_up_or_that_is_out_is_left_alone(
    row: Server, machine: Any, fields: dict[str, Any]
) -> None:
    Server.objects.filter(pk=row.pk).update(**fields)

    drill()

    assert (machine.commands, incidents_of(row)) == ([], [])
