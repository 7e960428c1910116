"""The launcher: brings the embedded servers up at their old ports and adopts those that already run."""

import base64
import fcntl
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.embedded import valkey
from orchestrator.embedded.places import prepare_var_dir, private_dir, write_private
from orchestrator.embedded.postgres import Postgres
from orchestrator.embedded.processes import (
    Identity,
    free_port,
    is_port_free,
    log_tail,
    read_json,
    wait_gone,
)
from orchestrator.embedded.servers import Server, ServerFailed
from orchestrator.envfile import read_env_file

READY_SECONDS = 30.0
LAUNCH_ATTEMPTS = 4
URL_NAMES = {"postgres": "DATABASE_URL", "broker": "REDIS_URL", "channel": "CHANNEL_REDIS_URL"}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class EmbeddedUrls:
    """Connection URLs of the three servers. They hold passwords: never print or log one."""

    database_url: str
    redis_url: str
    channel_redis_url: str


class Embedded:
    """PostgreSQL and two Valkey servers below one state directory.

    The servers outlive this object and this process: the next ``start`` adopts them. As a context
    manager it is for tests: on exit the servers are stopped and the whole state directory is removed.
    """

    def __init__(
        self, var_dir: Path | str, *, names: Sequence[str] = tuple(URL_NAMES), is_durable: bool = True
    ) -> None:
        """Describe the servers; nothing is started or created but the state directory.

        Args:
            var_dir: state directory; as root it may be moved and linked, ``self.var_dir`` is the real one.
            names: which servers to run, of ``postgres``, ``broker``, ``channel``.
            is_durable: False for tests: a fall of the whole machine may ruin the database.

        """
        self._given_dir = Path(var_dir).absolute()
        self.var_dir = prepare_var_dir(self._given_dir)
        run = private_dir(self.var_dir / "run")
        self._logs = private_dir(run / "logs")
        self._state_file = run / "embedded.json"
        self._lock_file = run / "embedded.lock"
        self._env_file = self.var_dir / "embedded.env"
        every: tuple[Server, ...] = (
            Postgres(self.var_dir, is_durable=is_durable),
            valkey.broker(self.var_dir),
            valkey.channel(self.var_dir),
        )
        self._servers = {server.name: server for server in every if server.name in names}

    def start(self) -> EmbeddedUrls:
        """Start every server that does not run, adopt those that do, write ``embedded.env``.

        Raises:
            ServerFailed: a server did not come up; the message ends with its log.

        """
        with ThreadPoolExecutor(len(URL_NAMES)) as pool:
            for result in [pool.submit(self.ensure, name) for name in self._servers]:
                result.result()
        values = self.env()
        return EmbeddedUrls(
            database_url=values.get("DATABASE_URL", ""),
            redis_url=values.get("REDIS_URL", ""),
            channel_redis_url=values.get("CHANNEL_REDIS_URL", ""),
        )

    def ensure(self, name: str) -> None:
        """Start one server unless it runs, at the port it had before, and wait until it answers.

        Raises:
            ServerFailed: it did not come up; the message ends with its log.

        """
        server = self._servers[name]
        with self._locked(name):
            identity = self._identity(name) or server.find()
            port = self._port(name)
            if identity is not None and port is not None and self._await_ready(server, port, identity):
                self._record(name, port=port, identity=identity)
                return
            if identity is not None:
                # It runs but never answered, or nobody knows its port any more.
                server.stop(identity)
            server.prepare()
            self._launch(server)

    def _launch(self, server: Server) -> None:
        log = self._logs / f"{server.name}.log"
        for _ in range(LAUNCH_ATTEMPTS):
            port = self._choose_port(server.name)
            identity = server.launch(port=port, log=log)
            self._record(server.name, port=port, identity=identity)
            if self._await_ready(server, port, identity):
                return
            server.stop(identity)
        raise ServerFailed(f"{server.name} did not start; its log ends:\n{log_tail(log)}")

    def _choose_port(self, name: str) -> int:
        remembered = self._port(name)
        if remembered is None:
            return free_port()
        # Processes of a killed server may hold its port for a moment longer; clients expect us there.
        deadline = time.monotonic() + 5
        while not is_port_free(remembered) and time.monotonic() < deadline:
            time.sleep(0.05)
        return free_port(preferred=remembered)

    @staticmethod
    def _await_ready(server: Server, port: int, identity: Identity) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and identity.is_alive():
            if server.is_ready(port=port, identity=identity):
                return True
            time.sleep(0.02)
        return False

    def is_alive(self, name: str) -> bool:
        """Tell whether the server's process runs (not whether it answers)."""
        return self._identity(name) is not None

    def pid(self, name: str) -> int | None:
        """Return the pid of a running server, None if it does not run."""
        identity = self._identity(name)
        return None if identity is None else identity.pid

    def kill(self, name: str) -> None:
        """SIGKILL one server, as a crash would; ``ensure`` brings it back with its data."""
        identity = self._identity(name)
        if identity is not None:
            stop_by_kill(identity)

    def stop(self) -> None:
        """Stop every server cleanly; data, ports and passwords stay for the next start.

        Raises:
            ServerFailed: a server survived even SIGKILL.

        """
        with ThreadPoolExecutor(len(URL_NAMES)) as pool:
            survivors = [name for name, ended in pool.map(self._stop_one, self._servers) if not ended]
        if survivors:
            raise ServerFailed(f"could not stop {', '.join(survivors)}")

    def _stop_one(self, name: str) -> tuple[str, bool]:
        with self._locked(name):
            identity = self._identity(name) or self._servers[name].find()
            ended = identity is None or self._servers[name].stop(identity)
            port = self._port(name)
            if ended and port is not None:
                self._record(name, port=port, identity=None)
            return name, ended

    def env(self) -> dict[str, str]:
        """Return the environment of a process that uses the servers, and keep it in ``embedded.env``.

        The file also keeps the generated ``SECRET_KEY`` and ``ENCRYPTION_KEYS``; they are made only once.
        """
        known = read_env_file(self._env_file)
        values = {
            "SECRET_KEY": known.get("SECRET_KEY") or secrets.token_urlsafe(48),
            "ENCRYPTION_KEYS": known.get("ENCRYPTION_KEYS") or _new_fernet_key(),
        }
        for name, server in self._servers.items():
            port = self._port(name)
            if port is not None:
                values[URL_NAMES[name]] = server.url(port=port)
        merged = known | values
        if merged != known:
            lines = (f"{key}={value}\n" for key, value in sorted(merged.items()))
            write_private(self._env_file, "".join(lines))
        return values

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Stop the servers and delete the whole state directory."""
        self.stop()
        if self._given_dir.is_symlink():
            self._given_dir.unlink()
        shutil.rmtree(self.var_dir)

    def _identity(self, name: str) -> Identity | None:
        match read_json(self._state_file).get(name):
            case {"process": recorded}:
                identity = Identity.from_json(recorded)
                return identity if identity is not None and identity.is_alive() else None
        return None

    def _port(self, name: str) -> int | None:
        match read_json(self._state_file).get(name):
            case {"port": int(port)}:
                return port
        return None

    def _record(self, name: str, *, port: int, identity: Identity | None) -> None:
        with self._locked("state"):
            state = read_json(self._state_file)
            state[name] = {"port": port, "process": None if identity is None else identity.as_json()}
            write_private(self._state_file, json.dumps(state, indent=1, sort_keys=True))

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        descriptor = os.open(self._lock_file.with_suffix(f".{what}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def stop_by_kill(identity: Identity) -> None:
    """SIGKILL a process and wait until it is gone."""
    identity.send(signal.SIGKILL)
    wait_gone(identity, seconds=5)


def _new_fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()
