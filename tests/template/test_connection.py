"""How a deployment reaches its server: by the key that is pinned, and by no other."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.projects import templating
from tests.ssh_server import SshServer, make_key, public_part, ssh_server

CONNECT = Path(templating.__file__).parent / "template" / "project" / "deploy" / "connect.sh"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh on this machine"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server({"PATH": os.environ["PATH"]}) as server:
        yield server


def run(
    place: Path, server: SshServer, command: str, *, given: bytes = b"", **secrets: str
) -> "subprocess.CompletedProcess[bytes]":
    """Prepare the connection as the workflow does and run a command over it."""
    environment = {
        "PATH": os.environ["PATH"],
        "DEPLOY_HOST": "127.0.0.1",
        "DEPLOY_PORT": str(server.port),
        "DEPLOY_USER": server.user,
        "DEPLOY_SSH_KEY": server.identity,
        "DEPLOY_HOST_KEY": server.host_key,
        **secrets,
    }
    subprocess.run(["bash", str(CONNECT), str(place / "ssh")], env=environment, check=True)
    argv = ["ssh", "-F", str(place / "ssh" / "config"), "server", command]
    return subprocess.run(argv, env=environment, input=given, capture_output=True, timeout=60, check=False)


def test_what_is_sent_arrives_as_it_is_and_the_exit_code_comes_back(
    server: SshServer, tmp_path: Path
) -> None:
    image = os.urandom(300_000)

    done = run(tmp_path, server, "cat; echo told >&2; exit 7", given=image)

    assert done.stdout == image
    assert done.stderr.decode().strip() == "told"
    assert done.returncode == 7


def test_a_server_with_another_key_is_told_nothing(server: SshServer, tmp_path: Path) -> None:
    server.commands.clear()

    done = run(tmp_path, server, "echo reached", DEPLOY_HOST_KEY=public_part(make_key()))

    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr
    assert server.commands == []


def test_a_key_that_the_server_does_not_know_opens_nothing(server: SshServer, tmp_path: Path) -> None:
    server.commands.clear()
    stranger = make_key().export_private_key("openssh").decode()

    done = run(tmp_path, server, "echo reached", DEPLOY_SSH_KEY=stranger)

    assert done.returncode == 255
    assert b"Permission denied" in done.stderr
    assert server.commands == []
