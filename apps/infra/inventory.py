"""What a playbook is run with, as the files that Ansible reads; pure but for writing them."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: The one name of the server in an inventory, and of its key in known_hosts: neither depends on how it is
#: addressed, so IPv6 and other ports need no brackets.
ALIAS: Final = "server"
GROUP: Final = "servers"
#: Debian and Ubuntu have it there. Left to discovery, Ansible may pick a shim that answers and cannot work.
TARGET_PYTHON: Final = "/usr/bin/python3"
#: The longest path that a socket of the connection may have, without what ssh appends to it.
_SOCKET_CHARACTERS: Final = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybookJob:
    """One run of one playbook on one server."""

    playbook: str  # a file below apps/infra/playbooks
    host: str
    port: int
    user: str
    host_key: str  # type and key; nothing else is believed
    private_key: str = field(repr=False)
    marker: str  # tells this server's processes from all others on this machine
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # never shown in what is recorded
    timeout_seconds: float = 900
    is_check: bool = False  # change nothing, say what would be changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Where things are below a run's private directory."""

    root: Path

    @property
    def inventory(self) -> Path:
        """The inventory."""
        return self.root / "inventory" / "hosts.json"

    @property
    def variables(self) -> Path:
        """The extra variables, secrets among them."""
        return self.root / "env" / "extravars"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.root / "key"

    @property
    def known_hosts(self) -> Path:
        """The server's host key."""
        return self.root / "known_hosts"


def write(files: Files, job: PlaybookJob) -> None:
    """Write everything that Ansible reads, each readable by this account alone."""
    private_key = job.private_key if job.private_key.endswith("\n") else f"{job.private_key}\n"
    texts = {
        files.inventory: json.dumps(inventory_of(job, files)),
        files.variables: json.dumps(dict(job.variables)),
        files.key: private_key,
        files.known_hosts: f"{ALIAS} {job.host_key}\n",
    }
    for path, text in texts.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def inventory_of(job: PlaybookJob, files: Files) -> dict[str, Any]:
    """Return the inventory of a run."""
    host = {
        "ansible_host": job.host,
        "ansible_port": job.port,
        "ansible_user": job.user,
        "ansible_ssh_private_key_file": str(files.key),
        "ansible_python_interpreter": TARGET_PYTHON,
        "ansible_ssh_args": ssh_arguments(files),
        "ansible_become": job.user != "root",
    }
    return {GROUP: {"hosts": {ALIAS: host}}}


def ssh_arguments(files: Files) -> str:
    """Return ssh's options: this key and this host key only, no configuration of whoever runs us."""
    options = {
        "UserKnownHostsFile": str(files.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": ALIAS,
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "ConnectTimeout": "15",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
    }
    socket = files.root / "m"
    if len(str(socket)) <= _SOCKET_CHARACTERS:
        options |= {"ControlMaster": "auto", "ControlPersist": "30s", "ControlPath": str(socket)}
    return " ".join(["-F /dev/null", *(f"-o {name}={value}" for name, value in options.items())])
