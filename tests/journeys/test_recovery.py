"""A real Debian that was set up and then spoilt is put right by the real playbook."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from apps.infra import provisioning
from apps.infra.ansible import Playbooks, Watcher
from apps.infra.inventory import PlaybookJob
from apps.infra.models import Provisioning, ProvisioningKind, Server
from apps.infra.provisioning_run import reconcile_provisioning
from apps.infra.provisioning_tools import ProvisioningTools
from apps.infra.recap import PlaybookOutcome, PlaybookResult
from tests.factories import make_server
from tests.real_server import PORT, Machine, real_server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.docker,
    pytest.mark.django_db,
    pytest.mark.timeout(900),
]

#: What somebody with good intentions and little time leaves behind.
SPOILT = """
userdel --remove deploy
printf 'PasswordAuthentication yes\\n' >/etc/ssh/sshd_config.d/00-orchestrator.conf
rm -f /root/.ssh/authorized_keys
kill -HUP "$(cat /run/sshd.pid)"
"""


def recover(machine: Machine, row: Server, tools: ProvisioningTools | None = None) -> Provisioning:
    asked = provisioning.request_provisioning(
        idempotency_key=uuid4().hex, server_id=row.pk, user_id=None, kind=ProvisioningKind.RECOVERY
    )
    reconcile_provisioning(provisioning_id=asked, tools=tools or machine.tools)
    row.refresh_from_db()
    return Provisioning.objects.get(pk=asked)


class Asking(Playbooks):
    """Asks what would be changed, and changes nothing."""

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        self.result = super().run(replace(job, is_check=True), watcher)
        return self.result


def test_a_spoilt_server_is_put_right_and_a_second_time_nothing_is_changed(tmp_path: Path) -> None:
    with real_server() as machine:
        row = make_server(
            kind="ssh",
            status="discovered",
            host=machine.address,
            ssh_port=PORT,
            admin_password=machine.password,
        )
        ready = machine.set_up(row)
        before = row.reload().provisioned_at
        machine.run(SPOILT)
        Server.objects.filter(pk=row.pk).update(admin_password=machine.password)

        first, second = recover(machine, row), recover(machine, row)
        asking = Asking(tmp_path)
        recover(machine, row, replace(machine.tools, playbooks=asking))

        assert [ready.status, first.status, second.status] == ["succeeded"] * 3, (
            first.failure,
            second.failure,
        )
        assert first.recap["counts"]["changed"] >= 3
        assert second.recap["counts"]["changed"] == 0, second.recap["tasks"]
        assert [words.partition(":")[0] for words in second.recap["left_out"]] == [
            *("caddy.service", "docker", "firewall", "projects"),
        ]
        assert (row.status, row.provisioned_at, row.admin_password) == ("active", before, "")
        assert not machine.lets_in(row, machine.password)
        assert "deploy" in machine.run("id deploy")
        assert asking.result.outcome == PlaybookOutcome.SUCCEEDED, asking.result.failure
        assert asking.result.recap["counts"]["changed"] == 0, asking.result.recap["tasks"]
