"""A Debian with its own sshd in a container: to the system it is a server that was rented.

It has a plain init, no systemd, and may not touch its host's kernel; what that leaves out the playbooks say.
"""

import hashlib
import io
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

PORT: Final = 22
#: What is mounted here counts as the server's disk, since Docker's own would be here; small enough to fill.
DISK, DISK_MB = "/var/lib/docker", 64
#: As a provider hands one over: a password for root, Python, and the lists of packages.
_BARE: Final = f"""\
FROM {LOCAL_BASE_IMAGE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
        openssh-server python3 python3-apt \\
    && rm -f /etc/ssh/ssh_host_* && mkdir -p /run/sshd \\
    && printf 'PermitRootLogin yes\\nPasswordAuthentication yes\\n' >/etc/ssh/sshd_config.d/50-provider.conf
CMD ["sh", "-c", "ssh-keygen -A && echo root:$PASSWORD | chpasswd && exec env -u PASSWORD /usr/sbin/sshd -D"]
"""
#: With what the playbook installs, so that tests ask no mirror.
_STOCKED: Final = f"""\
{_BARE}
RUN DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
        ca-certificates curl rsync unattended-upgrades caddy sudo sysstat cron
"""


class Machine:
    """A container that is a server, and what set-ups of it are made with."""

    def __init__(self, container: Any, password: str, place: Path) -> None:
        self.container, self.password = container, password
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        self.address: str = next(network["IPAddress"] for network in networks)
        self.login = SshLogin()
        self.tools = ProvisioningTools(
            playbooks=Playbooks(place),
            login=self.login,
            installation=f"test-{secrets.token_hex(4)}",
            managed_ids=frozenset,
            containers_allowed=True,
        )

    def await_ssh(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                self.login.seen_host_key(host=self.address, port=PORT)
            except ServerUnreachable:
                assert time.monotonic() < until, self.container.logs()
                time.sleep(0.2)
            else:
                return

    def run(self, script: str, *, user: str = "root") -> str:
        """Do something on it that nobody of ours does."""
        status, output = self.container.exec_run(["sh", "-c", script], user=user)
        assert status == 0, output.decode()
        return str(output.decode())

    def replace_host_key(self) -> None:
        """Let somebody else answer at its address."""
        self.run("rm /etc/ssh/ssh_host_*_key* && ssh-keygen -A && kill -HUP $(cat /run/sshd.pid)")
        self.await_ssh()

    def set_up(self, row: Server, tools: ProvisioningTools | None = None) -> Provisioning:
        """Ask for a set-up and carry its first attempt out."""
        asked = provisioning.request_provisioning(
            idempotency_key=uuid4().hex, server_id=row.pk, user_id=None, replace=True
        )
        reconcile_provisioning(provisioning_id=asked, tools=tools or self.tools)
        row.refresh_from_db()
        return Provisioning.objects.get(pk=asked)

    def lets_in(self, row: Server, password: str) -> bool:
        address = Address(host=self.address, port=PORT, user="root", host_key=row.host_key)
        try:
            self.login.try_key(address, key=Secret(password=password))
        except LoginRefused:
            return False
        return True


def _image(engine: docker.DockerClient, recipe: str) -> str:
    """Return the image of a server; made once per machine."""
    tag = f"codegen-test-server:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    try:
        engine.images.get(LOCAL_BASE_IMAGE)
    except ImageNotFound:
        pytest.skip(f"the image {LOCAL_BASE_IMAGE} is not here")
    try:
        engine.images.get(tag)
    except ImageNotFound:
        engine.images.build(fileobj=io.BytesIO(recipe.encode()), tag=tag, rm=True, forcerm=True)
    return tag


@contextmanager
def real_server(*, is_bare: bool = False) -> Iterator[Machine]:
    """Run a server for the length of a block; the test is skipped where no daemon answers.

    Args:
        is_bare: without anything that a set-up installs.

    """
    docker_engine.client().close()
    engine, password = docker.DockerClient.from_env(timeout=600, version="auto"), secrets.token_urlsafe(12)
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="set-up-"))
    container = engine.containers.run(
        _image(engine, _BARE if is_bare else _STOCKED),
        detach=True,
        init=True,
        environment={"PASSWORD": password},
        tmpfs={DISK: f"size={DISK_MB}m"},
        labels={"codegen.test": "set-up"},
    )
    try:
        machine = Machine(container, password, place)
        machine.await_ssh()
        yield machine
    finally:
        container.remove(force=True, v=True)
        engine.close()
        shutil.rmtree(place)
