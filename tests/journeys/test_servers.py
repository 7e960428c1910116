"""The life of a server, on a real Debian with its sshd: found, set up, looked at, lost, found again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.infra import drills, health, syncing
from apps.infra.ansible import Playbooks, Watcher
from apps.infra.inventory import PlaybookJob
from apps.infra.models import Incident, Provisioning, Server, ServerDrill, ServerMetric
from apps.infra.providers.allowing import AllowingProvider
from apps.infra.recap import PlaybookOutcome, PlaybookResult
from apps.periodic.recording import Run
from tests.factories import make_server
from tests.provider_server.server import ProviderServer
from tests.real_server import DISK, DISK_MB, Machine, real_server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.docker,
    pytest.mark.django_db,
    pytest.mark.timeout(900),
]

#: Whatever a container cannot have is named with its reason; nothing is passed over in silence.
LEFT_OUT = ["caddy.service", "docker", "firewall", "journald", "restarts", "sysstat.timer"]

SITE = """
printf 'http://books.example.org {\\n\\trespond ok\\n}\\n' >/etc/caddy/sites/books.caddy
caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile
"""


class Asking(Playbooks):
    """Asks what would be changed, and changes nothing."""

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        self.result = super().run(replace(job, is_check=True), watcher)
        return self.result


@pytest.fixture
def machine() -> Iterator[Machine]:
    with real_server() as machine:
        yield machine


@pytest.fixture
def impatient(settings: Any) -> None:
    settings.SERVERS_HEALTH_SECONDS = 3.0


def make_row(machine: Machine, **fields: Any) -> Server:
    fields = {"admin_password": machine.password, **fields}
    return make_server(kind="ssh", status="discovered", host=machine.address, ssh_port=22, **fields)


def look(times: int = 1) -> Run:
    for _ in range(times):
        run = Run("health_check")
        health.check_servers(run)
    return run


def incidents_of(row: Server) -> list[tuple[str, str]]:
    return list(Incident.objects.filter(server=row).order_by("pk").values_list("kind", "status"))


def state_of(row: Server) -> tuple[str, str]:
    row.refresh_from_db()
    return row.status, row.health


def discover(machine: Machine) -> Server:
    """Let the provider list it, and the operator say its password."""
    with ProviderServer() as provider:
        held = provider.add_server(address=machine.address)
        managed = [f"time4vps:{held.server_id}"]
        run = Run("server_sync")
        account = AllowingProvider(provider.client(), allowed=lambda: managed)
        syncing.sync_provider(account, managed_ids=managed, run=run)
    assert (run.counts["added"], run.failed) == (1, 0)
    row = Server.objects.get(provider="time4vps")
    Server.objects.filter(pk=row.pk).update(admin_password=machine.password)
    machine.tools = replace(machine.tools, managed_ids=lambda: managed)
    return row


@pytest.mark.usefixtures("impatient")
def test_the_life_of_a_server(machine: Machine, settings: Any) -> None:
    # Found: nothing is done to it.
    row = discover(machine)
    settings.INFRA_MANAGED_SERVER_IDS = machine.tools.managed_ids()
    assert (row.status, row.host, row.memory_mb) == ("discovered", machine.address, 2_048)

    # Set up, and set up again.
    first, second = machine.set_up(row), machine.set_up(row)
    for attempt in (first, second):
        assert attempt.status == "succeeded", (attempt.failure, attempt.log_tail)
    assert first.recap["counts"]["changed"] > 10
    assert second.recap["counts"]["changed"] == 0, second.recap["tasks"]
    print("left out:", *second.recap["left_out"], sep="\n  ")
    assert [each.partition(": ")[0] for each in second.recap["left_out"]] == LEFT_OUT
    assert (row.status, row.system.split(".")[0]) == ("active", "Debian 12")
    assert (row.admin_password, row.ssh_user) == ("", "deploy")
    assert not machine.lets_in(row, machine.password)

    # What deployments may do there: say where their sites are, and have that read.
    machine.run(SITE, user="deploy")
    rights = machine.run("sudo -n -l", user="deploy")
    assert rights.strip().splitlines()[-1].strip() == "(root) NOPASSWD: /usr/bin/systemctl reload caddy"

    # What projects keep is archived, restored on trial, and brought back.
    machine.run("mkdir -p ~/projects/books/data && echo ten >~/projects/books/data/books", user="deploy")
    machine.run("codegen-backup run")
    drills.drill_servers(run := Run("backup_drill"))
    drill = ServerDrill.objects.get(server=row)
    assert (drill.outcome, drill.projects["books"]["files"], run.failed) == ("passed", 1, 0), drill.error
    machine.run("echo none >~/projects/books/data/books", user="deploy")
    machine.run("codegen-backup restore books")
    assert machine.run("cat /home/deploy/projects/books/data/books") == "ten\n"

    # Looked at.
    look()
    measured = ServerMetric.objects.filter(server=row).latest("pk")
    assert measured.memory_total_mb > 256
    assert measured.disk_total_mb > DISK_MB
    assert (state_of(row), incidents_of(row)) == (("active", "healthy"), [])

    # Filled, and emptied.
    machine.run(f"fallocate -l {DISK_MB - 3}M {DISK}/filler")
    look(2)
    assert ServerMetric.objects.filter(server=row).latest("pk").disk_total_mb == DISK_MB
    assert (state_of(row), incidents_of(row)) == (("active", "degraded"), [("disk_full", "open")])
    machine.run(f"rm {DISK}/filler")
    look()
    assert (state_of(row), incidents_of(row)) == (("active", "healthy"), [("disk_full", "resolved")])

    # Lost, and found again.
    machine.container.pause()
    look(3)
    assert state_of(row) == ("unreachable", "unreachable")
    assert incidents_of(row)[1:] == [("unreachable", "open")]
    machine.container.unpause()
    look()
    assert state_of(row) == ("active", "healthy")
    assert incidents_of(row)[1:] == [("unreachable", "resolved")]

    # Somebody else at its address is told nothing.
    machine.replace_host_key()
    look()
    assert state_of(row) == ("active", "unreachable")
    assert incidents_of(row)[2:] == [("host_key_changed", "open")]


def test_a_fresh_server_says_what_a_set_up_would_change_and_stays_as_it_is(tmp_path: Path) -> None:
    with real_server(is_bare=True) as machine:
        row = make_row(machine)
        asking = Asking(tmp_path)
        before = machine.run("ls /home /etc /etc/cron.d /etc/ssh/sshd_config.d /usr/local/sbin")

        machine.set_up(row, replace(machine.tools, playbooks=asking))
        after = machine.run("ls /home /etc /etc/cron.d /etc/ssh/sshd_config.d /usr/local/sbin")

    assert (asking.result.outcome, asking.result.failure) == (PlaybookOutcome.SUCCEEDED, None)
    assert asking.result.recap["counts"]["changed"] > 10
    assert after == before


def test_what_only_a_person_can_change_is_refused_by_name(machine: Machine) -> None:
    row = make_row(machine, admin_password="not the password")

    wrong_password = machine.set_up(row)
    Server.objects.filter(pk=row.pk).update(admin_password=machine.password)
    machine.run("cp /etc/os-release /tmp/os && sed -i s/^ID=.*/ID=alpine/ /etc/os-release")
    wrong_system = machine.set_up(row)
    machine.run("cp /tmp/os /etc/os-release && cp /etc/ssh/sshd_config /tmp/sshd")
    machine.run("echo 'Bogus setting' >>/etc/ssh/sshd_config")
    failing_task = machine.set_up(row)
    machine.run("cp /tmp/sshd /etc/ssh/sshd_config")
    machine.replace_host_key()
    other_key = machine.set_up(row)

    ended = [wrong_password, wrong_system, failing_task, other_key]
    assert [(each.status, each.failure["code"], each.failure["kind"]) for each in ended] == [
        ("failed", "login_refused", "user"),
        ("failed", "wrong_system", "user"),
        ("failed", "task_failed", "provider"),
        ("failed", "host_key_changed", "user"),
    ]
    assert "access : " in failing_task.failure["message"]
    assert "Bad configuration option: Bogus" in failing_task.failure["message"]
    opened = incidents_of(row)
    assert ("host_key_changed", "open") in opened
    assert row.status == "pending_setup"
    # Tried again is only what may end otherwise.
    assert Provisioning.objects.filter(server=row, attempt=2).count() == 1
