"""A real Debian that was set up and then spoilt is put right by the real playbook."""

from uuid import uuid4

import pytest

from apps.infra import provisioning
from apps.infra.models import Provisioning, ProvisioningKind, Server
from apps.infra.provisioning_run import reconcile_provisioning
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


def recover(machine: Machine, row: Server) -> Provisioning:
    asked = provisioning.request_provisioning(
        idempotency_key=uuid4().hex, server_id=row.pk, user_id=None, kind=ProvisioningKind.RECOVERY
    )
    reconcile_provisioning(provisioning_id=asked, tools=machine.tools)
    row.refresh_from_db()
    return Provisioning.objects.get(pk=asked)


def test_a_spoilt_server_is_put_right_and_a_second_time_nothing_is_changed() -> None:
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
