"""A process that is killed amid a playbook: its attempt ends, the next one succeeds, no key is lost."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.infra import identities, provisioning
from apps.infra.ansible import MARKER, Playbooks, Watcher
from apps.infra.first_login import SshLogin
from apps.infra.inventory import PlaybookJob
from apps.infra.models import IdentityPurpose, Provisioning, Server, SshIdentity
from apps.infra.provisioning_run import ProvisioningTools, reconcile_provisioning
from apps.infra.recap import PlaybookResult
from apps.units import processes
from tests.factories import make_server
from tests.ssh_server import SshServer, ssh_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
    pytest.mark.timeout(300),
]

#: What a Celery process of the queue does with the message.
WORKER = """
import sys, uuid, django
from pathlib import Path
import orchestrator.celery
django.setup()
from apps.enqueue import advisory_lock
from apps.infra.provisioning_run import reconcile_provisioning
from tests.apps.infra.test_set_up_kills import tools_at
with advisory_lock("provisioning", int(sys.argv[2])) as obtained:
    assert obtained
    reconcile_provisioning(provisioning_id=uuid.UUID(sys.argv[1]), tools=tools_at(Path(sys.argv[3])))
"""
PLAYBOOK = """\
- hosts: servers
  gather_facts: false
  tasks:
    - name: Begin
      ansible.builtin.copy: {{content: begun, dest: {place}/begun, mode: "0600"}}
    - name: Take long
      ansible.builtin.command: sleep {nap}
"""


class OtherPlaybook(Playbooks):
    """Runs a playbook of the test: the real one would set this machine up."""

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        return super().run(replace(job, playbook=str(self._directory / "book.yml")), watcher)


def tools_at(place: Path, *, later: timedelta = timedelta()) -> ProvisioningTools:
    return ProvisioningTools(
        playbooks=OtherPlaybook(place),
        login=SshLogin(),
        installation=place.name,
        managed_ids=frozenset,
        beat_seconds=0.5,
        now=lambda: timezone.now() + later,
    )


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="kills-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def make_row(server: SshServer) -> Server:
    """A server that lets our keys in already: this one cannot be told of others."""
    row = make_server(
        kind="ssh", status="discovered", host="127.0.0.1", ssh_port=server.port, host_key=server.host_key
    )
    for purpose in IdentityPurpose:
        SshIdentity.objects.create(
            server=row,
            purpose=purpose,
            status="installed",
            private_key=server.identity,
            public_key=f"ssh-ed25519 AAAA codegen-{purpose}-{row.pk}",
        )
    return row


def environment() -> dict[str, str]:
    database = connection.settings_dict
    user, password = (quote(str(database[key]), safe="") for key in ("USER", "PASSWORD"))
    address = f"postgresql://{user}:{password}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return {
        **os.environ,
        "DATABASE_URL": address,
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings.test",
        "PYTHONPATH": str(settings.BASE_DIR),
    }


def test_a_killed_process_ends_its_attempt_and_the_next_one_succeeds(place: Path) -> None:
    account = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(place)}
    with ssh_server(account) as server:
        row = make_row(server)
        (place / "book.yml").write_text(PLAYBOOK.format(place=place, nap=200))
        asked = provisioning.request_provisioning(idempotency_key="kill", server_id=row.pk, user_id=None)
        words = (str(asked), str(row.pk), str(place))
        worker = subprocess.Popen([sys.executable, "-c", WORKER, *words], env=environment())
        try:
            until = time.monotonic() + 120
            while not (place / "begun").exists():
                assert worker.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            worker.send_signal(SIGKILL)
            worker.wait(20)
        (place / "book.yml").write_text(PLAYBOOK.format(place=place, nap=0))

        _take_over(row, str(asked), place, later=timedelta())
        ended = Provisioning.objects.get(pk=asked)
        survivors = [
            one.pid
            for one in processes.snapshot()
            if processes.has_variable(one.pid, f"{MARKER}={place.name}-{row.pk}")
        ]
        second = Provisioning.objects.get(server=row, attempt=2)
        _take_over(row, str(second.pk), place, later=timedelta(minutes=5))

    assert (ended.status, ended.failure["code"], survivors) == ("crashed", "process_died", [])
    assert (second.reload().status, row.reload().status) == ("succeeded", "active")
    kept = identities.find_installed(server_id=row.pk, purpose=IdentityPurpose.ADMIN)
    assert kept is not None
    assert kept.private_key == server.identity


def _take_over(row: Server, provisioning_id: str, place: Path, *, later: timedelta) -> None:
    """Do what the sweep's message does: the dead process's lock is free."""
    with advisory_lock("provisioning", row.pk, patience_seconds=5) as obtained:
        assert obtained
        reconcile_provisioning(provisioning_id=provisioning_id, tools=tools_at(place, later=later))
