"""The real playbooks on a real Debian with its sshd, in a container."""

import hashlib
import io
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import docker
import pytest
from docker.errors import ImageNotFound

from apps.infra import provisioning
from apps.infra.ansible import Playbooks
from apps.infra.first_login import Address, LoginRefused, Secret, ServerUnreachable, SshLogin
from apps.infra.models import Provisioning, Server
from apps.infra.provisioning_run import ProvisioningTools, reconcile_provisioning
from orchestrator.installation import LOCAL_BASE_IMAGE
from tests import docker_engine
from tests.factories import make_server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.django_db,
    pytest.mark.timeout(900),
]

#: As a provider hands one over: a password for root. What the playbook installs is there, so that the test
#: asks no mirror; so are the lists, by which it knows.
_SERVER: Final = f"""\
FROM {LOCAL_BASE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server python3 python3-apt \\
        ca-certificates curl rsync unattended-upgrades \\
    && rm -f /etc/ssh/ssh_host_* && mkdir -p /run/sshd \\
    && printf 'PermitRootLogin yes\\nPasswordAuthentication yes\\n' >/etc/ssh/sshd_config.d/50-provider.conf
CMD ["sh", "-c", "ssh-keygen -A && echo root:$PASSWORD | chpasswd && exec env -u PASSWORD /usr/sbin/sshd -D"]
"""


class Machine:
    """A container that is a server, its row, and what set-ups are made with."""

    def __init__(self, container: Any, password: str, place: Path) -> None:
        self.container = container
        container.reload()
        port = int(container.ports["22/tcp"][0]["HostPort"])
        self.row: Server = make_server(
            kind="ssh", status="discovered", host="127.0.0.1", ssh_port=port, admin_password=password
        )
        self.login = SshLogin()
        self.tools = ProvisioningTools(
            playbooks=Playbooks(place),
            login=self.login,
            installation=f"test-{secrets.token_hex(4)}",
            managed_ids=frozenset,
            containers_allowed=True,
        )
        self._await_ssh()

    def _await_ssh(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                self.login.seen_host_key(host="127.0.0.1", port=self.row.ssh_port)
            except ServerUnreachable:
                assert time.monotonic() < until, self.container.logs()
                time.sleep(0.2)
            else:
                return

    def set_up(self) -> Provisioning:
        asked = provisioning.request_provisioning(
            idempotency_key=uuid4().hex, server_id=self.row.pk, user_id=None
        )
        reconcile_provisioning(provisioning_id=asked, tools=self.tools)
        self.row.refresh_from_db()
        return Provisioning.objects.get(pk=asked)

    def lets_in(self, password: str) -> bool:
        address = Address(host="127.0.0.1", port=self.row.ssh_port, user="root", host_key=self.row.host_key)
        try:
            self.login.try_key(address, key=Secret(password=password))
        except LoginRefused:
            return False
        return True


def _image(engine: docker.DockerClient) -> str:
    """Return the image of a server; made once per machine."""
    tag = f"codegen-test-server:{hashlib.sha256(_SERVER.encode()).hexdigest()[:12]}"
    try:
        engine.images.get(LOCAL_BASE_IMAGE)
    except ImageNotFound:
        pytest.skip(f"the image {LOCAL_BASE_IMAGE} is not here")
    try:
        engine.images.get(tag)
    except ImageNotFound:
        engine.images.build(fileobj=io.BytesIO(_SERVER.encode()), tag=tag, rm=True, forcerm=True)
    return tag


@pytest.fixture
def password() -> str:
    return secrets.token_urlsafe(12)


@pytest.fixture
def machine(password: str) -> Iterator[Machine]:
    docker_engine.client().close()
    engine = docker.DockerClient.from_env(timeout=600, version="auto")
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="set-up-"))
    container = engine.containers.run(
        _image(engine),
        detach=True,
        init=True,
        ports={"22/tcp": ("127.0.0.1", None)},
        environment={"PASSWORD": password},
        labels={"codegen.test": "set-up"},
    )
    try:
        yield Machine(container, password, place)
    finally:
        container.remove(force=True, v=True)
        engine.close()
        shutil.rmtree(place)


def test_a_server_is_set_up_and_a_second_time_nothing_is_changed(machine: Machine, password: str) -> None:
    first = machine.set_up()
    second = machine.set_up()

    assert (first.status, second.status) == ("succeeded", "succeeded"), json.dumps(first.failure)
    assert first.recap["counts"]["changed"] > 3
    assert second.recap["counts"]["changed"] == 0, second.recap["tasks"]
    # What a container cannot have is named; nothing is passed over in silence.
    assert second.recap["left_out"] == ["docker", "firewall"]
    assert (machine.row.status, machine.row.system.split(".")[0]) == ("active", "Debian 12")
    assert (machine.row.admin_password, machine.row.ssh_user) == ("", "deploy")
    assert not machine.lets_in(password)


def test_another_system_is_refused_by_name_and_not_tried_again(machine: Machine) -> None:
    machine.container.exec_run(["sed", "-i", "s/^ID=.*/ID=alpine/", "/etc/os-release"])

    row = machine.set_up()

    assert (row.status, row.failure["code"], row.failure["kind"]) == ("failed", "wrong_system", "user")
    assert machine.row.provisionings.count() == 1
