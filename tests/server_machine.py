"""This machine as a server of deployments: its Docker engine, behind SSH, for an account that is not root."""

import grp
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.ssh_server import Account, SshServer, ssh_server
from tests.template import docker_stage

_COMPOSE: Final = Path(sys.executable).with_name("docker-compose")
#: Nobody's: far above those of a distribution, and of our units.
_UID: Final = 2_137_000_000


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The server, and the home of its user of deployments."""

    ssh: SshServer
    home: Path


@contextmanager
def machine(*, host: str = "127.0.0.1", **variables: str) -> Iterator[Machine]:
    """Be a server for the length of a block; whatever its releases leave on the engine is the caller's.

    Args:
        host: the address at which it is reached.
        variables: of its user's environment, besides the usual ones and the stand-ins for base images.

    """
    images = docker_stage.base_images()
    home = Path(tempfile.mkdtemp(prefix="server-", dir="/tmp"))
    account = _account()
    _prepare(home, account)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **images, **variables}
    try:
        with ssh_server(environment, account, host) as server:
            yield Machine(ssh=server, home=home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        engine = grp.getgrnam("docker").gr_gid
    except KeyError:
        pytest.skip("nobody but root may use the Docker engine of this machine")
    return Account(uid=_UID, gid=_UID, groups=(engine,))


def _prepare(home: Path, account: Account | None) -> None:
    plugins = home / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    shutil.copy(_COMPOSE, plugins / "docker-compose")
    if account is not None:
        for place in (home, *home.rglob("*")):
            os.chown(place, account.uid, account.gid)
