"""Rounds of looks at servers that really speak SSH."""

import asyncio
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.infra import health
from apps.infra.health_looking import Outcome, Subject, look_at, look_at_all
from apps.infra.models import Incident, Server, ServerMetric, ServerStatus, SshIdentity
from apps.periodic.recording import Run
from tests.factories import make_server
from tests.ssh_server import SshServer, make_key, public_part, ssh_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]

HEAD = "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'; "
FULL = f"{HEAD} echo '/dev/x 1024000 972800 51200 95% /'"
ROOMY = f"{HEAD} echo '/dev/x 1024000 102400 921600 10% /'"


@pytest.fixture
def tools(tmp_path: Path) -> Callable[..., None]:
    """What a server's programs say."""

    def say(**scripts: str) -> None:
        for name, script in scripts.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    say(df=ROOMY, docker="echo one; echo two")
    return say


@pytest.fixture
def machine(tools: Any, tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server({"PATH": f"{tmp_path}:/usr/bin:/bin"}) as server:
        yield server


@pytest.fixture
def row(machine: SshServer) -> Server:
    return make_row(machine)


def make_row(machine: SshServer, **fields: Any) -> Server:
    known = {"host": "127.0.0.1", "ssh_port": machine.port, "host_key": machine.host_key}
    fields = {"kind": "ssh", "admin_user": machine.user, **known, **fields}
    server = make_server(**fields)
    SshIdentity.objects.create(
        server=server, purpose="admin", status="installed", private_key=machine.identity
    )
    return server


def check(times: int = 1) -> Run:
    for _ in range(times):
        run = Run("health_check")
        health.check_servers(run)
    return run


def incidents_of(server: Server) -> list[tuple[str, str, int]]:
    found = Incident.objects.filter(server=server).order_by("pk")
    return [(incident.kind, incident.status, incident.count) for incident in found]


def test_server_that_is_well_is_measured(row):
    run = check()

    metric = ServerMetric.objects.get(server=row)
    assert (row.reload().health, row.failed_checks, row.checked_at is None) == ("healthy", 0, False)
    assert (metric.disk_total_mb, metric.containers_running) == (1_000, 2)
    assert None not in (metric.cpus, metric.memory_total_mb, metric.memory_available_mb)
    assert (run.counts["checked"], run.counts["seen"], run.failed) == (1, 1, 0)


def test_full_disk_is_one_incident_until_there_is_room_again(row, tools):
    tools(df=FULL)
    check(times=3)
    full, degraded = incidents_of(row), row.reload().health

    tools(df=ROOMY)
    check()

    assert (full, degraded) == ([("disk_full", "open", 3)], "degraded")
    assert incidents_of(row) == [("disk_full", "resolved", 3)]
    assert row.reload().health == "healthy"


def test_disk_that_cannot_be_measured_any_more_is_still_full(row, tools):
    tools(df=FULL)
    check()

    tools(df="exit 1")
    check()

    assert incidents_of(row) == [("disk_full", "open", 1)]


def test_docker_that_does_not_answer_is_told(row, tools):
    tools(docker="exit 1")

    check()

    assert incidents_of(row) == [("docker_down", "open", 1)]
    assert ServerMetric.objects.get(server=row).containers_running is None


def test_silent_server_is_unreachable_after_three_looks_and_active_when_it_answers(row, machine):
    Server.objects.filter(pk=row.pk).update(ssh_port=1)
    twice = check(times=2) and (row.reload().status, incidents_of(row))
    check(times=2)
    lost = (row.reload().status, row.health, incidents_of(row))

    Server.objects.filter(pk=row.pk).update(ssh_port=machine.port)
    check()

    assert twice == (ServerStatus.ACTIVE, [])
    assert lost == (ServerStatus.UNREACHABLE, "unreachable", [("unreachable", "open", 2)])
    assert (row.reload().status, row.failed_checks) == (ServerStatus.ACTIVE, 0)
    assert incidents_of(row) == [("unreachable", "resolved", 2)]
    assert ServerMetric.objects.filter(server=row).count() == 1


def test_silence_of_most_servers_is_one_incident_of_ours_and_counts_against_none_of_them(machine):
    rows = [make_row(machine, ssh_port=1) for _ in range(3)]
    run = check(times=4)
    suspected = [(row.reload().status, row.health, row.failed_checks, incidents_of(row)) for row in rows]
    told = list(Incident.objects.values_list("key", "status", "count"))

    Server.objects.filter(pk=rows[0].pk).update(ssh_port=machine.port)
    Server.objects.filter(pk=rows[1].pk).update(ssh_port=machine.port)
    check(times=3)

    assert suspected == [("active", "unknown", 0, [])] * 3
    assert told == [("own_network:platform", "open", 4)]
    assert Incident.objects.get(kind="own_network").details["servers"] == [row.name for row in rows]
    assert run.counts["silence_of_our_own"] == 3
    assert Incident.objects.get(key="own_network:platform").status == "resolved"
    assert [row.reload().status for row in rows] == ["active", "active", "unreachable"]


def test_silence_of_most_is_theirs_when_others_keep_answering(machine):
    dead = [make_row(machine, ssh_port=1) for _ in range(3)]
    for _ in range(2):
        make_row(machine)
    check(times=3)
    suspected = [(row.reload().status, row.failed_checks) for row in dead]
    check(times=4)

    assert suspected == [("active", 0)] * 3
    assert [row.reload().status for row in dead] == ["unreachable"] * 3
    assert Incident.objects.get(kind="own_network").status == "resolved"


def test_servers_that_are_known_to_be_silent_cast_no_doubt_on_us(machine):
    for _ in range(5):
        make_row(machine, ssh_port=1, failed_checks=3, status="unreachable")
    well = make_row(machine)

    check()

    assert well.reload().health == "healthy"
    assert not Incident.objects.filter(kind="own_network").exists()


def test_server_with_another_host_key_is_told_nothing(row, machine):
    Server.objects.filter(pk=row.pk).update(host_key=public_part(make_key()))

    check()

    assert machine.commands == []
    assert incidents_of(row) == [("host_key_changed", "open", 1)]
    assert row.reload().health == "unreachable"


def test_server_that_does_not_let_us_in_is_told_at_once(row):
    stranger = make_key().export_private_key("openssh").decode()
    identity = SshIdentity.objects.get(server=row)
    identity.private_key = stranger
    identity.save(update_fields=["private_key"])

    check()

    assert incidents_of(row) == [("login_refused", "open", 1)]


def test_a_key_that_cannot_be_decrypted_keeps_nobody_else_from_being_looked_at(row, machine):
    locked = make_row(machine)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE infra_sshidentity SET private_key = 'nonsense' WHERE server_id = %s", [locked.pk]
        )

    run = check()

    assert (row.reload().health, locked.reload().health) == ("healthy", "unknown")
    assert (run.counts["seen"], run.counts["without_key"]) == (1, 1)


