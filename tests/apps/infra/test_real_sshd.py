"""Debian's own sshd: first contact, our key, Ansible, a look, and a host key that changed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone

from apps.infra import health, identities, provisioning
from apps.infra.ansible import CONFIGURATION, Playbooks, Watcher
from apps.infra.first_login import Address, HostKeyChanged, LoginRefused, Secret, SshLogin
from apps.infra.inventory import PlaybookJob
from apps.infra.models import IdentityPurpose, Incident, Provisioning, Server, ServerMetric
from apps.infra.provisioning_run import ProvisioningTools, reconcile_provisioning
from apps.infra.recap import PlaybookResult
from apps.infra.servers import ServerWords, save_server
from apps.periodic.recording import Run
from tests.real_sshd import NoSshd, RealSshd, real_sshd
from tests.ssh_server import make_key

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.timeout(300)]

PLAYBOOK = f"""\
- hosts: servers
  gather_facts: true
  vars: {{ansible_become: false}}
  tasks:
    - name: Answer
      ansible.builtin.ping:
    - name: Use our configuration, and know the system
      ansible.builtin.assert:
        that: [ansible_config_file == "{CONFIGURATION}", ansible_facts.distribution | length > 0]
    - name: Let deployments in
      ansible.builtin.lineinfile:
        path: "{{{{ ansible_facts.env.HOME }}}}/.ssh/authorized_keys"
        line: "{{{{ deploy_public_key }}}}"
    - name: Report
      ansible.builtin.set_stats: {{data: {{system: "{{{{ ansible_facts.distribution }}}}"}}}}
"""


class OtherPlaybook(Playbooks):
    """Runs a playbook of the test: the real one would set this machine up."""

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        return super().run(replace(job, playbook=str(self._directory / "book.yml")), watcher)


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="book-"))
    try:
        (directory / "book.yml").write_text(PLAYBOOK)
        yield directory
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def sshd() -> Iterator[RealSshd]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(real_sshd())
        except NoSshd as error:
            pytest.skip(f"Debian's sshd: {error}")
        yield server


def set_up(row: Server, place: Path) -> Provisioning:
    tools = ProvisioningTools(
        playbooks=OtherPlaybook(place),
        login=SshLogin(),
        installation=place.name,
        managed_ids=frozenset,
        beat_seconds=0.5,
        now=timezone.now,
    )
    asked = provisioning.request_provisioning(idempotency_key="sshd", server_id=row.pk, user_id=None)
    reconcile_provisioning(provisioning_id=asked, tools=tools)
    return Provisioning.objects.get(pk=asked)


def look() -> Run:
    run = Run("server_health_checker")
    health.check_servers(run)
    return run


def test_a_real_sshd_is_pinned_entered_set_up_seen_and_refused_with_another_key(
    sshd: RealSshd, place: Path
) -> None:
    words = ServerWords(
        name="berlin",
        host="127.0.0.1",
        ssh_port=sshd.port,
        ssh_user=sshd.user,
        host_key="",
        port_range_start=20_000,
        port_range_end=20_100,
        needs_setup=True,
        admin_user=sshd.user,
        admin_identity=sshd.first_key,
    )
    row = Server.objects.get(pk=save_server(server_id=None, words=words))

    attempt = set_up(row, place)
    seen = look()
    pinned, stranger = row.reload().host_key, make_key().export_private_key("openssh").decode()
    address = Address(host="127.0.0.1", port=sshd.port, user=sshd.user, host_key=pinned)
    with pytest.raises(LoginRefused):
        SshLogin().try_key(address, key=Secret(private_key=stranger))
    ours = identities.find_installed(server_id=row.pk, purpose=IdentityPurpose.ADMIN)
    sshd.replace_host_key()
    look()

    assert attempt.status == "succeeded", attempt.failure
    assert ours is not None
    assert (ours.private_key != sshd.first_key, pinned != sshd.host_key) == (True, True)
    assert ours.public_key in sshd.authorized_keys.read_text()
    assert (seen.counts["seen"], ServerMetric.objects.filter(server=row).count()) == (1, 1)
    assert Incident.objects.get(kind="host_key_changed").status == "open"
    with pytest.raises(HostKeyChanged):
        SshLogin().try_key(address, key=Secret(private_key=ours.private_key))