def test_one_bad_row_does_not_stop_the_rest(row, machine):
    bad = make_row(machine, host_key="ssh-ed25519 nonsense")
    SshIdentity.objects.filter(server=make_row(machine)).delete()

    run = check()

    assert (row.reload().health, bad.reload().health) == ("healthy", "unknown")
    assert (run.counts["seen"], run.counts["broken"], run.counts["without_key"], run.failed) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "status", ["discovered", "pending_setup", "provisioning", "missing", "decommissioned"]
)
def test_server_that_is_not_set_up_is_not_logged_in_to(machine, status):
    make_row(machine, status=status)

    run = check()

    assert (machine.commands, run.counts["checked"]) == ([], 0)


def test_server_in_maintenance_is_measured_and_stays_there(machine):
    server = make_row(machine, status="maintenance")

    check()

    assert (server.reload().status, server.health) == (ServerStatus.MAINTENANCE, "healthy")


def test_old_measurements_are_forgotten(row, settings):
    check()
    settings.SERVERS_METRICS_DAYS = 0

    check()

    assert ServerMetric.objects.filter(server=row).count() == 1


def subject_of(machine: SshServer, **changes: Any) -> Subject:
    fields = {
        "server_id": 1,
        "host": "127.0.0.1",
        "port": machine.port,
        "user": machine.user,
        "host_key": machine.host_key,
        "private_key": machine.identity,
    }
    return Subject(**{**fields, **changes})


def test_slow_server_is_left_after_its_time(machine, tools):
    tools(df="sleep 5")

    look = asyncio.run(look_at(subject_of(machine), seconds=1.5))

    assert look.outcome is Outcome.UNREACHABLE


def test_talkative_server_is_cut_short(machine, tools):
    tools(df="yes | head -c 5000000")

    look = asyncio.run(look_at(subject_of(machine), seconds=20))

    assert look.outcome in (Outcome.SEEN, Outcome.BROKEN)


def test_no_more_than_so_many_are_open_at_once(machine):
    subjects = [subject_of(machine, server_id=number) for number in range(12)]

    looks = asyncio.run(look_at_all(subjects, connections=3, seconds=30))

    assert sorted(look.server_id for look in looks) == list(range(12))
    assert {look.outcome for look in looks} == {Outcome.SEEN}
    assert machine.most_at_once <= 3
    assert machine.identity not in repr(subjects[0])
